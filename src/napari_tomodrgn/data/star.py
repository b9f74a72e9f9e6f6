"""STAR files as text: read strictly, written back letter for letter.

Every value stays the text that stands in the file, so that rows which are kept are written as they
came; `star_table` takes numbers out of the text where they are needed. Nothing is repaired
in silence: a row with too few values, a column given twice, or a file that is not STAR at all is a
`BadInputError` which names the place.

The loops are read by Arrow's CSV reader, not by the ``starfile`` package: with every column as
text that one takes 20 s and 1.6 GB for a million rows (Arrow: 1 to 2 s), fills short rows with NaN,
and cuts values at ``#``. What it reads correctly, it reads equally (tests).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from napari_tomodrgn.data.star_table import arrow_strings
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically

StarBlock = pd.DataFrame | dict[str, str]

_TOKEN = re.compile(r"""(?:^|(?<=\s))(?:"([^"]*)"|'([^']*)')(?=\s|$)|(?:^|(?<=\s))(#.*)|(\S+)""")
_NEEDS_QUOTES = r"""^$|\s|^["'#]"""
_CHUNK_BYTES = 1 << 25  # of rows whose spaces are reduced to one at a time
_CHUNK_ROWS = 100_000  # written at a time
_HEAD_BYTES = 4096  # searched for what tells a binary file, before the rest is read


class StarBlocks(dict[str, StarBlock]):
    """Blocks of a star file by name (without ``data_``), in file order.

    Loops are data frames of text, key/value blocks are dicts of text; names of columns are without
    the leading underscore. ``comments`` holds the comment lines above each block: RELION keeps its
    format version there.
    """

    def __init__(self, blocks: Mapping[str, StarBlock] | None = None) -> None:
        super().__init__(blocks or {})
        self.comments: dict[str, tuple[str, ...]] = {}


def read_star(path: str | Path) -> StarBlocks:
    """Read all blocks of a star file as text.

    Raises
    ------
    BadInputError
        If the file is absent, empty, not text, not STAR, or has a row of the wrong length.
    """
    path = Path(path)
    text = _read_text(path)
    headers = list(_block_headers(text))
    if not headers:
        begins = text.lstrip()[:40].split(b"\n")[0].decode("utf-8", "replace")
        raise BadInputError(
            f"{path}: not a STAR file: it has no line that starts with data_ (begins {begins!r}).",
            code="not-star",
        )
    blocks = StarBlocks()
    remarks = _comment_lines(text[: headers[0][1]])
    stops = [start for _, start, _ in headers[1:]] + [len(text)]
    for (name, _, after), stop in zip(headers, stops, strict=True):
        if name in blocks:
            raise BadInputError(
                f"{path}: block data_{name} stands in the file twice.", code="duplicate-block"
            )
        body_end = _without_trailing_comments(text, after, stop)
        blocks.comments[name] = remarks
        blocks[name] = _BlockReader(path, name, text, after, body_end).read()
        remarks = _comment_lines(text[body_end:stop])
    return blocks


def as_loop(block: StarBlock) -> pd.DataFrame:
    """The block as a table: a list of names and values is a table of one row.

    RELION reads and writes tables of one row in either way.
    """
    return pd.DataFrame([block], dtype="str") if isinstance(block, dict) else block


def as_list(block: StarBlock) -> dict[str, str]:
    """The block as names and values; empty unless it is such a list or a table of one row."""
    if isinstance(block, dict):
        return block
    if len(block) != 1:
        return {}
    return {str(name): str(value) for name, value in block.iloc[0].items()}


def write_star(path: str | Path, blocks: Mapping[str, StarBlock]) -> None:
    """Write blocks of text, atomically; ``comments`` of `StarBlocks` stand above their blocks."""
    with (
        written_atomically(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="\n") as out,
    ):
        out.writelines(star_texts(blocks))


