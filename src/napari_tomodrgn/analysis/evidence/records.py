"""Comparisons that a run remembers: ``RUN/analysis/comparisons/NAME/comparison.json`` and maps.

Each further comparison is another chance to find a difference where there is none: they are
counted, and the p of each is adjusted by Holm's procedure (Scand. J. Statist. 6 (1979) 65).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.evidence.blobs import Blob, places_of
from napari_tomodrgn.analysis.evidence.cause_names import JUNK, MOLECULE
from napari_tomodrgn.analysis.evidence.comparison import Comparison, Labels
from napari_tomodrgn.analysis.evidence.maps import ComparedMaps, DifferenceMap, GroupMap
from napari_tomodrgn.analysis.evidence.permutation import DIFFER, chance
from napari_tomodrgn.analysis.fsc import FscCurve
from napari_tomodrgn.data.volume import read_volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text, written_atomically
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.tables import without_nan

_PARTICLES, _SHELLS = "particles.csv", "difference_shells.csv"
_DIFFERENCE, _ERROR = "difference.mrc", "standard_error.mrc"
_MOST_PLACES = 3  # that are told of beside the surest
_LABELS = ("drawn", "in_tilt_half_1", "in_tilt_half_2")
_WORDS = {1: "a", -1: "b", 0: ""}
_LABEL_OF = {word: label for label, word in _WORDS.items()}
_SHELL_COLUMNS = ["rms", "standard_error_noise_model", "standard_error_random_splits"]


def comparisons_folder(run: Run) -> Path:
    """Where a run keeps its comparisons."""
    return run.analysis.folder / "comparisons"


def read_comparisons(run: Run) -> list[dict[str, Any]]:
    """All comparisons of a run, oldest first, each with its Holm-adjusted ``p_holm``.

    Raises
    ------
    BadInputError
        If the file of one is damaged.
    """
    found = []
    for path in comparisons_folder(run).glob("*/comparison.json"):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            found.append({**result, "folder": str(path.parent), "p": float(result["p"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"{path}: damaged ({error}).", code="bad-comparison") from error
    found.sort(key=lambda one: str(one.get("made", "")))
    for one, p in zip(found, holm([one["p"] for one in found]), strict=True):
        one["p_holm"] = p
    return found


def holm(p_values: list[float]) -> list[float]:
    """p of each test, adjusted for their number."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def record_comparison(
    run: Run, ids: list[str], names: tuple[str, str], found: Comparison, made: str
) -> dict[str, Any]:
    """Keep a comparison in its run; one of the same groups is replaced and not counted twice.

    Parameters
    ----------
    run, ids
        The run and the identities of its particles, in the order of the labels.
    names
        Of both groups.
    found
        The result.
    made
        When, as ISO 8601.

    Returns
    -------
    What was written, with ``p_holm`` among all comparisons of the run.
    """
    result = describe_comparison(ids, names, found)
    digest = result["groups_sha256"]
    earlier = [one for one in read_comparisons(run) if one["groups_sha256"] == digest]
    folder = (
        Path(earlier[0]["folder"]) if earlier else comparisons_folder(run) / _name(names, digest)
    )
    write_text(
        folder / "comparison.json",
        json.dumps(without_nan({**result, "made": made}), indent=2) + "\n",
    )
    save_maps(found.kept, ids, folder)
    return next(one for one in read_comparisons(run) if one["folder"] == str(folder))


def describe_comparison(
    ids: list[str], names: tuple[str, str], found: Comparison
) -> dict[str, Any]:
    """All figures of a comparison as plain numbers and words."""
    causes, test = found.causes, found.causes.tests[MOLECULE]
    compared = [int((found.crossed.labels == side).sum()) for side in (1, -1)]
    return {
        "a": names[0],
        "b": names[1],
        "sentence": found.sentence(*names),
        "differ": found.differ,
        "cause": causes.name,
        "z": test.z,
        "p": test.p if found.tellable else 1.0,
        "permutations": found.permutations,
        "resolution_angstrom": found.resolution_angstrom,
        "change": found.change,
        "parts": found.kind.parts if found.kind else 0,
        "motion": asdict(found.kind.motion) if found.kind and found.kind.motion else None,
        "blobs": [asdict(blob) for blob in found.blobs],
        "particles_a": int((found.drawn == 1).sum()),
        "particles_b": int((found.drawn == -1).sum()),
        "particles_in_run": len(ids),
        "half_particles_a": compared[0],
        "half_particles_b": compared[1],
        "cross_fitted": found.crossed.crossed,
        "agreement_of_halves": found.crossed.agreement,
        "attenuation": found.crossed.attenuation,
        "amplitude_a": causes.amplitudes[0],
        "amplitude_b": causes.amplitudes[1],
        "tests": {name: asdict(one) for name, one in {**causes.tests, "all": causes.whole}.items()},
        "tomograms": list(found.by_tomogram) if found.by_tomogram else None,
        "groups_sha256": _digest(ids, found.drawn),
    }


