"""Writing: whole or not at all, all of an export or none, nothing in place of another."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import (
    all_or_none,
    explain_write_error,
    make_folder,
    staged_folder,
    write_text,
    written_atomically,
)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else "/"
        for path in sorted(folder.rglob("*"))
    }


def test_all_files_of_an_export_or_none(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError), all_or_none():
        write_text(out / "one.txt", "1")
        make_folder(out / "more")
        raise RuntimeError
    assert not (tmp_path / "deep").exists()
    with all_or_none():
        write_text(out / "one.txt", "1")
        assert not (out / "one.txt").exists()  # not before all are written
        write_text(out / "two.txt", "2")
        write_text(out / "one.txt", "once more")
    assert contents(out) == {"one.txt": "once more", "two.txt": "2"}


def test_what_exists_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("mine")
    with (
        pytest.raises(BadInputError, match=r"two\.txt: exists already.*--overwrite"),
        all_or_none(),
    ):
        write_text(tmp_path / "one.txt", "1")
        write_text(tmp_path / "two.txt", "2")
    assert contents(tmp_path) == {"two.txt": "mine"}
    with pytest.raises(BadInputError) as told, all_or_none() as outputs:
        outputs.check(tmp_path / "one.txt", tmp_path / "two.txt")  # before long work
    assert told.value.code == "exists"
    with all_or_none():
        write_text(tmp_path / "two.txt", "mine")  # would stay as it is
    with all_or_none(overwrite=True) as outputs:
        outputs.check(tmp_path / "two.txt")
        write_text(tmp_path / "two.txt", "2")
    assert contents(tmp_path) == {"two.txt": "2"}


def test_a_block_within_a_block_belongs_to_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), all_or_none():
        with all_or_none(overwrite=True):
            write_text(tmp_path / "one.txt", "1")
        raise RuntimeError
    assert contents(tmp_path) == {}
    write_text(tmp_path / "one.txt", "1")  # and outside of all of them it is written at once
    assert contents(tmp_path) == {"one.txt": "1"}


def test_what_may_never_be_written_is_asked_for_each_file(tmp_path: Path) -> None:
    def reject(path: Path) -> None:
        if path.name == "source.star":
            raise BadInputError("no")

    with pytest.raises(BadInputError, match="no"), all_or_none(overwrite=True, reject=reject):
        write_text(tmp_path / "one.txt", "1")
        write_text(tmp_path / "source.star", "2")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (OSError("262144 requested and 0 written"), "disk-full"),  # numpy
        (
            ValueError("I/O error: No space left on device (os error 28)"),
            "disk-full",
        ),  # safetensors
        (OSError(errno.EROFS, ""), "read-only"),
        (PermissionError(errno.EACCES, ""), "no-permission"),
    ],
)
def test_why_a_file_cannot_be_written(tmp_path: Path, error: Exception, code: str) -> None:
    with pytest.raises(BadInputError) as told, written_atomically(tmp_path / "deep" / "a.mrc"):
        raise error
    assert told.value.code == code
    assert "a.mrc: cannot be written" in str(told.value)
    assert contents(tmp_path) == {}


def test_errors_about_other_files_are_not_explained_away(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), written_atomically(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/read.star")
    assert explain_write_error("x", OSError(errno.EROFS, "")).code == "read-only"


@pytest.mark.parametrize("length", [230, 250])
def test_long_names_that_fit_are_written(tmp_path: Path, length: int) -> None:
    write_text(tmp_path / ("n" * length + ".txt"), "1")
    assert len(contents(tmp_path)) == 1


@pytest.mark.parametrize("name", ["n" * 300, "ü" * 150])
def test_names_that_are_too_long_are_told(tmp_path: Path, name: str) -> None:
    for path in (tmp_path / f"{name}.txt", tmp_path / name / "a.txt"):
        with pytest.raises(BadInputError, match="name is too long"):
            write_text(path, "1")
        with pytest.raises(BadInputError, match="name is too long"), all_or_none() as outputs:
            outputs.check(path)


def test_paths_through_a_file_and_onto_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInputError, match="a file"):
        write_text(tmp_path / "file" / "a.txt", "1")
    with pytest.raises(BadInputError, match="a folder of that name"):
        write_text(tmp_path / "folder", "1")
    with pytest.raises(BadInputError, match="a folder of that name"), all_or_none(overwrite=True):
        write_text(tmp_path / "one.txt", "1")
        write_text(tmp_path / "folder", "1")
    assert set(contents(tmp_path)) == {"file", "folder"}


def test_a_folder_is_filled_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        raise RuntimeError
    assert contents(tmp_path) == {}
    for text in ("1", "2"):
        with staged_folder(tmp_path / "out") as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "a").write_text(text)
        assert contents(tmp_path / "out") == {"sub": "/", "sub/a": text}
