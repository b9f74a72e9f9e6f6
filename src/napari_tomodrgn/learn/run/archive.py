"""A run as one file to hand on: all that decoding and exploring needs, no images.

A zip archive, ending in ``.tomodrgn``: ``run.json``, the star files, losses, latents, weights of
the epoch that the run ended with, and ``analysis/`` (selections, clusters, comparisons, maps). What
is opened is unpacked beside the file. Only kinds of files that a run consists of are packed or
unpacked, none of which can be executed: anything else in an archive, a pickle above all, makes it
refused as a whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import staged_folder, written_atomically

SUFFIX = ".tomodrgn"
# Notes which archive a folder was unpacked from.
_MARK = "shared-from.json"
_KINDS = (".json", ".star", ".csv", ".parquet", ".safetensors", ".mrc", ".svg", ".png", ".html")
# Of the weights of training, only what decodes and embeds goes along.
_CHECKPOINTS = ("components", "known", "linear", "refinement")
# An archive that unpacks to more than this many times its own size holds no run.
_MAX_RATIO = 200
_CHUNK = 1 << 20  # bytes copied or hashed at a time; smaller archives count as so large


@dataclass(frozen=True)
class Archive:
    """What was written: the file, its size, and how many files are in it."""

    path: Path
    size_bytes: int
    files: int


def is_archive(path: str | Path) -> bool:
    """Whether a path is called as an archive is."""
    return Path(path).suffix.lower() == SUFFIX


def write_archive(folder: Path, epoch: int, out: str | Path) -> Archive:
    """Write a run as one file.

    Parameters
    ----------
    folder
        The run directory.
    epoch
        Whose latents and weights go along.
    out
        The file, called ``….tomodrgn``.

    Raises
    ------
    BadInputError
        If it is called otherwise.
    """
    out = Path(out)
    if not is_archive(out):
        raise BadInputError(f"{out}: must end in {SUFFIX}.", code="bad-suffix")
    count = 0
    with written_atomically(out) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for file in sorted(_files(folder, epoch)):
                archive.write(file, file.relative_to(folder).as_posix())
                count += 1
        size = temporary.stat().st_size
    return Archive(out, size, count)


def _files(folder: Path, epoch: int) -> Iterator[Path]:
    """Files of a run that go along."""
    wanted = {f"epoch-{epoch:04d}", *_CHECKPOINTS}
    for file in folder.iterdir():
        if file.is_file() and file.suffix in _KINDS and file.name != _MARK:
            yield file
    for room in ("latents", "checkpoints"):
        for file in (folder / room).iterdir():
            if file.stem in wanted and file.suffix in _KINDS:
                yield file
    for file in (folder / "analysis").rglob("*"):
        if file.is_file() and file.suffix in _KINDS and not file.name.startswith("."):
            yield file


def unpacked(path: str | Path) -> Path:
    """The run directory of an archive: the folder beside it, made when it is first opened.

    Raises
    ------
    BadInputError
        If it is no archive of a run, holds what a run has not, or another folder is in the way.
    """
    path = Path(path)
    target = path.with_suffix("")
    digest = _sha256(path)
    if target.exists():
        if _digest_of(target) == digest:
            return target
        raise BadInputError(
            f"{path}: is unpacked to {target.name} beside it, but something else is there.",
            remedy="Rename the file, or move that folder away.",
            code="exists",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked(path, archive)
            with staged_folder(target) as stage:
                for member in members:
                    _extract(archive, member, stage / member.filename)
                mark = {"archive": path.name, "sha256": digest}
                (stage / _MARK).write_text(json.dumps(mark), encoding="utf-8")
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise BadInputError(
            f"{path}: damaged, or not a shared run ({error}).", code="bad-archive"
        ) from error
    return target


def _checked(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members to unpack; raises if one is nothing that a run has."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        name = PurePosixPath(member.filename)
        strange = name.is_absolute() or ".." in name.parts or "\\" in member.filename
        if strange or ":" in member.filename or name.suffix not in _KINDS:
            raise BadInputError(
                f"{path}: holds {member.filename!r}, which no shared run has; nothing was "
                "unpacked.",
                code="bad-archive",
            )
    if "run.json" not in {member.filename for member in members}:
        raise BadInputError(f"{path}: holds no run (run.json).", code="bad-archive")
    total = sum(member.file_size for member in members)
    if total > _MAX_RATIO * max(path.stat().st_size, _CHUNK):
        raise BadInputError(
            f"{path}: would unpack to {total / 1e9:.1f} GB, which no run of its size does; nothing "
            "was unpacked.",
            code="bad-archive",
        )
    return members


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out, _CHUNK)


def _digest_of(folder: Path) -> str:
    try:
        found = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        return str(found["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while part := stream.read(_CHUNK):
                digest.update(part)
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror}).", code="no-file"
        ) from error
    return digest.hexdigest()