def molecule_words(record: dict[str, Any]) -> str:
    """Say of the difference in the molecule, which alone ``p`` is of, how sure it is.

    Parameters
    ----------
    record
        Of `describe_comparison`, with ``p_holm`` where it is kept.
    """
    if record["cause"] == JUNK:
        held = min(float(record["amplitude_a"]), float(record["amplitude_b"]))
        return (
            f"The images of one group hold {max(held, 0.0):.0%} of the map that all share, and "
            "agree on little else: false picks, or images of nothing."
        )
    tests, count, p = record["tests"], int(record["permutations"]), float(record["p"])
    left, whole = tests[MOLECULE], tests["all"]
    adjusted = float(record.get("p_holm", p))
    words = [f"{left['z']:.1f} σ", chance(p, count)]
    words[1] += "" if "=" in words[1] else f" (none of {count:,} random splits differs as much)"
    if adjusted != p:
        words.append(f"{adjusted:.2g} adjusted for the comparisons of this run")
    taken_out, figures = "With poses, contrast and defocus taken out", ", ".join(words)
    if p >= DIFFER:
        return f"{taken_out}, the molecule differs no more than in random groups: {figures}."
    said = f"{taken_out}, the molecule differs by {figures}"
    if record["differ"]:
        return f"{said}."
    share = max(0.0, left["statistic"] / whole["statistic"])
    return f"{said}, but {share:.0%} of the whole difference: too little to be of the molecule."


def places_in(record: dict[str, Any]) -> list[Blob]:
    """The places that the sentence counts, the surest first; none where it is not the molecule."""
    if record["cause"] != MOLECULE:
        return []
    blobs = [
        Blob(**{**one, "center_xyz_angstrom": tuple(one["center_xyz_angstrom"])})
        for one in record.get("blobs", [])
    ]
    resolution = record.get("resolution_angstrom")
    finest = float("nan") if resolution is None else float(resolution)  # where halves agree nowhere
    return places_of(blobs, finest if np.isfinite(finest) else 0.0)


def other_places(record: dict[str, Any]) -> str:
    """Say where else groups differ beyond chance, the surest places first: the sentence has one."""
    others, said = places_in(record)[1:], []
    for blob in others[:_MOST_PLACES]:
        place = ", ".join(f"{value:.0f}" for value in blob.center_xyz_angstrom)
        where = f"{blob.diameter_angstrom:.0f} Å across at ({place}) Å"
        said.append(f"{where}, more in {'A' if blob.z > 0 else 'B'} ({abs(blob.z):.1f} σ)")
    more = f"; {len(others) - len(said)} more" if len(others) > len(said) else ""
    return f" Also {'; '.join(said)}{more}." if said else ""


def save_maps(found: ComparedMaps, ids: list[str], out: Path) -> None:
    """Write maps, curves and memberships of a comparison into a folder.

    ``difference.mrc, standard_error.mrc, difference_fsc.csv, difference_shells.csv, particles.csv``
    and, where both groups were reconstructed, ``a.mrc, a_half1.mrc, a_half2.mrc, a_fsc.csv`` and
    the same of b.
    """
    write_volume(out / _DIFFERENCE, found.difference.difference)
    write_volume(out / _ERROR, found.difference.standard_error)
    _write_fsc(out / "difference_fsc.csv", found.difference.fsc)
    _write_table(out / _SHELLS, pd.DataFrame(found.difference.shells, columns=_SHELL_COLUMNS))
    rows = (found.drawn, *found.labels)
    labels = {name: [_WORDS[int(x)] for x in row] for name, row in zip(_LABELS, rows, strict=True)}
    _write_table(out / _PARTICLES, pd.DataFrame({"particle_id": ids, **labels}))
    for name, group in zip("ab", found.maps or (), strict=False):
        write_volume(out / f"{name}.mrc", group.filtered)
        write_volume(out / f"{name}_half1.mrc", group.half1)
        write_volume(out / f"{name}_half2.mrc", group.half2)
        _write_fsc(out / f"{name}_fsc.csv", group.fsc)


