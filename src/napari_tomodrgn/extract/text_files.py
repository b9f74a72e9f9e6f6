"""Small text files of numbers, read strictly: what is wrong is named with file and row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError

# No quantity in these files comes near, and products of such numbers overflow.
_ABSURD = 1e12
_MOST_BYTES = 1 << 30  # of a file that is read whole; larger ones are refused


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, UTF-8, UTF-16 with its mark, or Latin-1.

    Raises
    ------
    BadInputError
        If the file cannot be read, is empty, or is not text.
    """
    return decoded(path, read_bytes(path)).splitlines()


def read_bytes(path: Path) -> bytes:
    """The bytes of a file that is to be read whole.

    Raises
    ------
    BadInputError
        If the file cannot be read, is empty or far too large.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInputError(f"{path}: too large to be such a file.", code="unreadable-file")
        raw = path.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror or error}).", code="no-file"
        ) from error
    if not raw.strip():
        raise BadInputError(f"{path}: the file is empty.", code="empty-file")
    return raw


def decoded(path: Path, raw: bytes) -> str:
    """The text of bytes; raises `BadInputError` if they are no text."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    if b"\0" in raw:
        raise BadInputError(f"{path}: a binary file, not text.", code="not-text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # SerialEM and older programs write paths and remarks in the machine's own code page.
        return raw.decode("latin-1")


def number_rows(path: Path, columns: int | None, comment: str = "#") -> NDArray[np.float64]:
    """All rows of a file of numbers, ``(row, column)``.

    Parameters
    ----------
    path
        The file; rows are separated by lines, numbers by blanks or commas.
    columns
        How many numbers each row has; None for as many as the first.
    comment
        Lines that begin with it are passed over.

    Raises
    ------
    BadInputError
        If there are no rows, or one has another length or something that is no sensible number.
    """
    rows = [
        numbers_of(path, line_number, line)
        for line_number, line in content_lines(read_lines(path), comment)
    ]
    if not rows:
        raise BadInputError(f"{path}: has no rows of numbers.", code="no-rows")
    wanted = len(rows[0]) if columns is None else columns
    for row, values in enumerate(rows):
        if len(values) != wanted:
            raise BadInputError(
                f"{path}: row {row + 1} has {len(values)} numbers, not {wanted}.",
                remedy="The file may be cut off, or of another kind.",
                code="bad-row",
            )
    return np.array(rows, dtype=np.float64).reshape(len(rows), wanted)


def content_lines(lines: list[str], comment: str = "#") -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of the lines that are neither blank nor a comment."""
    for parse_number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith(comment):
            yield parse_number, text


def csv_rows(path: Path, lines: list[tuple[int, str]]) -> list[tuple[int, list[str]]]:
    """The values of lines of a CSV, with the lines' numbers: no value goes over several lines.

    Raises
    ------
    BadInputError
        If quotes are not closed, or a line has other than the first line's number of values.
    """
    rows: list[tuple[int, list[str]]] = []
    for line_number, line in lines:
        try:
            values = [word.strip() for word in next(csv.reader([line], strict=True), [])]
        except csv.Error as error:
            raise BadInputError(
                f"{path}: line {line_number} cannot be read as CSV ({error}).", code="bad-row"
            ) from error
        if rows and len(values) != len(rows[0][1]):
            raise BadInputError(
                f"{path}: line {line_number} has {len(values)} values, but {len(rows[0][1])} "
                "columns.",
                code="bad-row",
            )
        rows.append((line_number, values))
    return rows


def numbers_of(path: Path, line_number: int, line: str) -> list[float]:
    """The numbers of a line, all of them; `BadInputError` names the line."""
    return [parse_number(path, line_number, word) for word in line.replace(",", " ").split()]


def parse_number(path: Path, line_number: int, word: str) -> float:
    """One sensible number out of a word; `BadInputError` names the line."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not abs(value) < _ABSURD:
        raise BadInputError(
            f"{path}: line {line_number} has {word[:40]!r}, not a sensible number.",
            remedy="Repair that line.",
            code="bad-value",
        )
    return value
