"""The parts of a condition, and their values for the rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd

Columns = Callable[[str], "pd.Series"]
# Of a column: one value a row (words are objects, None where there is none); of a literal: itself.
Value = NDArray[np.float64] | NDArray[np.bool_] | NDArray[np.object_] | float | str

COMPARE: dict[str, np.ufunc] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "=": np.equal,
    "!=": np.not_equal,
}


class Node:
    """A part of a condition: its value for all rows of a table."""

    def value(self, column: Columns) -> Value:
        raise NotImplementedError


@dataclass(frozen=True)
class Literal(Node):
    content: float | str

    def value(self, column: Columns) -> Value:
        return self.content

    def __str__(self) -> str:
        return repr(self.content)


@dataclass(frozen=True)
class Name(Node):
    name: str

    def value(self, column: Columns) -> Value:
        series = column(self.name)
        if series.dtype.kind in "fiub":
            return series.to_numpy(np.float64 if series.dtype.kind != "b" else bool)
        values = series.astype(object).where(series.notna(), None).to_numpy()
        return np.array([None if one is None else str(one) for one in values], dtype=object)

    def __str__(self) -> str:
        return f"column {self.name!r}"


@dataclass(frozen=True)
class Call(Node):
    name: str
    inner: Node

    def value(self, column: Columns) -> Value:
        return FUNCTIONS[self.name](_as_numbers(self.inner.value(column), self.inner))

    def __str__(self) -> str:
        return f"{self.name}({self.inner})"


@dataclass(frozen=True)
class Compare(Node):
    values: tuple[Node, ...]
    signs: tuple[str, ...]

    def value(self, column: Columns) -> Value:
        found = [node.value(column) for node in self.values]
        result: NDArray[np.bool_] = np.array(True)
        for position, sign in enumerate(self.signs):
            here = slice(position, position + 2)
            result = result & _compared(found[here], self.values[here], sign)
        return result


@dataclass(frozen=True)
class In(Node):
    inner: Node
    items: tuple[float | str, ...]

    def value(self, column: Columns) -> Value:
        found = self.inner.value(column)
        result: NDArray[np.bool_] = np.array(False)
        for item in self.items:
            result = result | _compared([found, item], (self.inner, Literal(item)), "==")
        return result


@dataclass(frozen=True)
class Not(Node):
    inner: Node
    known: Node | None = None  # of `not in`: where this has no value, neither has the comparison

    def value(self, column: Columns) -> Value:
        found = ~np.asarray(as_condition(self.inner.value(column), self.inner))
        return found if self.known is None else found & _given(self.known.value(column))


@dataclass(frozen=True)
class Logic(Node):
    word: str
    parts: tuple[Node, ...]

    def value(self, column: Columns) -> Value:
        conditions = [as_condition(part.value(column), part) for part in self.parts]
        join = np.logical_and if self.word == "and" else np.logical_or
        result = conditions[0]
        for condition in conditions[1:]:
            result = join(result, condition)
        return result


def _zscore(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the mean in standard deviations, of what is known."""
    spread = np.nanstd(values) if np.isfinite(values).any() else 0.0
    if not spread > 0:
        return np.zeros_like(values)
    return np.asarray((values - np.nanmean(values)) / spread)


FUNCTIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "abs": np.abs,
    "zscore": _zscore,
}


def _compared(values: list[Value], nodes: tuple[Node, ...], sign: str) -> NDArray[np.bool_]:
    one, other = values
    if _is_text(one) and _is_text(other):
        known = _given(one) & _given(other)
        one, other = (np.where(_given(part), part, "") for part in (one, other))
        one, other = (np.asarray(part, dtype=str) for part in (one, other))
    else:
        one, other = (_as_numbers(part, node) for part, node in zip(values, nodes, strict=True))
        known = _given(one) & _given(other)
    return np.asarray(COMPARE[sign](one, other) & known)


def _is_text(value: Value) -> TypeGuard[str | NDArray[np.object_]]:
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object)


def _given(value: Value) -> NDArray[np.bool_]:
    if isinstance(value, np.ndarray) and value.dtype == object:
        return np.array([one is not None for one in value], dtype=bool)
    if isinstance(value, str):
        return np.array(True)
    return ~np.isnan(np.asarray(value, dtype=np.float64))


def _as_numbers(value: Value, node: Node) -> NDArray[np.float64]:
    """Numbers, also of words that are numbers."""
    if not _is_text(value):
        return np.asarray(value, dtype=np.float64)
    try:
        words = [value] if isinstance(value, str) else value
        numbers = np.array([np.nan if word is None else float(word) for word in words])
    except ValueError as error:
        word = next(word for word in words if word is not None and not _is_number(word))
        raise BadInputError(
            f"A condition compares {node} with a number, but it holds words such as {word!r}.",
            remedy="Write words in quotes.",
            code="bad-expression",
        ) from error
    return numbers[0] if isinstance(value, str) else numbers


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def as_condition(value: Value, node: Node) -> NDArray[np.bool_]:
    """Take a value as true or false: a comparison, or a column of 0 and 1.

    Returns
    -------
    ``(row,)``, or 0-d of a literal; false where there is no value.

    Raises
    ------
    BadInputError
        If it is neither, in the words of ``node``.
    """
    array = np.asarray(value)
    if array.dtype == bool:
        return array
    if _is_text(value) and set(np.atleast_1d(array)) <= {"True", "False", "true", "false", None}:
        return np.isin(array, ["True", "true"])
    numbers = None if _is_text(value) else np.asarray(value, dtype=np.float64)
    if numbers is None or not np.isin(numbers[~np.isnan(numbers)], (0, 1)).all():
        raise BadInputError(
            f"A condition has {node} alone, which is neither true nor false.",
            remedy="Compare it with something: cluster == 3.",
            code="bad-expression",
        )
    return np.asarray(numbers == 1)
