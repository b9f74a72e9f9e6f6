"""Atomic writing: a reader, or a crash, never meets half a file."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _read_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


# Read once, at import: the call changes the mask for a moment, for every thread of the process.
_UMASK = _read_umask()


@contextmanager
def written_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; on success sync it and move it into place.

    If the block raises, the temporary file is removed and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; a run on a shared disk must be readable by the group.
        temporary.chmod(0o666 & ~_UMASK)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove temporary files of killed writers of files of that name; nobody may write them now."""
    for file in folder.glob(f".{name}.*"):
        match = re.fullmatch(r"\..+?(\.\w+)?\.[a-z0-9_]{8}(\.\w+)?", file.name)
        if match and match[1] == match[2] and file.is_file():
            file.unlink(missing_ok=True)


def remove_safetensors_leftovers(folder: Path) -> None:
    """Remove the temporary files that safetensors itself makes beside what it writes."""
    for file in folder.glob(".tmp*"):
        if re.fullmatch(r"\.tmp[A-Za-z0-9]{6}", file.name) and file.is_file():
            file.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def user_cache_dir() -> Path:
    """Give the folder of this user for what can be made again; it may not exist yet.

    ``NAPARI_TOMODRGN_CACHE`` overrides the place that the system has for such things.
    """
    given = os.environ.get("NAPARI_TOMODRGN_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "napari-tomodrgn"