def star_texts(blocks: Mapping[str, StarBlock]) -> Iterator[str]:
    """The text of these blocks, piece by piece, as `write_star` writes it."""
    comments = blocks.comments if isinstance(blocks, StarBlocks) else {}
    for name, block in blocks.items():
        for line in comments.get(name, ()):
            yield f"\n{line}\n"
        yield f"\ndata_{name}\n\n"
        if isinstance(block, dict):
            for key, value in block.items():
                yield f"_{key}  {_quoted(value)}\n"
        else:
            yield "loop_\n"
            yield from (f"_{column} #{i}\n" for i, column in enumerate(block.columns, 1))
            yield from _row_texts(block)
        yield "\n"


def _read_text(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
            # Looked at first: a binary file may be far larger than memory.
            if b"\0" in head:
                raise BadInputError(
                    f"{path}: a binary file, not STAR text.",
                    remedy="Name the star file that lists the particles.",
                    code="not-star",
                )
            text = head + stream.read()
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror or error}).", code="no-file"
        ) from error
    if not text or text.isspace():
        raise BadInputError(f"{path}: the file is empty.", code="empty-file")
    text = text.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not text.isascii():
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadInputError(
                f"{path}: not UTF-8 text (byte {error.start} is {text[error.start]:#04x}).",
                remedy="Save it as UTF-8.",
                code="not-star",
            ) from error
    if b"\0" in text:
        raise BadInputError(f"{path}: not STAR text: it has NUL bytes.", code="not-star")
    return text


