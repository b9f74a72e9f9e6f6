"""What several commands may be asked for in the same words, and how its values are read."""

from __future__ import annotations

import argparse
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
        type=int,
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


def positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def natural_int(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {value}")
    return value


def positive_float(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be larger than 0, got {text}")
    return value


def cluster_numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be numbers such as 1,4, got {text}") from error
