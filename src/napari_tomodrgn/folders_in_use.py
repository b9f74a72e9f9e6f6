"""Folders that are written to for long: one that is deleted or moved meanwhile is not made again.

Whoever writes makes the folders that are missing. Half a run would stand where the user has just
deleted a whole one, and be taken for a run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from napari_tomodrgn.errors import BadInputError

_GONE = "folder-gone"


@dataclass(frozen=True, eq=False)
class FolderInUse:
    """A folder, the files of which one is in it as long as it is there, and what it is used for."""

    folder: Path
    signs: tuple[str, ...]
    use: str  # "was deleted or moved while it was trained"

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted or moved."""
        return not any((self.folder / name).exists() for name in self.signs)


_IN_USE: list[FolderInUse] = []


def use_folder(folder: Path, signs: tuple[str, ...], use: str) -> FolderInUse:
    """Let nobody make a folder anew, nor anything in it, until it is released."""
    used = FolderInUse(_real(folder), signs, use)
    _IN_USE.append(used)
    return used


def release_folder(used: FolderInUse) -> None:
    """The folder is as any other from now on."""
    if used in _IN_USE:
        _IN_USE.remove(used)


def begin_anew(folder: Path) -> None:
    """Let a folder be made that is gone: somebody begins another one of that name."""
    _IN_USE[:] = [one for one in _IN_USE if not (one.folder == _real(folder) and one.is_gone)]


@contextmanager
def folder_in_use(folder: Path, signs: tuple[str, ...], use: str) -> Iterator[None]:
    """The same for a block; what it fails of because the folder is gone is told as that."""
    used = use_folder(folder, signs, use)
    try:
        yield
    except Exception as error:
        if used.is_gone and getattr(error, "code", "") != _GONE:
            raise folder_gone(used.folder, use) from error
        raise
    finally:
        release_folder(used)


def is_in_use(folder: Path, use: str) -> bool:
    """Whether this process uses a folder for that."""
    return any((one.folder, one.use) == (_real(folder), use) for one in _IN_USE)


def refuse_gone(path: Path) -> None:
    """Raise where something is to be written into a folder that is gone.

    Raises
    ------
    BadInputError
        If it was deleted or moved while it was in use.
    """
    if not _IN_USE:
        return
    path = _real(path)
    for used in tuple(_IN_USE):
        if path.is_relative_to(used.folder) and used.is_gone:
            raise folder_gone(used.folder, used.use)


def folder_gone(folder: Path, use: str) -> BadInputError:
    """What there is to say of such a folder."""
    return BadInputError(
        f"{folder}: was deleted or moved while it was {use}. Nothing more is written to it.",
        remedy="If you moved it, open it where it is now; if you deleted it, it is lost.",
        code=_GONE,
    )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
