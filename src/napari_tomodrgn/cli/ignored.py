"""Options that would be ignored: of another one that is not given, or against one that is.

What is said of them stands in one table; `refuse_ignored` looks it up before a command begins.
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_tomodrgn.errors import BadInputError

_Fits = Callable[[Namespace], bool]


@dataclass(frozen=True)
class _Rule:
    """Options that mean something only where ``fits`` holds; else ``said`` is said of them."""

    names: tuple[str, ...]
    fits: _Fits
    said: str
    remedy: str = ""


def _of(other: str, *names: str) -> _Rule:
    """Options of another one, which has to be given."""
    return _Rule(
        names,
        lambda options: _is_given(options, other),
        f"is of {_flag(other)}, which is not given",
    )


def _without(other: str, *names: str) -> _Rule:
    """Options that say nothing where another one is given."""
    return _Rule(
        names,
        lambda options: not _is_given(options, other),
        f"does not go with {_flag(other)}",
        "Leave one of them out.",
    )


def _is_given(options: Namespace, name: str) -> bool:
    return getattr(options, name, None) not in (None, False)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _reads_each(options: Namespace) -> bool:
    return any("=" in text for text in options.map or ())


def _colors_or_names(options: Namespace) -> bool:
    """Whether latents of an epoch say anything where no map is decoded."""
    return bool((not options.markers and not options.map) or options.color or _reads_each(options))


def _keeps_tilts(options: Namespace) -> bool:
    # With --min-tilts they say which tilts are counted, which is a choice of particles.
    return options.out.suffix == ".star" or options.min_tilts is not None


_READING = ("dialect", "pixel_size", "hand", "dose_per_tilt", "column")
_DECODING = ("box", "lowpass", "no_shell_filter", "device")

_OF_ALL = (_of("where", "table"),)
_RULES: dict[str, tuple[_Rule, ...]] = {
    "analyze": (
        _of("volumes", "sample", "box", "no_umap", "mask"),
        _without("volumes", "mixture", "states", "tsne", "class_images", "images"),
        _of("class_images", "images"),
    ),
    "columns": (_of("out", "column"),),
    "demo": (_without("no_view", "screenshot"),),
    "embed": (
        _Rule(
            _READING,
            lambda options: options.source is not None,
            "says how to read SOURCE, which is not given",
            "Without one, particles are read as they were for the training.",
        ),
    ),
    "inspect": (_without("ids", "json", "tomograms"),),
    "mask": (_of("difference", "sigma"),),
    "place": (
        _without("markers", "consensus", "map", "map_by", "by_cluster", "sigma", *_DECODING),
        _of("markers", "radius"),
        _of("places", "places_pixel_size"),
        _Rule(
            ("by_cluster", "consensus", *_DECODING),
            lambda options: not options.map,
            "is of decoded maps; --map gives them",
        ),
        _without("consensus", "by_cluster"),
        _Rule(("map_by",), _reads_each, "is of --map VALUE=FILE, which is not given"),
        _Rule(
            ("epoch",),
            _colors_or_names,
            "is of decoded maps and of --color, neither of which is asked for",
        ),
    ),
    "reconstruct": (
        _Rule(("symmetry",), lambda options: options.method == "average", "is of --method average"),
        _Rule(("epochs",), lambda options: options.method == "network", "is of --method network"),
    ),
    "select": (
        _Rule(
            ("max_tilts", "max_dose", "exclude_tilts"),
            _keeps_tilts,
            "chooses tilt images, which an index of particles cannot hold",
            "Write a star file, or leave it out.",
        ),
    ),
    "simulate": (_without("continuous", "states"), _without("assembly", "states")),
    "train": (_of("slurm", "nodes", "gpus", "time"),),
    "traverse": (
        _of("component", "frames", "limits", "on_data"),
        _of("through", "neighbors"),
    ),
}


def given_names(parser: argparse.ArgumentParser, words: Sequence[str]) -> set[str]:
    """Names of the options of a command that stand in its words, whatever their defaults."""
    flags = {flag: action.dest for action in parser._actions for flag in action.option_strings}
    own = words[: words.index("--")] if "--" in words else words
    heads = {word.partition("=")[0] for word in own}
    return {flags[head] for head in heads if head in flags}


def refuse_ignored(options: Namespace, given: set[str]) -> None:
    """Raise if the command line has an option that says nothing together with the others.

    Raises
    ------
    BadInputError
        With the first of them.
    """
    for rule in (*_RULES.get(options.command, ()), *_OF_ALL):
        names = [name for name in rule.names if name in given]
        if names and not rule.fits(options):
            raise BadInputError(
                f"{_flag(names[0])} {rule.said}.", remedy=rule.remedy, code="ignored-option"
            )
