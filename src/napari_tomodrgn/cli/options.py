"""What several commands may be asked for in the same words, and how its values are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

YES_NO = {"yes": True, "no": False}


def add_source(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        type=Path,
        nargs="?" if optional else None,
        help="star file of particles, or optimisation set",
    )
    parser.add_argument(
        "--images",
        metavar="DIR",
        type=Path,
        help="folder to look for image stacks in, if they are not where the star file says",
    )
    parser.add_argument(
        "--dialect", metavar="NAME", help="which program wrote the star file (default: recognised)"
    )
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """What the user knows better than the star file; a run remembers it."""
    add = parser.add_argument
    add(
        "--pixel-size",
        metavar="A",
        type=positive_float,
        help="pixel size of the images in Å, instead of the star file's",
    )
    add(
        "--hand",
        type=whole_number,
        choices=[-1, 1],
        help="instead of rlnTomoHand: the other one turns the sign of what a particle's height in "
        "its tomogram adds to the defocus",
    )
    add(
        "--dose-per-tilt",
        metavar="E",
        type=positive_float,
        help="dose of one tilt image in e/Å²; doses are built up anew, in the order of those in "
        "the file, where it has none of rlnTomoTiltMovieIndex, else of its rows",
    )
    add(
        "--column",
        metavar="NAME=COLUMN",
        type=column_override,
        action="append",
        help="read a column instead of the one of this name, for example "
        "rlnDefocusU=myDefocus; may be given several times",
    )


def column_override(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not (name and equals and column):
        raise argparse.ArgumentTypeError(f"must be of the form NAME=COLUMN, got {text}")
    return name, column


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """What was done to the images before; a run remembers it."""
    add = parser.add_argument
    add(
        "--contrast",
        choices=["auto", "keep", "invert"],
        help="sign of the images; auto, the default, decides by a quick reconstruction",
    )
    add(
        "--ctf-premultiplied",
        choices=list(YES_NO),
        help="whether the images were multiplied by their CTF; else as the star file says",
    )
    add(
        "--dose-weighted",
        choices=list(YES_NO),
        help="whether the images were filtered by dose; else as the star file says",
    )


def add_binning(parser: argparse.ArgumentParser) -> None:
    """How fine the images are looked at; a run remembers it."""
    add = parser.add_argument
    add(
        "--pixel-size-target",
        metavar="A",
        type=number,
        help="crop images in Fourier space to about this pixel size in Å as they are read",
    )
    add(
        "--box-target",
        metavar="N",
        type=whole_number,
        help="then keep only the middle N pixels of each image, an even number",
    )


def add_choice(parser: argparse.ArgumentParser, *, tilts: bool = True) -> None:
    """Which particles and tilt images are taken; what is given twice has to hold twice."""
    add = parser.add_argument_group("which particles and tilt images").add_argument
    add("--tomogram", metavar="NAME", nargs="+", help="only particles of these tomograms")
    add_particles(add)
    add_conditions(add)
    if not tilts:
        return
    add("--min-tilts", metavar="N", type=whole_number, help="only particles of so many tilt images")
    add(
        "--max-tilts",
        metavar="N",
        type=whole_number,
        help="of each particle at most so many tilt images, those of the lowest dose",
    )
    add("--max-dose", metavar="E", type=number, help="only tilt images up to this dose in e/Å²")
    add(
        "--exclude-tilts",
        metavar="0,5-7",
        type=numbers,
        help="leave out these tilts, by their number in the series from 0",
    )


def add_particles(add: Callable[..., object]) -> None:
    add(
        "--particles",
        metavar="FILE",
        type=Path,
        help="only the particles of a list (.txt, an id a line), a table (.csv with particle_id) "
        "or a star file",
    )


def add_groups(add: Callable[..., object]) -> None:
    """Particles by what was found of them in a run."""
    add(
        "--clusters",
        metavar="1-3,5",
        type=numbers,
        help="only particles of these of the run's clusters, which were made in the window or by "
        "analyze, whichever was last",
    )
    add(
        "--selection",
        metavar="NAME",
        help="only particles of this named selection (analysis/selections of the run)",
    )


def add_conditions(add: Callable[..., object]) -> None:
    """Particles by conditions on their columns, or by numbers of other programs."""
    add(
        "--where",
        metavar="EXPRESSION",
        help="only particles that satisfy a condition on columns, such as 'cluster in (1,3) and "
        "depth < 400'; names with blanks in backticks; abs(…) and zscore(…) of a column",
    )
    add(
        "--table",
        metavar="FILE",
        type=Path,
        action="append",
        help="more columns for --where: .csv, .tsv, .star, .npy, or .pkl of tomoDRGN and cryoDRGN",
    )
    add(
        "--index",
        metavar="FILE",
        type=Path,
        help="only particles of an index of tomoDRGN or cryoDRGN (.pkl, .npy): numbers from 0 in "
        "the star file",
    )


def add_hand_and_sign(add: Callable[..., object]) -> None:
    add("--flip", action="store_true", help="maps of the other hand, mirrored along z")
    add("--invert", action="store_true", help="maps with their sign turned")


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that exist, if they are neither read here nor part of a run",
    )


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text}") from None


def positive_int(text: str) -> int:
    value = whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def natural_int(text: str) -> int:
    value = whole_number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {value}")
    return value


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text}") from None


def positive_float(text: str) -> float:
    value = number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be larger than 0, got {text}")
    return value


def slurm_time(text: str) -> str:
    """A time limit in a form that SLURM takes; others are refused by sbatch, long afterwards."""
    if not re.fullmatch(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}", text, re.ASCII):
        raise argparse.ArgumentTypeError(
            f"must be minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS, got {text}"
        )
    return text


def numbers(text: str) -> list[int]:
    """Numbers and ranges, such as ``1-3,5``."""
    # Late, so that --help does not wait for pydantic.
    from napari_tomodrgn.config import unrolled

    try:
        return [int(one) for part in text.split(",") for one in unrolled(part)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers such as 1-3,5, got {text}") from None


def add_shell_filter(add: Callable[..., object]) -> None:
    """Whether decoded maps show only the differences that held-out images support."""
    add(
        "--no-shell-filter",
        action="store_true",
        help="maps with all differences that were learnt, also those that held-out images do not "
        "support",
    )


def add_map_options(add: Callable[..., object]) -> None:
    """How maps are decoded: edge, resolution, shell filter, epoch, device."""
    add(
        "--box",
        metavar="N",
        type=positive_int,
        help="edge of the maps in voxels, even (as trained)",
    )
    add("--lowpass", metavar="A", type=positive_float, help="resolution to cut the maps at, in Å")
    add_shell_filter(add)
    add("--epoch", metavar="N", type=natural_int, help="epoch to use (last); 0: the first look")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")
