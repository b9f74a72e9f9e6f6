"""Writing files: each whole or not at all, all of an export or none, nothing in place of another.

A reader, or a crash, never meets half a file (`written_atomically`). What belongs together is put
in place together (`OutputFiles`), and what exists stays unless its replacement was asked for.
"""

from __future__ import annotations

import errno
import filecmp
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.folders_in_use import refuse_gone

# Bytes of a name on all usual file systems; of what a temporary file repeats of it, so that with
# what is added it is still a name.
_LONGEST_NAME, _LONGEST_PREFIX = 255, 200
# numpy says so when a disk is full, without an error number.
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
_STAGE = ".unfinished."
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
_REASONS: dict[int, tuple[str, str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free some space, or name another folder.", "disk-full"),
    getattr(errno, "EDQUOT", -1): (
        "your quota is used up",
        "Free some space, or name another folder.",
        "disk-full",
    ),
    errno.EFBIG: ("the file would be larger than is allowed here", "Raise the limit.", "disk-full"),
    errno.EROFS: ("the file system is read-only", "Name another folder.", "read-only"),
    errno.EACCES: ("you may not write there", "Name another folder.", "no-permission"),
    errno.EPERM: ("you may not write there", "Name another folder.", "no-permission"),
    errno.ENAMETOOLONG: ("the name is too long", "Name a shorter one.", "name-too-long"),
    errno.ENOTDIR: ("a part of the path is a file, no folder", "Name another folder.", "no-folder"),
    errno.EEXIST: ("a file stands where a folder is needed", "Name another folder.", "no-folder"),
    errno.EISDIR: ("a folder of that name is there", "Name another file.", "is-a-folder"),
    errno.EIO: ("the disk reports an error", "Name another folder.", "disk-error"),
}


def _read_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


# Read once, at import: the call changes the mask for a moment, for every thread of the process.
_UMASK = _read_umask()


class OutputFiles:
    """The files of one export: put in place together, or none of them; made by `all_or_none`.

    Parameters
    ----------
    overwrite
        Whether files that exist may be replaced.
    reject
        Called with each path to write; raises `BadInputError` where nothing may ever be written,
        such as the files that the export was made from.
    """

    def __init__(
        self, *, overwrite: bool = False, reject: Callable[[Path], None] | None = None
    ) -> None:
        self._overwrite = overwrite
        self._reject = reject
        self._staged: dict[Path, Path] = {}
        self._folders: list[Path] = []
        self._outdated: list[Path] = []

    def check(self, *paths: str | Path) -> None:
        """Raise before long work what would be raised when the files are written.

        Raises
        ------
        BadInputError
            If a file exists that may not be replaced, or its folder cannot be written to.
        """
        for path in map(Path, paths):
            self.check_source(path)
            if os.path.lexists(path) and not self._overwrite:
                raise _exists(path)
            with explained_write_errors(path):
                _try_to_write(path)

    def check_source(self, path: Path) -> None:
        """Raise if ``path`` is what may never be written."""
        if self._reject is not None:
            self._reject(path)

    def make_folder(self, folder: Path) -> None:
        """Make a folder, and remember it in case that the export fails."""
        refuse_gone(folder)
        self._folders += [one for one in (*folder.parents, folder)[::-1] if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)

    def stage(self, target: Path, temporary: Path) -> None:
        """Take a finished temporary file, to be moved to ``target`` in the end."""
        occupied = os.path.lexists(target) and not self._overwrite and target not in self._staged
        if occupied and not _same_content(target, temporary):
            raise _exists(target)
        if target in self._staged:
            self._staged[target].unlink(missing_ok=True)
        self._staged[target] = temporary

    def outdate(self, path: Path) -> None:
        """Remove a file once all others are in place."""
        self._outdated.append(path)

    def commit(self) -> list[Path]:
        """Move all files into place, in the order in which they were written; which they are."""
        for target in self._staged:
            if target.is_dir() and not target.is_symlink():
                raise explain_write_error(target, OSError(errno.EISDIR, ""))
        for target, temporary in self._staged.items():
            with explained_write_errors(target):
                os.replace(temporary, target)
        written = list(self._staged)
        self._staged.clear()
        for path in self._outdated:
            path.unlink(missing_ok=True)
        return written

    def discard(self) -> None:
        """Remove what was written so far, and folders that were made for it."""
        for temporary in self._staged.values():
            temporary.unlink(missing_ok=True)
        # Deepest first; those that hold something else by now stay.
        for folder in sorted(self._folders, key=lambda one: -len(one.parts)):
            with suppress(OSError):
                folder.rmdir()


_EXPORT: ContextVar[OutputFiles | None] = ContextVar("export", default=None)


@contextmanager
def all_or_none(
    *, overwrite: bool = False, reject: Callable[[Path], None] | None = None
) -> Iterator[OutputFiles]:
    """Put all files in place that this thread writes in the block, or none if it raises.

    Holds for whatever writes with `written_atomically`. A block within a block belongs to it.

    Raises
    ------
    BadInputError
        If a file exists and ``overwrite`` is false, unless it would stay as it is.
    """
    outer = _EXPORT.get()
    if outer is not None:
        yield outer
        return
    outputs = OutputFiles(overwrite=overwrite, reject=reject)
    _EXPORT.set(outputs)
    try:
        yield outputs
        written = outputs.commit()
        _remove_left_by_killed(written)
    except BaseException:
        outputs.discard()
        raise
    finally:
        # Not reset by a token: a generator may be closed in another context than it began in.
        _EXPORT.set(None)


@contextmanager
def written_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; on success sync it and move it into place.

    If the block raises, the temporary file is removed and ``path`` is left as it was. Within
    `all_or_none` it is moved at the end of that block.

    Raises
    ------
    BadInputError
        If it cannot be written: disk full, read-only, no permission, name too long.
    """
    path = Path(path)
    outputs = _EXPORT.get()
    if outputs is not None:
        outputs.check_source(path)
        yield from _through_temporary(path, outputs)
        return
    outputs = OutputFiles(overwrite=True)
    try:
        yield from _through_temporary(path, outputs)
        outputs.commit()
    except BaseException:
        outputs.discard()
        raise


def _through_temporary(path: Path, outputs: OutputFiles) -> Iterator[Path]:
    """Yield a temporary file once; what was written to it is handed to the export."""
    with explained_write_errors(path):
        outputs.make_folder(path.parent)
        _reject_long_name(path)
        prefix = f".{path.name}."
        if len(os.fsencode(prefix)) > _LONGEST_PREFIX:
            prefix = ".long-name."
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix[:40])
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with open(temporary, "rb+") as written:
                os.fsync(written.fileno())
            # mkstemp makes files private; a run on a shared disk must be readable by the group.
            temporary.chmod(0o666 & ~_UMASK)
            outputs.stage(path, temporary)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def remove_outdated(path: Path) -> None:
    """Remove a file of ours; within `all_or_none` at the end of that block."""
    outputs = _EXPORT.get()
    if outputs is None:
        path.unlink(missing_ok=True)
    else:
        outputs.outdate(path)


def _reject_long_name(path: Path) -> None:
    """Raise OSError if a file system cannot hold a name of the path."""
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise OSError(errno.ENAMETOOLONG, "")


def make_folder(folder: str | Path) -> None:
    """Make a folder; within `all_or_none` it is removed again if the export fails.

    Raises
    ------
    BadInputError
        If it cannot be made.
    """
    outputs = _EXPORT.get() or OutputFiles()
    with explained_write_errors(folder):
        outputs.make_folder(Path(folder))


@contextmanager
def staged_folder(out: str | Path) -> Iterator[Path]:
    """Give an empty folder to fill; its entries are moved into ``out`` when all is written.

    Entries of the same names are replaced; the caller has made sure that they may be.
    """
    out = Path(out)
    with explained_write_errors(out):
        made = [one for one in (out, *out.parents) if not one.exists()]
        out.mkdir(parents=True, exist_ok=True)
        for left in out.glob(f"{_STAGE}*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        stage = Path(tempfile.mkdtemp(dir=out, prefix=_STAGE))
        stage.chmod(0o777 & ~_UMASK)
        try:
            yield stage
            for entry in sorted(stage.iterdir()):
                target = out / entry.name
                if target.is_dir() and not target.is_symlink():
                    shutil.rmtree(target)
                os.replace(entry, target)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()


@contextmanager
def explained_write_errors(path: str | Path) -> Iterator[None]:
    """Raise what keeps ``path`` from being written as a `BadInputError` that says so."""
    try:
        yield
    except BadInputError:
        raise
    except Exception as error:
        if _number_of(error) not in _REASONS or not _is_about(error, Path(path)):
            raise
        raise explain_write_error(path, error) from error


def explain_write_error(path: str | Path, error: BaseException) -> BadInputError:
    """The sentence for an error of the operating system met while writing ``path``."""
    number = _number_of(error)
    what, remedy, code = _REASONS.get(number or 0, (str(error), "", "cannot-write"))
    return BadInputError(f"{path}: cannot be written, {what}.", remedy=remedy, code=code)


def _is_about(error: Exception, path: Path) -> bool:
    """Whether an error that names a file means ``path``, its temporary file or its folder."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str | os.PathLike):
        return True
    named = Path(name)
    return named.parent in path.parents or named in path.parents or path in (named, *named.parents)


def _number_of(error: BaseException) -> int | None:
    """The error number of the operating system behind an exception, whoever raised it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if _SHORT_WRITE.search(text):
        return errno.ENOSPC
    match = _RUST_ERROR.search(text)  # safetensors
    return int(match[1]) if match else None


def _exists(path: Path) -> BadInputError:
    remedy = "Name another, or replace it with --overwrite."
    return BadInputError(f"{path}: exists already.", remedy=remedy, code="exists")


def _same_content(one: Path, other: Path) -> bool:
    return one.is_file() and filecmp.cmp(one, other, shallow=False)


def _try_to_write(path: Path) -> None:
    """Raise OSError if a file cannot be made there; folders that are missing are not made."""
    _reject_long_name(path)
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR, "")
    with tempfile.TemporaryFile(dir=folder):
        pass


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing but what a killed `staged_folder` left."""
    return all(entry.name.startswith(_STAGE) for entry in folder.iterdir())


def _remove_left_by_killed(targets: list[Path]) -> None:
    """Remove what writers of the same files left when they were killed."""
    for folder in {target.parent for target in targets}:
        names = {target.name for target in targets if target.parent == folder}
        for file in folder.glob(".*"):
            # A suffix may look like the random part, so that only that of the target itself goes.
            for suffix in {"", file.suffix}:
                match = _TEMPORARY.fullmatch(file.name.removesuffix(suffix))
                if match and match[1] in names and Path(match[1]).suffix == suffix:
                    file.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove temporary files of killed writers of files of that name; nobody may write them now."""
    for file in folder.glob(f".{name if name == '*' else glob.escape(name)}.*"):
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
