"""Files with damage that hypothesis draws: read, or refused in one sentence; nothing else.

A few of the cases of `benchmarks/fuzz.py`, which draws thousands in every dialect.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from damage import EDITS, HEADERS, STARS, edited, put_to_use, with_header
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def try_with(path: Path, content: bytes, star: Path) -> None:
    """Use a set with one of its files changed, and change it back."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        put_to_use(star, star.parent / "out")
    finally:
        path.write_bytes(before)


@pytest.fixture(params=["warptools", "warp"])
def files(request: pytest.FixtureRequest, warptools_set, image_series) -> object:
    return warptools_set if request.param == "warptools" else image_series


@QUICK
@given(edits=EDITS, which=st.integers(0, 2))
def test_damaged_stars(files, edits, which: int) -> None:
    stars = [path for path in (files.star, files.particles, files.tomograms) if path]
    path = stars[which % len(stars)]
    try_with(path, edited(path.read_bytes(), edits), files.star)


@QUICK
@given(text=STARS)
def test_stars_from_nothing(image_series, text: bytes) -> None:
    try_with(image_series.star, text, image_series.star)


@QUICK
@given(fields=HEADERS, cut=st.sampled_from((1.0, 1.0, 0.999, 0.5, 0.0)))
def test_damaged_headers(files, fields, cut: float) -> None:
    stack = files.stacks[-1]
    try_with(stack, with_header(stack.read_bytes(), fields, cut), files.star)


def test_a_header_that_says_too_much_is_not_believed(files, mrc: Callable[..., bytes]) -> None:
    """A thousand sections in a file of a few: refused before any memory is taken."""
    stack = files.stacks[0]
    assert len(put_to_use(files.star, files.star.parent / "out")) == 3 + (len(files.stacks) > 1)
    content = with_header(stack.read_bytes(), [(2, 1 << 23)], 1.0)
    stack.write_bytes(content)
    assert put_to_use(files.star, files.star.parent / "out").code == "truncated-stack"
