"""Pickles of other programs, read so that nothing in them is ever run.

A pickle is a program: it names functions and calls them. Here the only names that mean anything are
those that numpy arrays are made of; all others are refused, or become placeholders that do nothing.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import numpy as np

from napari_tomodrgn.errors import BadInputError

_Found = TypeVar("_Found")

_CORES = ("numpy.core", "numpy._core")
# What a damaged or hostile stream can make the unpickler's own code raise.
_FAILURES = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class Placeholder:
    """Stands for an object of a class that we do not know; whatever is done to it does nothing."""

    def __init__(self, *_arguments: object, **_named: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...

    def __setitem__(self, _key: object, _value: object) -> None: ...

    def __hash__(self) -> int:
        return id(self)

    def append(self, _item: object) -> None:
        """Ignore an item of a list."""

    extend = add = append


def read_arrays(path: str | Path, count: int) -> list[np.ndarray]:
    """Read the first ``count`` objects of a file, which have to be arrays of numbers, of any shape.

    Raises
    ------
    BadInputError
        If the file is absent, damaged, or holds anything else.
    """
    path = Path(path)

    def read(stream: BinaryIO) -> list[object]:
        return [_Arrays(stream).load() for _ in range(count)]

    found: list[np.ndarray] = []
    for one in _read(path, read):
        if not isinstance(one, np.ndarray) or one.dtype.kind not in ("f", "i", "u"):
            raise _refused(path, f"found {type(one).__name__} where numbers should be")
        found.append(one)
    return found


def read_settings(path: str | Path) -> dict[str, Any]:
    """The first object of a file, which has to be a dict; what is not plain in it is inert.

    Raises
    ------
    BadInputError
        If the file is absent, damaged, or holds anything else.
    """
    path = Path(path)
    found = _read(path, lambda stream: _Settings(stream).load())
    if not isinstance(found, dict):
        raise _refused(path, f"found {type(found).__name__} where settings should be")
    return found


def _read(path: Path, read: Callable[[BinaryIO], _Found]) -> _Found:
    try:
        with open(path, "rb") as stream:
            return read(stream)
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror or error}).", code="unreadable-pickle"
        ) from error
    except _FAILURES as error:
        raise _refused(path, str(error) or type(error).__name__) from error


def _refused(path: Path, found: str) -> BadInputError:
    return BadInputError(
        f"{path}: not what tomoDRGN writes ({found.splitlines()[0]}); nothing in it was run.",
        code="bad-pickle",
    )


class _Arrays(pickle.Unpickler):
    """Knows numpy arrays only."""

    def find_class(self, module: str, name: str) -> object:
        known = _known(module, name)
        if known is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return known

    def persistent_load(self, _pid: object) -> object:
        raise pickle.UnpicklingError("it refers to objects outside the file")


class _Settings(_Arrays):
    """Knows numpy arrays, and takes all else for placeholders."""

    def find_class(self, module: str, name: str) -> object:
        return _known(module, name) or Placeholder


def _known(module: str, name: str) -> object:
    if (module, name) == ("_codecs", "encode"):
        return _latin1
    if module == "numpy" and name in ("ndarray", "dtype"):
        return getattr(np, name)
    parent, _, last = module.rpartition(".")
    if parent not in _CORES or (last, name) not in _MAKERS:
        return None
    return _MAKERS[last, name]


def _latin1(text: str, encoding: str) -> bytes:
    """How old pickles spell bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding!r}")
    return text.encode("latin1")


def _reconstruct(kind: type, _shape: object, _letter: object) -> np.ndarray:
    """An empty array; its content follows. Not of the stated shape, which may be any size."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError("an array of an unknown kind")
    return np.empty(0)


def _frombuffer(
    buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: Literal["C", "F"]
) -> np.ndarray:
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


def _scalar(dtype: np.dtype, content: bytes) -> object:
    return np.frombuffer(content, dtype=dtype, count=1)[0]


_MAKERS: dict[tuple[str, str], Callable[..., object]] = {
    ("multiarray", "_reconstruct"): _reconstruct,
    ("multiarray", "scalar"): _scalar,
    ("numeric", "_frombuffer"): _frombuffer,
}
