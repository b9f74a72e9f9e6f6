"""Lists of averaging packages in tests: which are tried, what is seen of one written back."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from napari_tomodrgn.data.star import read_star
from napari_tomodrgn.synthetic.tilt_series.lists import LISTS

EM_HEAD, EM_ROW = 512, 80
EM_COUNT = slice(8, 12)  # bytes of the header that count particles


def lists_in_a_window(*always: str) -> list[object]:
    """Parameters of a test with a window: these lists, and all with ``TOMODRGN_ALL_LISTS=1``.

    A window knows nothing of a list's form, and without one all are tried in every run.
    """
    if os.environ.get("TOMODRGN_ALL_LISTS"):
        return list(LISTS)
    skip = pytest.mark.skip(reason="minutes for all lists: set TOMODRGN_ALL_LISTS=1")
    return [name if name in always else pytest.param(name, marks=skip) for name in LISTS]


def assert_rows_untouched(before: Path, after: Path, rows: list[int]) -> None:
    """Whether ``after`` is ``before`` with these rows alone, counted from 0; else as it was."""
    compare = {".star": _star, ".em": _em, ".json": _json, ".xml": _xml}.get(before.suffix, _lines)
    compare(before, after, rows)


def _lines(before: Path, after: Path, rows: list[int]) -> None:
    old, new = (path.read_text().splitlines(keepends=True) for path in (before, after))
    titled = old[0].startswith("tomogram,")
    head = [line for n, line in enumerate(old) if line.startswith("#") or (titled and n == 0)]
    body = old[len(head) :]
    assert new == head + [body[row] for row in rows]


def _em(before: Path, after: Path, rows: list[int]) -> None:
    old, new = before.read_bytes(), after.read_bytes()
    head = bytearray(old[:EM_HEAD])
    head[EM_COUNT] = len(rows).to_bytes(4, "little")
    assert new[:EM_HEAD] == bytes(head)
    starts = [EM_HEAD + EM_ROW * row for row in rows]
    assert new[EM_HEAD:] == b"".join(old[start : start + EM_ROW] for start in starts)


def _json(before: Path, after: Path, rows: list[int]) -> None:
    old, new = (json.loads(path.read_text()) for path in (before, after))
    assert new == {**old, "points": [old["points"][row] for row in rows]}


def _xml(before: Path, after: Path, rows: list[int]) -> None:
    particle = re.compile(r"  <Particle .*?</Particle>\n", re.DOTALL)
    old = before.read_text()
    whole = particle.findall(old)
    head, tail = old.split(whole[0])[0], old.split(whole[-1])[1]
    assert after.read_text() == head + "".join(whole[row] for row in rows) + tail


def _star(before: Path, after: Path, rows: list[int]) -> None:
    old, new = read_star(before), read_star(after)
    assert list(old) == list(new)
    for name, block in old.items():
        assert isinstance(block, pd.DataFrame)
        kept = block if name == "optics" else block.iloc[rows]
        assert_frame_equal(kept.reset_index(drop=True), new[name].reset_index(drop=True))
