"""The arguments of the commands that ask whether a difference is real."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from napari_tomodrgn.cli.options import positive_int

_SET = (
    "a selection's name, clusters as 1,4 or 1-3, a text file of particle ids, one a line, or a "
    "condition on columns in parentheses"
)


def _compare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="run directory")
    add("--a", metavar="SET", required=True, help=f"one group: {_SET}")
    other = parser.add_mutually_exclusive_group(required=True)
    other.add_argument("--b", metavar="SET", help="the other group, likewise")
    other.add_argument(
        "--complement", action="store_true", help="compare with all other particles of the run"
    )
    other.add_argument(
        "--random",
        action="store_true",
        help="compare with as many other particles, drawn at random, alike in tomogram, viewing "
        "direction, defocus and number of tilts",
    )
    add("--out", metavar="DIR", type=Path, required=True, help="folder for maps and tables")
    add("--json", action="store_true", help="print one JSON object")
    add(
        "--without-images",
        action="store_true",
        help="the groups were made without looking at images, latents or maps (by tomogram, place, "
        "acquisition): compare them as they are, in all images",
    )
    add(
        "--permutations",
        metavar="N",
        type=permutation_count,
        help="random splits that errors and chances come from, 1000 or more (4999)",
    )
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")
    add("--seed", metavar="N", type=int, default=0, help="of random splits and groups (0)")


def _compare_runs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="run directory")
    add("other", metavar="RUN", type=Path, help="another run on the same particles")
    add("--out", metavar="DIR", type=Path, required=True, help="folder for the table")
    add("--clusters", metavar="K", type=positive_int, default=4, help="clusters to compare (4)")
    add("--json", action="store_true", help="print one JSON object")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    parser.add_argument(
        "--out", metavar="FILE.html", type=Path, required=True, help="page to write, one file"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a page that is there")


def _shares(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="run directory, analysed")
    add(
        "--conditions",
        metavar="FILE.csv",
        type=Path,
        required=True,
        help="table with the columns tomogram and condition",
    )
    add("--out", metavar="FILE.csv", type=Path, required=True, help="table to write")
    add("--figure", metavar="FILE.svg", type=Path, help="figure to write: shares, with intervals")
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")
    add("--overwrite", action="store_true", help="replace files that are there")


def _trust(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="run directory")
    add("--out", metavar="FILE.csv", type=Path, required=True, help="table to write")
    add("--overwrite", action="store_true", help="replace a table that is there")
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")


# Flag → metavar, help. Names are those of the simulation's nuisances.
_NUISANCES = {
    "pose_error": ("DEG", "angles in the star are off, standard deviation about each axis"),
    "shift_error": ("A", "places in the star are off, standard deviation along each axis in Å"),
    "neighbors": ("N", "mean number of other molecules around each particle; crowded: 3 to 6"),
    "membranes": ("SHARE", "share of particles beside a membrane, 0 to 1"),
    "defocus_error": ("A", "defocus is off, standard deviation by particle in Å"),
    "tilt_angle_error": ("DEG", "tilts are off, standard deviation by image of a series"),
    "thickness": ("MFP", "ice in mean free paths: the signal falls with the path at high tilt"),
    "uneven_dose": ("X", "doses are uneven, standard deviation of their logarithm"),
    "false_picks": ("SHARE", "share of particles that are not there, 0 to 1"),
}
_UNITS = {"pose_error": "_deg", "tilt_angle_error": "_deg"}
_UNITS |= {"shift_error": "_angstrom", "defocus_error": "_angstrom"}


def add_nuisances(parser: argparse.ArgumentParser) -> None:
    """What is to be wrong with simulated images; truth.csv and truth_tilts.csv say it of each."""
    group = parser.add_argument_group("what is wrong with the images, all 0 unless given")
    for name, (metavar, text) in _NUISANCES.items():
        group.add_argument(
            "--" + name.replace("_", "-"), metavar=metavar, type=natural_float, help=text
        )


def nuisance_settings(options: argparse.Namespace) -> dict[str, float]:
    """Settings of the nuisances that were asked for."""
    given = {name: getattr(options, name) for name in _NUISANCES}
    return {
        name + _UNITS.get(name, ""): value for name, value in given.items() if value is not None
    }


def permutation_count(text: str) -> int:
    """Read a number of permutations; fewer cannot show a p below 0.001, which is what counts."""
    value = int(text)
    if value < 1000:
        raise argparse.ArgumentTypeError(f"must be at least 1000, got {value}")
    return value


def natural_float(text: str) -> float:
    """Read a number that is not negative."""
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return value


EVIDENCE_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "compare": ("say whether two groups differ, by images that chose neither", _compare),
    "compare-runs": ("say where two runs put the same particles, and who moved", _compare_runs),
    "shares": ("shares of clusters by condition of the tomograms, with intervals", _shares),
    "trust": ("how much of the map of all particles the images of each hold", _trust),
    "report": ("write one self-contained page about a run", _report),
}
