"""One loop of a star file, and numbers out of its text, with errors that name the place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError

# No quantity of a star file comes near, and products of such numbers overflow.
_ABSURD = 1e15


class Quantity:
    """A number of every row: the columns that may hold it, best first, each with its factor.

    A factor is one number, or one of each row.

    ``Quantity(rlnOriginXAngst=1 / pixel, rlnOriginX=1.0, default=0.0)`` reads the first of these
    columns that the table has, times its factor; ``default`` (in our unit) where it has none.
    Without a default the first column is needed.
    """

    def __init__(
        self, default: float | None = None, **columns: float | NDArray[np.float64]
    ) -> None:
        self.default = default
        self.columns = columns

    def column_in(self, table: StarTable) -> str:
        """The column that is read from a table; the first where it has none of them."""
        return next((name for name in self.columns if name in table), next(iter(self.columns)))


@dataclass(frozen=True, eq=False)
class StarTable:
    """A loop with the names needed to say where something is wrong with it.

    ``asked`` are the columns that were looked for, here or in other tables of the set.
    """

    path: Path
    block: str
    frame: pd.DataFrame
    asked: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, column: str) -> bool:
        self.asked.add(column)
        return column in self.frame.columns

    def require(self, columns: Iterable[str]) -> None:
        """Raise `BadInputError` unless all these columns are there."""
        missing = [name for name in columns if name not in self]
        if missing:
            others = f" (nor {', '.join(missing[1:])})" if missing[1:] else ""
            raise BadInputError(
                f"{self.path}: no column {missing[0]}{others} in block data_{self.block}; "
                f"found {', '.join(self.frame.columns)}.",
                code="missing-column",
            )

    def texts(self, column: str) -> pa.Array:
        """The column as Arrow strings.

        Raises
        ------
        BadInputError
            If the column is absent or a value is empty.
        """
        self.require([column])
        values = arrow_strings(self.frame[column])
        empty = np.flatnonzero(pc.equal(values, "").to_numpy(zero_copy_only=False))
        if empty.size:
            raise self.problem(column, int(empty[0]), "is empty")
        return values

    def numbers(self, column: str, default: float | None = None) -> NDArray[np.float64]:
        """Read a column as float64 ``(row,)``; ``default`` everywhere where the column is absent.

        Raises
        ------
        BadInputError
            If a value is not a number or absurdly large, or the column is absent without default.
        """
        if column not in self and default is not None:
            return np.full(len(self), default)
        self.require([column])
        values = _as_float(self.frame[column])
        wrong = np.flatnonzero(~(np.abs(values) < _ABSURD))
        if wrong.size:
            row = int(wrong[0])
            value = self.frame[column].iloc[row]
            found = f"is {value!r}, not a sensible number ({wrong.size} such rows)"
            raise self.problem(column, row, found)
        return values

    def read(self, quantities: Mapping[str, Quantity]) -> dict[str, NDArray[np.float64]]:
        """Numbers of each row by our names and in our units, float64 ``(row,)``.

        Raises
        ------
        BadInputError
            As `numbers`.
        """
        found = {}
        for name, quantity in quantities.items():
            column = quantity.column_in(self)
            if column in self or quantity.default is None:
                # Adding zero turns -0.0 into 0.0.
                found[name] = self.numbers(column) * quantity.columns[column] + 0.0
            else:
                found[name] = np.full(len(self), quantity.default)
        return found

    def require_where(
        self,
        columns: Iterable[str],
        holds: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
        words: str,
    ) -> None:
        """Raise `BadInputError` at the first row of these columns, if there, that is not so.

        ``holds`` is asked of the numbers ``(row,)``; ``words`` say what they must be.
        """
        for column in columns:
            if column in self:
                values = self.numbers(column)
                wrong = np.flatnonzero(~holds(values))
                if wrong.size:
                    row = int(wrong[0])
                    raise self.problem(column, row, f"is {values[row]:g}, but must be {words}")

    def vectors(self, columns: Iterable[str], default: float | None = None) -> NDArray[np.float64]:
        """Some columns side by side, float64 ``(row, column)``."""
        return np.stack([self.numbers(name, default) for name in columns], axis=1)

    def constant(self, column: str, default: float | None = None) -> float:
        """The one number that all rows share, to one part in a thousand.

        Raises
        ------
        BadInputError
            If the rows differ.
        """
        values = self.numbers(column, default)
        middle = float(np.median(values))
        differs = np.flatnonzero(~np.isclose(values, middle, rtol=1e-3, atol=1e-9))
        if differs.size:
            row = int(differs[0])
            raise BadInputError(
                f"{self.path}: column {column} of block data_{self.block} is {values[row]:g} in "
                f"row {row + 1} but {middle:g} in most others.",
                remedy="Such sets cannot be trained together: split the file first.",
                code="mixed-optics",
            )
        return middle

    def positive(self, column: str) -> float:
        """The one number above 0 that all rows share.

        Raises
        ------
        BadInputError
            If the rows differ or the number is not above 0.
        """
        value = self.constant(column)
        if value <= 0.0:
            raise self.problem(column, 0, f"is {value:g}, but must be above 0")
        return value

    def problem(
        self, column: str, row: int, found: str, remedy: str = "Repair or remove that row."
    ) -> BadInputError:
        """The error about one value; ``row`` counts from 0, the message from 1."""
        return BadInputError(
            f"{self.path}: column {column} of block data_{self.block}, "
            f"row {int(self.frame.index[row]) + 1}, {found}.",
            remedy=remedy,
            code="bad-value",
        )


def meant(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The table with those of its columns under other names that the user says have the meaning.

    ``columns`` maps a name to the column to read instead, where the table has that one.
    """
    found = {name: frame[column] for name, column in columns.items() if column in frame}
    return frame.assign(**found) if found else frame


def arrow_strings(values: pd.Series) -> pa.Array:
    """A text column as one Arrow array of strings."""
    array = pa.array(values, type=pa.large_string(), from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _as_float(values: pd.Series) -> NDArray[np.float64]:
    text = arrow_strings(values)
    try:
        return np.array(pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:  # a word, or a number that only Python reads, such as +1.0
        return np.asarray(pd.to_numeric(values, errors="coerce"), dtype=np.float64)
