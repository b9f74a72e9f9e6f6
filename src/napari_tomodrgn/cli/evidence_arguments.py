"""The arguments of the commands that ask whether a difference is real."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from napari_tomodrgn.cli.options import positive_int

_SET = "a selection's name, clusters as 1,4 or 1-3, or a text file of particle ids, one a line"


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
        type=positive_int,
        default=4999,
        help="random splits that errors and chances come from (4999)",
    )
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")
    add("--seed", metavar="N", type=int, default=0, help="of random splits and groups (0)")


EVIDENCE_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "compare": (
        "say whether two groups of particles differ, by images that chose neither",
        _compare,
    ),
}
