"""Damage to star files and image stacks, drawn by hypothesis, and what has to come of it.

A damaged set is read, or refused in one sentence. Used by short tests and by `benchmarks/fuzz.py`.
"""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from napari_tomodrgn.data.checks import check_stacks, inspect_particles, summary
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks
from napari_tomodrgn.errors import BadInputError

SCRAPS = (
    *"nan NaN -1 0 1e400 1e308 1e-308 inf -inf 2.5 <NA> None 99999999999999999999 0x10 1_0".split(),
    *"' \" # ; @ [ ] , - / .. ../.. data_ data_particles loop_ _rln _ -0.0 +1.0 1,2 [1,0]".split(),
    *("", " ", "\t", "\n", "\r", "\0", "\xff", "\ufeff", "data_\nloop_\n", "_rlnImageName #1\n"),
    "\u0661",  # a digit, but not of ASCII
)
_WORDS = st.one_of(
    st.sampled_from(SCRAPS),
    st.text(max_size=8),
    st.floats().map(str),
    st.integers().map(str),
)


@dataclass(frozen=True)
class Edit:
    """One change of a text: ``kind`` at ``place`` (0 to 1 of its length) with a ``word``."""

    kind: str
    place: float
    word: str
    length: int


def _edits(*kinds: str) -> st.SearchStrategy[list[Edit]]:
    # Scattered, as hypothesis likes small numbers best.
    place = st.integers(0, 2**32 - 1).map(lambda number: number * 2654435761 % 2**32 / 2**32)
    edit = st.builds(Edit, st.sampled_from(kinds), place, _WORDS, st.integers(0, 300))
    return st.lists(edit, min_size=1, max_size=4)


# Half of them leave a star file: only numbers are other ones.
EDITS = _edits("number") | _edits("word", "insert", "cut", "end", "double", "line", "byte")


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """A text with changes applied one after the other."""
    for edit in edits:
        at = int(edit.place * len(content))
        word = edit.word.encode("utf-8", "surrogatepass")
        content = _EDITORS[edit.kind](content, at, word, edit.length)
    return content


def _replace_word(content: bytes, at: int, word: bytes, _: int) -> bytes:
    """The word at a place, so that columns stay as many."""
    start = max(content.rfind(blank, 0, at) for blank in (b" ", b"\t", b"\n")) + 1
    found = [content.find(blank, at) for blank in (b" ", b"\t", b"\n")]
    stop = min((place for place in found if place >= 0), default=len(content))
    return content[:start] + word + content[stop:]


def _replace_number(content: bytes, at: int, word: bytes, length: int) -> bytes:
    """As a word, but by a number of its kind, now and then an odd one."""
    odd = (b"0", b"-1", b"1e30", b"-1e9", b"0.5", b"360", b"7")
    return _replace_word(content, at, odd[length % len(odd)] if length < 60 else b"%d" % length, 0)


def _replace_line(content: bytes, at: int, word: bytes, _: int) -> bytes:
    start = content.rfind(b"\n", 0, at) + 1
    stop = content.find(b"\n", at)
    return content[:start] + word + content[stop if stop >= 0 else len(content) :]


_EDITORS = {
    "word": _replace_word,
    "number": _replace_number,
    "line": _replace_line,
    "insert": lambda content, at, word, _: content[:at] + word + content[at:],
    "cut": lambda content, at, _, length: content[:at] + content[at + length :],
    "end": lambda content, at, *_: content[:at],
    "double": lambda content, at, _, length: content[: at + length] + content[at:],
    "byte": lambda content, at, _, length: content[:at] + bytes([length % 256]) + content[at + 1 :],
}

# Star files from nothing: lines that may follow each other in any order.
_LINES = st.sampled_from(("loop_", "", "#", "data_", "_rlnOpticsGroup 1")) | st.lists(
    _WORDS, min_size=1, max_size=6
).map(" ".join)
STARS = st.lists(
    _LINES
    | st.sampled_from(("data_particles", "data_optics", "data_global", "data_x"))
    | st.sampled_from(("ImageName", "AngleRot", "DefocusU", "GroupName", "TomoName")).map(
        "_rln{} #1".format
    ),
    min_size=1,
    max_size=25,
).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))

_NUMBERS = st.integers(-(2**31), 2**31 - 1) | st.sampled_from((0, 1, 2, 8, 31, 32, 33, 1 << 24))
HEADERS = st.lists(
    st.tuples(st.integers(0, 255), _NUMBERS)  # any four-byte field
    | st.tuples(st.sampled_from((0, 1, 2, 3, 7, 8, 9, 23)), _NUMBERS)  # those that matter
    | st.tuples(st.sampled_from((10, 11, 12)), st.floats(width=32)),
    min_size=1,
    max_size=4,
)


def with_header(content: bytes, fields: list[tuple[int, int | float]], cut: float) -> bytes:
    """A stack with fields of its header changed, cut off at ``cut`` of its length."""
    damaged = bytearray(content)
    for field, value in fields:
        code = "<i" if isinstance(value, int) else "<f"
        struct.pack_into(code, damaged, 4 * field, value)
    return bytes(damaged[: int(len(damaged) * cut)])


def put_to_use(star: Path, out: Path) -> ParticleSet | BadInputError:
    """What commands do with a set: read, check, read images, write a part, read that again.

    Returns the set, or the error of one sentence with which it was refused.
    """
    try:
        particles = read_particles(star)
        summary(particles, inspect_particles(particles))
        check_stacks(particles)
        _read_some_images(particles)
        few = particles.take(np.arange(len(particles)) % 3 == 0)
        again = read_particles(write_subset(few, out / "few.star"))
        assert again.ids == few.ids
    except BadInputError as error:
        assert str(error)
        assert "\n" not in str(error)
        return error
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return particles


def _read_some_images(particles: ParticleSet) -> None:
    table = particles.images.iloc[:: max(1, len(particles.images) // 5)]
    stacks = ImageStacks([str(name) for name in table["stack"].cat.categories])
    images = stacks.read(table["stack"].cat.codes.to_numpy(), table["stack_index"].to_numpy())
    assert images.shape[1:] == (particles.optics.box_size_px,) * 2