def _block_headers(text: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, start of the line and start of the next line of every block header."""
    at = text.find(b"data_")
    while at >= 0:
        start = text.rfind(b"\n", 0, at) + 1
        stop = text.find(b"\n", at)
        stop = len(text) if stop < 0 else stop
        # A tomogram may be called data_1: a header is a line of that one word.
        if not text[start:at].strip(b" \t"):
            words = text[at:stop].decode("utf-8").split()
            if len(words) == 1 or words[1].startswith("#"):
                yield words[0].removeprefix("data_"), start, min(stop + 1, len(text))
        at = text.find(b"data_", at + 5)


def _comment_lines(text: bytes) -> tuple[str, ...]:
    lines = (line.strip() for line in text.decode("utf-8").splitlines())
    return tuple(line for line in lines if line.startswith("#"))


def _without_trailing_comments(text: bytes, start: int, stop: int) -> int:
    """End of the last line before ``stop`` that is neither blank nor a comment."""
    while stop > start:
        line_start = max(text.rfind(b"\n", start, stop - 1) + 1, start)
        line = text[line_start:stop].strip()
        if line and not line.startswith(b"#"):
            break
        stop = line_start
    return stop


@dataclass
class _BlockReader:
    """Reads one block: the text between its header and the next one."""

    path: Path
    name: str
    text: bytes
    at: int
    stop: int

    def read(self) -> StarBlock:
        columns: list[str] = []
        entries: dict[str, str] = {}
        is_loop = False
        while self.at < self.stop:
            line_stop = self.text.find(b"\n", self.at, self.stop)
            line_stop = self.stop if line_stop < 0 else line_stop
            words = _tokens(self.text[self.at : line_stop].decode("utf-8"))
            if words and words[0] == "loop_":
                if is_loop or entries:
                    raise self._error("has more than one loop or a loop beside single values")
                is_loop = True
            elif words and words[0].startswith("_") and is_loop:
                columns.append(words[0][1:])
            elif words and words[0].startswith("_"):
                entries[words[0][1:]] = " ".join(words[1:])
            elif words and is_loop:
                break
            elif words:
                raise self._error(f"has a line that is neither a name nor in a loop: {words[0]!r}")
            self.at = line_stop + 1
        return self._loop(columns) if is_loop else entries

    def _loop(self, columns: list[str]) -> pd.DataFrame:
        twice = [name for i, name in enumerate(columns) if name in columns[:i]]
        if twice or not columns:
            raise self._error(f"gives column {twice[0]} twice" if twice else "names no columns")
        body = self.text[self.at : self.stop]
        if not body or body.isspace():
            return pd.DataFrame({name: pd.Series([], dtype="str") for name in columns})
        if body.startswith(b";") or b"\n;" in body:
            raise self._error("has text over several lines (;), which is not read")
        if any(mark in body for mark in (b'"', b"'", b"#")):
            return self._quoted_rows(columns, body)
        return self._plain_rows(columns, body)

    def _plain_rows(self, columns: list[str], body: bytes) -> pd.DataFrame:
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(_single_spaces(body)),
                read_options=arrow_csv.ReadOptions(column_names=columns, block_size=1 << 24),
                parse_options=arrow_csv.ParseOptions(delimiter=" ", quote_char=False),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid as error:
            for _ in self._checked_rows(columns, body):
                pass
            raise self._error(f"cannot be read ({error})") from error
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def _quoted_rows(self, columns: list[str], body: bytes) -> pd.DataFrame:
        """Rows with quotes or comments, a line at a time: rare, and never long files."""
        rows = list(self._checked_rows(columns, body))
        return pd.DataFrame(rows, columns=columns, dtype="str")

    def _checked_rows(self, columns: list[str], body: bytes) -> Iterator[list[str]]:
        row = 0
        for line in body.decode("utf-8").split("\n"):
            words = _tokens(line)
            if not words:
                continue
            row += 1
            if len(words) != len(columns):
                raise self._error(
                    f"has {len(words)} values in row {row}, but {len(columns)} columns",
                    remedy="The file may be cut off: export it again, or repair that row.",
                )
            yield words

    def _error(self, found: str, remedy: str = "") -> BadInputError:
        return BadInputError(
            f"{self.path}: block data_{self.name} {found}.", remedy=remedy, code="bad-star"
        )


def _tokens(line: str) -> list[str]:
    """Words of a line; quotes removed, and a ``#`` that begins a word begins a comment."""
    if '"' not in line and "'" not in line and "#" not in line:
        return line.split()
    words: list[str] = []
    for double, single, comment, plain in _TOKEN.findall(line):
        if comment:
            break
        words.append(plain or double or single)
    return words


def _single_spaces(body: bytes) -> bytes:
    """The same rows with one space between values and none at the ends of lines."""
    if not any(mark in body for mark in (b"  ", b"\t", b"\n ", b" \n")) and body[:1] != b" ":
        return body
    parts = []
    at = 0
    while at < len(body):  # in chunks of whole lines, to keep the masks small
        stop = body.find(b"\n", at + _CHUNK_BYTES)
        stop = len(body) if stop < 0 else stop + 1
        parts.append(_squeeze(np.frombuffer(body, np.uint8, stop - at, at)))
        at = stop
    return b"".join(parts)


def _squeeze(characters: NDArray[np.uint8]) -> bytes:
    line_end = characters == ord("\n")
    blank = (characters == ord(" ")) | (characters == ord("\t"))
    # A blank stays where it is the last of its run and a value follows on the same line ...
    edge = np.append((blank | line_end)[1:], True)
    kept = characters[~(blank & edge)]
    # ... which leaves at most one blank at the start of a line.
    blank = (kept == ord(" ")) | (kept == ord("\t"))
    kept = np.where(blank, np.uint8(ord(" ")), kept)
    after_line_end = np.append(True, kept[:-1] == ord("\n"))
    squeezed: bytes = kept[~(blank & after_line_end)].tobytes()
    return squeezed


def _quoted(value: str) -> str:
    if not re.search(_NEEDS_QUOTES, value):
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'


def _row_texts(frame: pd.DataFrame) -> Iterator[str]:
    """The rows as text, many at a time."""
    columns: list[Any] = []
    for name in frame.columns:
        text = arrow_strings(frame[name])
        if pc.any(pc.match_substring_regex(text, _NEEDS_QUOTES)).as_py():
            text = pa.array([_quoted(value) for value in text.to_pylist()], pa.large_string())
        columns.append(text)
    for start in range(0, len(frame), _CHUNK_ROWS):
        parts = [text.slice(start, _CHUNK_ROWS) for text in columns]
        rows = pc.binary_join_element_wise(*parts, pa.scalar(" ", pa.large_string()))
        yield "\n".join(rows.to_pylist()) + "\n"
