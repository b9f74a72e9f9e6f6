"""Comparisons of a run: the sentence, its figures, maps of both groups and of their difference."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.evidence.drawn_difference import (
    FIRST_ERRORS,
    finest_piece,
    in_standard_errors,
)
from napari_tomodrgn.analysis.evidence.permutation import chance
from napari_tomodrgn.analysis.evidence.records import places_in, read_comparisons
from napari_tomodrgn.analysis.report.charts import (
    columns_table,
    line_chart,
    lines_table,
    turning_difference,
    turning_picture,
)
from napari_tomodrgn.analysis.report.classes import Classes, dot, group_colors
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.palette import DIFFERENCE, difference_colors

_EARLIER = "<p>These are clusters as they were then; those above were made anew.</p>"


def comparison_section(run: Run, classes: Classes) -> str:
    """All comparisons of a run, oldest first."""
    found = read_comparisons(run)
    if not found:
        return "<p>None were made.</p>"
    parts = [
        "<p>Groups are chosen from one half of each particle's tilts and compared in the other. "
        f"{_about_p(len(found))}</p>"
    ]
    for one in found:
        figures = {
            "particles": f"{one['particles_a']} and {one['particles_b']}",
            **_chances(one, len(found)),
            "tilt halves agree on": f"{one['agreement_of_halves']:.0%} of the particles",
            "kept of a difference where groups are put by half of the images": (
                f"{one['attenuation']:.0%}"
            ),
        }
        earlier = "" if _are_those_above(one, classes) else _EARLIER
        colors = group_colors(run, (str(one["a"]), str(one["b"])), classes)
        sentence = f'<p class="sentence">{escape(str(one["sentence"]))}</p>'
        curves = _curves(Path(one["folder"]), colors)
        found_in = _places(one)
        parts += [sentence, earlier, lines_table(figures), found_in, _maps(one, colors), curves]
    return "".join(parts)


def _are_those_above(one: dict[str, Any], classes: Classes) -> bool:
    """Whether clusters that were compared are the classes of the page; they bear the same names."""
    file = Path(one["folder"]) / "particles.csv"
    if not file.exists():
        return True
    drawn = pd.read_csv(file)["drawn"].to_numpy()
    return len(drawn) == len(classes.codes) and all(
        classes.has_members(str(one[side]), drawn == side) for side in "ab"
    )


def _about_p(count: int) -> str:
    if count == 1:
        return "It is the only comparison of this run: its p stands as it is."
    return (
        f"p is adjusted (Holm) for the {count} comparisons of this run: each further one is "
        "another chance to find a difference where there is none, so p grows with their number."
    )


def _chances(one: dict[str, Any], count: int) -> dict[str, str]:
    alone = chance(one["p"], int(one["permutations"])).removeprefix("p ").removeprefix("= ")
    splits = f"{one['permutations']:,} random splits"
    if count == 1:
        return {f"p of a difference in the molecule, of {splits}": alone}
    words = f"{one['p_holm']:.2g} (alone {alone}, of {splits})"
    name = "p of a difference in the molecule"
    return {f"{name}, adjusted (Holm) for the {count} comparisons of this run": words}


def _maps(one: dict[str, Any], colors: tuple[str, str]) -> str:
    """Pictures of A, B and A − B, as far as the comparison left their maps."""
    folder, figures = Path(one["folder"]), []
    for letter, color in zip("ab", colors, strict=True):
        if (file := folder / f"{letter}.mrc").exists():
            name = f"{letter.upper()}: {one[letter]}"
            picture = turning_picture(read_volume(file), name, color)
            figures.append(
                f"<figure>{picture}<figcaption>{dot(color)} {escape(name)}</figcaption></figure>"
            )
    needed = (folder / name for name in ("difference.mrc", "standard_error.mrc"))
    if figures and all(file.exists() for file in needed):
        figures.append(_difference(one, folder, difference_colors(colors)))
    return f'<div class="classes">{"".join(figures)}</div>' if figures else ""


def _difference(one: dict[str, Any], folder: Path, colors: tuple[str, str]) -> str:
    difference = read_volume(folder / "difference.mrc")
    resolution = one.get("resolution_angstrom")
    finest = finest_piece(difference, math.nan if resolution is None else float(resolution))
    errors = in_standard_errors(
        difference, read_volume(folder / "standard_error.mrc"), FIRST_ERRORS, finest
    )
    behind = read_volume(next(file for file in folder.glob("[ab].mrc")))
    picture = turning_difference(errors, FIRST_ERRORS, behind, "A − B", colors)
    there = bool((np.abs(errors.data) > FIRST_ERRORS).any())
    words = "nothing there"
    if there:
        words = f"{dot(colors[0])} more in A, {dot(colors[1])} more in B"
    return (
        f"<figure>{picture}<figcaption>A − B at {FIRST_ERRORS:g} standard errors</figcaption>"
        f"{words}</figure>"
    )


def _places(one: dict[str, Any]) -> str:
    """Every place beyond chance, where there are several: the sentence names the surest."""
    blobs = places_in(one)
    if len(blobs) < 2:
        return ""
    rows = [
        {
            "place, xyz from the middle of the box (Å)": ", ".join(
                f"{value:.0f}" for value in blob.center_xyz_angstrom
            ),
            "across (Å)": f"{blob.diameter_angstrom:.0f}",
            "more in": "A" if blob.z > 0 else "B",
            "σ at its surest voxel": f"{abs(blob.z):.1f}",
        }
        for blob in blobs
    ]
    return columns_table(pd.DataFrame(rows))


def _curves(folder: Path, colors: tuple[str, str]) -> str:
    curves, frequency = {}, None
    looks = (("a", "A", colors[0]), ("b", "B", colors[1]), ("difference", "A − B", DIFFERENCE))
    for name, word, color in looks:
        file = folder / f"{name}_fsc.csv"
        if file.exists():
            table = pd.read_csv(file)
            curves[word] = (table["fsc"].to_numpy(float)[1:], color)
            frequency = table["frequency_per_angstrom"].to_numpy(float)[1:]
    if frequency is None:
        return ""
    ticks = [f"{1 / value:.0f} Å" for value in np.linspace(frequency[0], frequency[-1], 5)]
    return line_chart(frequency, curves, ("resolution", "FSC of half maps"), ticks)
