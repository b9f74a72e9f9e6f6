"""What was understood of a star file, as a table for a biologist."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_tomodrgn.gui.widgets.qt import make_label

# Formats whose images have the cosine of their stage tilt (``rlnCtfScalefactor``) and no angle.
_COSINE_ALONE = ("warp", "cryosrpnt")


def summary_rows(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and explanation of what a biologist checks first."""
    tomograms = summary.get("tomograms", [])
    pixel, box = summary.get("pixel_size_angstrom", 0.0), summary.get("box_px", 0)
    tilts = _span(summary.get("tilts_per_particle", {}))
    yes = {True: "yes", False: "no"}
    return [
        (
            "Format",
            str(summary.get("dialect", "")),
            "Program whose conventions the star file follows",
        ),
        ("Particles", f"{summary.get('particles', 0):,}", "Particles with at least one image"),
        ("Tilt images", f"{summary.get('images', 0):,}", "2-D images that are used"),
        ("Tilts per particle", tilts, "Images of one particle, fewest and most"),
        ("Tomograms", f"{len(tomograms):,}", "\n".join(str(name) for name in tomograms[:20])),
        ("Box", f"{box} px = {box * pixel:.0f} Å", "Edge of the 2-D images"),
        ("Pixel size", f"{pixel:.3f} Å", "Of the 2-D images"),
        ("Stage tilt", *_stage_tilt(summary)),
        ("Dose", f"{_span(summary.get('dose_e_per_angstrom2'))} e⁻/Å²", "Accumulated exposure"),
        ("Defocus", f"{_span(summary.get('defocus_angstrom'), 1e-4)} µm", "Positive is underfocus"),
        ("Voltage", f"{summary.get('voltage_kv', 0):g} kV", "Acceleration voltage"),
        ("Cs", f"{summary.get('spherical_aberration_mm', 0):g} mm", "Spherical aberration"),
        ("Amplitude contrast", f"{summary.get('amplitude_contrast', 0):g}", "Fraction, 0 to 1"),
        (
            "CTF pre-multiplied",
            yes.get(summary.get("ctf_premultiplied", ""), "unknown"),
            "Whether the images were multiplied by their CTF on export",
        ),
        (
            "Dose-weighted",
            yes.get(summary.get("dose_weighted", ""), "unknown"),
            "Whether the images were filtered by their exposure on export",
        ),
    ]


def _stage_tilt(summary: dict[str, Any]) -> tuple[str, str]:
    """Smallest and largest stage tilt; without a sign where a list has the cosine alone."""
    limits = summary.get("tilt_deg")
    words = f"{_span(limits)}°"
    if summary.get("dialect") not in _COSINE_ALONE or (limits or {}).get("min", -1.0) < 0:
        return words, "Smallest and largest"
    return f"{words}, ±", "Smallest and largest, without sign: this format has its cosine alone"


def _span(limits: Any, factor: float = 1.0) -> str:
    if not isinstance(limits, dict):
        return "unknown"
    low, high = limits.get("min"), limits.get("max")
    if low is None or high is None:
        return "unknown"
    low, high = low * factor, high * factor
    whole = float(low).is_integer() and float(high).is_integer()
    digits = 0 if whole or max(abs(low), abs(high)) >= 10 else 1
    words = [f"{value:,.{digits}f}" for value in (low, high)]
    return words[0] if words[0] == words[1] else f"{words[0]} … {words[1]}"


def table_of(rows: list[tuple[str, str, str]]) -> QWidget:
    """Names in bold beside their values; explanations as tooltips."""
    table = QWidget()
    layout = QGridLayout(table)  # of a form the names would not wrap, in large type
    layout.setContentsMargins(0, 0, 0, 4)
    layout.setVerticalSpacing(3)
    layout.setHorizontalSpacing(8)
    layout.setColumnStretch(1, 1)
    for row, (name, value, explanation) in enumerate(rows):
        label = make_label(value)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for widget in (heading := QLabel(name), label):
            widget.setToolTip(explanation)
        heading.setStyleSheet("font-weight: bold;")
        heading.setWordWrap(True)
        layout.addWidget(heading, row, 0)
        layout.addWidget(label, row, 1)
    return table
