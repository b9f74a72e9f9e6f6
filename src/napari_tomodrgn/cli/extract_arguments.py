"""The arguments of `extract`."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_tomodrgn.cli.options import positive_float, positive_int


def add_extract_arguments(parser: argparse.ArgumentParser) -> None:
    """List, folders, how images are cut, and what files do not settle."""
    add = parser.add_argument
    add(
        "particles",
        metavar="PARTICLES",
        type=Path,
        help="list of STOPGAP, RELION, Warp (.star), AV3 (.em), Dynamo (.tbl), PyTom (.xml), "
        "emClarity or named columns (.csv), copick (.json), EMAN2 (.lst)",
    )
    add("--out", metavar="OUT", type=Path, required=True, help="folder to make, or to go on with")
    _add_folders(parser)
    _add_boxes(parser)
    _add_conventions(parser)
    add("--dry-run", action="store_true", help="read, decide and count everything; write nothing")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where everything is").add_argument
    add(
        "--tilt-series",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder with one stack a tilt series (.st, .mrc), or a folder each",
    )
    add(
        "--alignment",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder with .xf and .tlt (IMOD), .aln (AreTomo), .xml (Warp), _info.json (EMAN2); or "
        "a tomograms star (RELION 4, 5)",
    )
    add("--ctf", metavar="DIR", type=Path, help="ctffind, AreTomo, IMOD, Warp or RELION star")
    add("--dose", metavar="DIR", type=Path, help="mdoc, Warp or RELION star")
    add("--dose-per-tilt", metavar="E", type=positive_float, help="e/Å²; needs --order")
    add(
        "--order",
        metavar="FILE",
        type=Path,
        help="number in time of each tilt of the stacks, one a line (or number, angle)",
    )
    add("--tomograms", metavar="DIR", type=Path, help="reconstructions; only headers are read")
    add("--tomogram", metavar="NAME", nargs="+", default=(), help="only these, as the list says")
    add(
        "--match",
        metavar="TABLE.csv",
        type=Path,
        help="which belong together where names do not say: tomogram,tilt_series",
    )


def _add_boxes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how images are cut").add_argument
    add("--box-target", metavar="N", type=positive_int, help="edge of the images in px (64)")
    add("--pixel-size-target", metavar="A", type=positive_float, help="Å (that of the series)")
    add(
        "--pixel-size",
        metavar="A",
        type=positive_float,
        help="of the tilt series, not the header's",
    )
    add("--list-pixel-size", metavar="A", type=positive_float, help="voxel that the list counts")
    add("--stacks", choices=["raw", "aligned", "auto"], help="kind of stack to cut from (auto)")
    add(
        "--min-tilts",
        metavar="N",
        type=positive_int,
        help="leave out particles with fewer whole images (a third of the tilts)",
    )
    add("--float16", action="store_true", help="write images in half the space")
    add("--image-series", action="store_true", help="also write image_series.star, a row an image")


def _add_conventions(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what files may not settle; auto asks the data").add_argument
    add("--z", choices=["keep", "mirror", "auto"], help="which way z of the list runs (auto)")
    add("--pose", choices=["keep", "inverse", "auto"], help="direction of the poses (auto)")
    add("--hand", choices=["auto", "1", "-1"], help="sign of heights in the defocus (auto)")
    add("--origin", choices=["auto", "0", "1"], help="from where voxels of the list count (auto)")
    add("--ignore-local", action="store_true", help="use the global alignment where a local one is")
    add("--voltage", metavar="KV", type=positive_float, help="kV, where no file says")
    add("--spherical-aberration", metavar="MM", type=positive_float, help="mm, where no file says")
    add("--amplitude-contrast", metavar="X", type=positive_float, help="where no file says")
