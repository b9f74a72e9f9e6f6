"""What was done in a window, as frozen records that are lines of Python, too.

Each action is a call of a `Workspace`: its verb, its arguments, plain numbers and words all of
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from textwrap import indent

import numpy as np

WIDTH, INDENT = 96, 4  # letters of a line of the script, and of its indent
# What later actions depend on, and that is told anew only where it has changed.
SHOW_EPOCH = "show_epoch"


@dataclass(frozen=True)
class Action:
    """One call of a `Workspace`; ``options`` are its named arguments."""

    verb: str
    arguments: tuple[object, ...] = ()
    options: tuple[tuple[str, object], ...] = ()

    @classmethod
    def of(cls, verb: str, *arguments: object, **options: object) -> Action:
        """Make an action of plain values: numbers of numpy are made Python's."""
        plain = tuple(_plain(one) for one in arguments)
        return cls(verb, plain, tuple((name, _plain(one)) for name, one in options.items()))

    def line(self, width: int = WIDTH) -> str:
        """The call as Python, on several lines where it is long."""
        words = [_words(one, width) for one in self.arguments]
        words += [f"{name}={_words(one, width)}" for name, one in self.options]
        short = f"work.{self.verb}({', '.join(words)})"
        if len(short) <= width and "\n" not in short:
            return short
        inner = "".join(indent(f"{word},\n", " " * INDENT) for word in words)
        return f"work.{self.verb}(\n{inner})"


def ids_of(particles: Iterable[str]) -> list[str]:
    """Identities as an argument, in an order that is always the same: that of words.

    Sorted outside Python, whose lock a sort of 300,000 words would hold for 0.1 s.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = pa.array([str(name) for name in particles], type=pa.large_string())
    in_order: list[str] = names.take(pc.sort_indices(names)).to_pylist()
    return in_order


def file_name(path: str | Path) -> str:
    """The name alone: a script writes where it is run, not over what the window wrote."""
    return Path(path).name


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str):
        return str(value)  # also of what is a word by its type, such as a mode
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value


def _words(value: object, width: int) -> str:
    """A value as Python; one that is too long for a line is broken between its parts."""
    return pformat(value, width=width - 2 * INDENT, compact=True, sort_dicts=False)
