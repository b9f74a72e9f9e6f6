"""Conditions on columns, such as ``cluster in (1, 3) and depth < 400``: read, never executed.

    condition  = and-list { "or" and-list }
    and-list   = negation { "and" negation }
    negation   = "not" negation | comparison
    comparison = value { ("<" | "<=" | ">" | ">=" | "==" | "=" | "!=") value }
               | value ["not"] "in" "(" literal { "," literal } ")"
    value      = NAME | literal | "abs" "(" value ")" | "zscore" "(" value ")" | "(" condition ")"
    literal    = NUMBER | "'" … "'" | '"' … '"'

Names with other characters than letters, digits, ``_`` and ``.`` stand in backticks: ```UMAP 1` >
3``. Expressions come in with files that people share: Python's ``eval`` and pandas' ``query``,
which can be made to call anything, would run what stands in them.

A missing value satisfies no comparison. Words that are numbers (clusters such as ``03``) compare
with numbers.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.expression_nodes import (
    COMPARE,
    FUNCTIONS,
    Call,
    Compare,
    In,
    Literal,
    Logic,
    Name,
    Node,
    Not,
    as_condition,
)
from napari_tomodrgn.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd

# Long enough for a list of a few hundred names, short enough to be read in no time.
_MAX_LENGTH = 20_000
_MAX_DEPTH = 40  # of parentheses and "not", one within the other
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<string>'[^']*'|"[^"]*")
      | `(?P<quoted>[^`]+)`
      | (?P<word>[^\W\d][\w.]*)
      | (?P<sign><=|>=|==|!=|<|>|=|\(|\)|,)
    )""",
    re.VERBOSE,
)
_KEYWORDS = frozenset({"and", "or", "not", "in"})


@dataclass(frozen=True)
class _Token:
    kind: str  # number, string, name, word, sign, end
    text: str
    place: int


@dataclass(frozen=True)
class Expression:
    """A condition that was read.

    Attributes
    ----------
    text
        As it was written.
    names
        Columns that it asks for.
    """

    text: str
    names: tuple[str, ...]
    _root: Node

    def mask(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """Where the rows of a table satisfy the condition, ``(row,)``.

        Raises
        ------
        BadInputError
            If a column is not there, or holds words where the condition has numbers.
        """

        def column(name: str) -> pd.Series:
            if name not in table:
                raise self.unknown(name, [str(known) for known in table.columns])
            return table[name]

        found = as_condition(self._root.value(column), self._root)
        return np.broadcast_to(found, (len(table),)).copy()

    def unknown(self, name: str, known: list[str]) -> BadInputError:
        """The error of a name that no column has."""
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:5]
        words = ", ".join(f"`{one}`" if not re.fullmatch(r"\w+", one) else one for one in near)
        return BadInputError(
            f"{self.text!r}: no column is called {name!r}; there are {words}"
            f"{' and others' if len(known) > len(near) else ''}.",
            code="no-column",
        )


def parse(text: str) -> Expression:
    """Read a condition.

    Raises
    ------
    BadInputError
        If it is none, with the place where it stops being one.
    """
    if len(text) > _MAX_LENGTH:
        raise BadInputError(
            f"A condition of {len(text)} characters is too long ({_MAX_LENGTH} at most).",
            remedy="Name the particles by a file of ids.",
            code="bad-expression",
        )
    reader = _Reader(text)
    root = reader.condition()
    reader.expect_end()
    return Expression(text, tuple(dict.fromkeys(reader.names)), root)


def where(text: str, table: pd.DataFrame) -> NDArray[np.bool_]:
    """Where the rows of a table satisfy a condition, ``(row,)``: `parse` and `Expression.mask`.

    Raises
    ------
    BadInputError
        As these do.
    """
    return parse(text).mask(table)


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            place += len(text[place:]) - len(text[place:].lstrip())
            raise _wrong(text, place, f"{text[place]!r} means nothing here")
        kind = str(match.lastgroup)
        yield _Token(kind, match[kind], match.start(kind))
        place = match.end()
    yield _Token("end", "", len(text))


def _wrong(text: str, place: int, what: str) -> BadInputError:
    before = text[max(0, place - 20) : place]
    where_ = f"after {before!r}" if before.strip() else "at its start"
    return BadInputError(
        f"Condition {text[:80]!r}: {what} ({where_}).",
        remedy="Write it as in: cluster in (1, 3) and depth < 400 and not tomogram == 'TS_01'.",
        code="bad-expression",
    )


class _Reader:
    """Recursive descent over the tokens of a condition."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def condition(self) -> Node:
        return self._chain("or", lambda: self._chain("and", self._negation))

    def expect_end(self) -> None:
        if self._token.kind != "end":
            raise self._wrong(f"{self._token.text!r} is one too many")

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _wrong(self, what: str) -> BadInputError:
        return _wrong(self.text, self._token.place, what)

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _is(self, *texts: str) -> bool:
        return self._token.kind in ("word", "sign") and self._token.text in texts

    def _accept(self, *texts: str) -> bool:
        if self._is(*texts):
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            found = repr(self._token.text) if self._token.kind != "end" else "the end"
            raise self._wrong(f"expected {text!r}, found {found}")

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._wrong("parentheses, or one not after another, are nested too deeply")

    def _chain(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._accept(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Logic(word, tuple(parts))

    def _negation(self) -> Node:
        if not self._accept("not"):
            return self._comparison()
        self._deeper()
        inner = self._negation()
        self._depth -= 1
        return Not(inner)

    def _comparison(self) -> Node:
        first = self._value()
        opposite = self._accept("not")
        if self._accept("in"):
            found: Node = In(first, self._list())
            return Not(found, known=first) if opposite else found
        if opposite:
            raise self._wrong("expected 'in' after 'not'")
        values, signs = [first], []
        while self._is(*COMPARE):
            signs.append(self._take().text)
            values.append(self._value())
        return Compare(tuple(values), tuple(signs)) if signs else first

    def _list(self) -> tuple[float | str, ...]:
        self._expect("(")
        items = [self._literal()]
        while self._accept(","):
            if self._is(")"):
                break
            items.append(self._literal())
        self._expect(")")
        return tuple(items)

    def _literal(self) -> float | str:
        if self._token.kind not in ("number", "string"):
            raise self._wrong("expected a number or a word in quotes")
        token = self._take()
        return float(token.text) if token.kind == "number" else token.text[1:-1]

    def _value(self) -> Node:
        token = self._token
        if token.kind in ("number", "string"):
            return Literal(self._literal())
        if token.kind == "quoted" or (token.kind == "word" and token.text not in _KEYWORDS):
            self._take()
            function = token.kind == "word" and token.text in FUNCTIONS and self._is("(")
            if function:
                return Call(token.text, self._in_parentheses())
            self.names.append(token.text)
            return Name(token.text)
        if self._is("("):
            return self._in_parentheses()
        raise self._wrong("expected a column, a number or a word in quotes")

    def _in_parentheses(self) -> Node:
        self._deeper()
        self._expect("(")
        inner = self.condition()
        self._expect(")")
        self._depth -= 1
        return inner
