from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_tomodrgn.data.stack import ImageStacks, read_header
from napari_tomodrgn.errors import BadInputError

TYPES = ["int8", "int16", "float32", "uint16", "float16"]


def _images(dtype: str, count: int = 5, box: int = 6) -> np.ndarray:
    rng = np.random.default_rng(1)
    low = 0 if dtype == "uint16" else -100
    values = rng.integers(low, 100, (count, box, box))
    if dtype == "uint16":
        values[0, 0, 0] = 65000  # would be negative if read as int16
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stamp", [True, False])
@pytest.mark.parametrize("extended", [b"", b"SERI" * 33])
def test_every_kind_of_file(
    tmp_path: Path, mrc: Callable[..., bytes], dtype: str, order: str, stamp: bool, extended: bytes
) -> None:
    images = _images(dtype)
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc(images, order=order, stamp=stamp, extended=extended, pixel=3.5))
    header = read_header(path)
    assert (header.box_size_px, header.count, header.mode) == (6, 5, dtype)
    assert header.pixel_size_angstrom == pytest.approx(3.5)
    read = ImageStacks([path]).read(np.array([0, 0, 0]), np.array([4, 0, 2]))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, images[[4, 0, 2]].astype(np.float32))


def test_agrees_with_mrcfile(tmp_path: Path) -> None:
    images = _images("float32")
    with mrcfile.new(tmp_path / "a.mrcs") as stack:
        stack.set_data(images)
        stack.set_image_stack()
        stack.voxel_size = 2.5
    read = ImageStacks([tmp_path / "a.mrcs"]).read(np.zeros(5, int), np.arange(5))
    np.testing.assert_array_equal(read, images)
    assert read_header(tmp_path / "a.mrcs").pixel_size_angstrom == pytest.approx(2.5)


def test_many_stacks_few_open(tmp_path: Path, mrc: Callable[..., bytes]) -> None:
    rng = np.random.default_rng(2)
    images = rng.normal(size=(20, 3, 4, 4)).astype(np.float32)
    paths = [tmp_path / f"{i}.mrcs" for i in range(20)]
    for path, stack in zip(paths, images, strict=True):
        path.write_bytes(mrc(stack))
    stacks = ImageStacks(paths, max_open=3)
    codes, indices = rng.integers(0, 20, 200), rng.integers(0, 3, 200)
    np.testing.assert_array_equal(stacks.read(codes, indices), images[codes, indices])
    assert len(stacks._maps) == 3


def test_one_image_file_and_nothing_asked(tmp_path: Path, mrc: Callable[..., bytes]) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc(_images("float16", count=1)))
    stacks = ImageStacks([path])
    assert stacks.read(np.array([0]), np.array([0])).shape == (1, 6, 6)
    assert len(stacks.read(np.array([], int), np.array([], int))) == 0


def _broken(mrc: Callable[..., bytes]) -> dict[str, tuple[bytes, str]]:
    whole = mrc(_images("float32"))
    complex_mode = bytearray(whole)
    complex_mode[12] = 4
    of_bytes, fewer = bytearray(whole), bytearray(whole)
    of_bytes[12] = 0
    fewer[8] -= 1
    oblong = mrc(np.zeros((2, 4, 6), np.float32))
    return {
        "cut off": (whole[:-1], "truncated-stack"),
        "header only": (whole[:1024], "truncated-stack"),
        "half a header": (whole[:500], "unreadable-stack"),
        "empty": (b"", "unreadable-stack"),
        "text": (b"data_\n" * 400, "unreadable-stack"),
        "zeros": (bytes(4096), "unreadable-stack"),
        "complex": (bytes(complex_mode), "unreadable-stack"),
        "bytes, it says": (bytes(of_bytes), "longer-stack"),
        "fewer, it says": (bytes(fewer), "longer-stack"),
        "oblong": (oblong, "wrong-box"),
    }


@pytest.mark.parametrize(
    "kind",
    [
        *("cut off", "header only", "half a header", "empty", "text", "zeros", "complex"),
        *("bytes, it says", "fewer, it says", "oblong"),
    ],
)
def test_bad_files(tmp_path: Path, mrc: Callable[..., bytes], kind: str) -> None:
    content, code = _broken(mrc)[kind]
    path = tmp_path / "bad.mrcs"
    path.write_bytes(content)
    for attempt in (read_header, lambda p: ImageStacks([p]).read(np.array([0]), np.array([0]))):
        with pytest.raises(BadInputError) as caught:
            attempt(path)
        assert caught.value.code == code
        assert str(path) in caught.value.message


def test_absent_short_and_other_box(tmp_path: Path, mrc: Callable[..., bytes]) -> None:
    (tmp_path / "a.mrcs").write_bytes(mrc(_images("float32")))
    (tmp_path / "b.mrcs").write_bytes(mrc(_images("float32", box=4)))
    stacks = ImageStacks([tmp_path / "a.mrcs", tmp_path / "b.mrcs", tmp_path / "c.mrcs"])
    for codes, indices, code in (
        ([0], [5], "short-stack"),
        ([0], [-1], "short-stack"),
        ([0, 1], [0, 0], "wrong-box"),
        ([2], [0], "unreadable-stack"),
    ):
        with pytest.raises(BadInputError) as caught:
            stacks.read(np.array(codes), np.array(indices))
        assert caught.value.code == code


def test_random_headers_never_escape(tmp_path: Path, mrc: Callable[..., bytes]) -> None:
    rng = np.random.default_rng(3)
    whole = bytearray(mrc(_images("float16")))
    path = tmp_path / "a.mrcs"
    for _ in range(300):
        changed = whole.copy()
        for at in rng.integers(0, 1024, 6):
            changed[at] = rng.integers(0, 256)
        path.write_bytes(changed[: rng.integers(0, len(changed) + 1)])
        try:
            header = read_header(path)
        except BadInputError:
            continue
        assert header.count * header.box_size_px**2 * 2 <= len(whole) * 2