def read_kept_maps(folder: Path) -> tuple[list[str], ComparedMaps]:
    """Read what `save_maps` wrote: identities in the order of the labels, and all else.

    Raises
    ------
    BadInputError
        If a file is absent or damaged.
    """
    try:
        table = pd.read_csv(folder / _PARTICLES, dtype=str, keep_default_na=False)
        labels = np.array([table[name].map(_LABEL_OF).to_numpy(np.int8) for name in _LABELS])
        shells = pd.read_csv(folder / _SHELLS)[_SHELL_COLUMNS].to_numpy(float)
        difference = DifferenceMap(
            read_volume(folder / _DIFFERENCE),
            read_volume(folder / _ERROR),
            _read_fsc(folder / "difference_fsc.csv"),
            shells,
        )
        there = (folder / "a.mrc").exists()
        maps = (_read_group(folder, "a"), _read_group(folder, "b")) if there else None
        ids = [str(one) for one in table["particle_id"]]
    except (OSError, ValueError, KeyError) as error:
        raise BadInputError(
            f"{folder}: its maps and curves are incomplete or damaged ({error}).",
            remedy="Compare the groups again.",
            code="bad-comparison",
        ) from error
    return ids, ComparedMaps(labels[0], labels[1:], difference, maps)


def find_kept(
    run: Run, a: frozenset[str], b: frozenset[str] | str
) -> tuple[dict[str, Any], list[str], ComparedMaps] | None:
    """The newest comparison of these particles that a run keeps: its record, identities and maps.

    ``b`` is a name where B was drawn at random. None where there is no such comparison.

    Raises
    ------
    BadInputError
        If a file of one is damaged.
    """
    for record in reversed(read_comparisons(run)):
        like_b = record["b"] == b if isinstance(b, str) else record["particles_b"] == len(b)
        if record["particles_a"] != len(a) or not like_b:
            continue
        ids, kept = read_kept_maps(Path(record["folder"]))
        in_a, in_b = (
            frozenset(one for one, x in zip(ids, kept.drawn, strict=True) if x == side)
            for side in (1, -1)
        )
        if in_a == a and (isinstance(b, str) or in_b == b):
            return record, ids, kept
    return None


def _read_group(folder: Path, name: str) -> GroupMap:
    whole, one, two = (read_volume(folder / f"{name}{x}.mrc") for x in ("", "_half1", "_half2"))
    return GroupMap(whole, one, two, _read_fsc(folder / f"{name}_fsc.csv"))


def _read_fsc(path: Path) -> FscCurve:
    table = pd.read_csv(path)
    return FscCurve(table["fsc"].to_numpy(float), table["frequency_per_angstrom"].to_numpy(float))


def _write_fsc(path: Path, curve: FscCurve) -> None:
    columns = {
        "shell": np.arange(len(curve.correlation)),
        "frequency_per_angstrom": curve.frequency_per_angstrom,
        "fsc": curve.correlation,
    }
    _write_table(path, pd.DataFrame(columns))


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False)


def _digest(ids: list[str], drawn: Labels) -> str:
    """Of two groups, the same whichever is called A."""
    texts = [
        "\n".join(f"{name} {label}" for name, label in zip(ids, sign * drawn, strict=True))
        for sign in (1, -1)
    ]
    return hashlib.sha256(min(texts).encode()).hexdigest()


def _name(names: tuple[str, str], digest: str) -> str:
    words = re.sub(r"[^\w+-]+", "-", "-vs-".join(names)).strip("-")[:80]
    return f"{words}-{digest[:8]}"
