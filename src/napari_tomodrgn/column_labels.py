"""What a column of the particles is called on screen."""

from __future__ import annotations

# Endings of names that are units, as people write them; the longest first.
_UNITS = {
    "_e_per_angstrom2": " (e⁻/Å²)",
    "_per_angstrom": " (1/Å)",
    "_per_nm3": " (1/nm³)",
    "_angstrom": " (Å)",
    "_deg": " (°)",
    "_px": " (px)",
    "_kv": " (kV)",
}
# Ours that have no unit; other names without one are somebody's own, and stay as they are.
_WORDS = {
    "neighbour_id": "nearest neighbour",
    "neighbour_state": "neighbour's state",
    "neighbours_within": "neighbours within",
}


def column_label(name: str) -> str:
    """Return the name of a column as people say it: ``rot_deg`` is "rot (°)"."""
    if name in _WORDS:
        return _WORDS[name]
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return name.removesuffix(ending).replace("_", " ") + unit
    return name
