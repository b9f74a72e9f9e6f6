"""Finding the files that a star file names, wherever it has been moved to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from napari_tomodrgn.errors import BadInputError

# RELION and Warp write paths from the project's folder, which is some levels above the star file.
_LEVELS_UP = 6
_LEVELS_DOWN = 6  # of folders that are searched
_MOST_ENTRIES = 500_000  # files and folders that are seen before the search stops


def locate_images(
    names: Sequence[str], star: Path, images: Path | None, *, needed: bool = True
) -> list[Path]:
    """Absolute paths of the image files that ``star`` calls ``names``: all of them or an error.

    Parameters
    ----------
    names
        Different file names, as they stand in the star file.
    star
        The star file.
    images
        Folder in which to look, instead of around the star file.
    needed
        If not, files that are not found are taken to be where the star file says.

    Raises
    ------
    BadInputError
        If a file is not found or several could be meant, or ``images`` is not a folder.
    """
    if images is not None and not images.is_dir():
        raise BadInputError(
            f"{images}: the images folder does not exist.",
            remedy="Pass the folder that holds the image stacks with --images DIR.",
            code="no-images-folder",
        )
    listing = _Listing()
    for paths in _guesses(names, star, images):
        if listing.has_all(paths):
            return [Path(path) for path in paths]
    root = images or star.absolute().parent
    found = _search(root, {os.path.basename(name) for name in names})
    matched = [_longest_match(name, found.get(os.path.basename(name), ())) for name in names]
    missing = _without_a_file(names, matched)
    if missing and not needed:
        return [star.absolute().parent / name for name in names]
    if missing:
        several = len(found.get(os.path.basename(missing[0]), ())) > 1
        what = "is the name of several files there" if several else "was not found"
        raise BadInputError(
            f"{star}: image file {missing[0]} {what} ({len(missing)} of {len(names)} files; "
            f"looked under {root}).",
            remedy="Pass the folder that holds the image stacks with --images DIR.",
            code="missing-images",
        )
    return [Path(match[0]) for match in matched]


def locate_star(name: str, star: Path) -> Path | None:
    """Path of a star file that another one names, or None."""
    for root in _roots(star):
        path = os.path.normpath(os.path.join(root, name))
        if os.path.isfile(path):
            return Path(path)
    for folder in (star.absolute().parent, star.resolve().parent):
        beside = folder / os.path.basename(name)
        if beside.is_file():
            return beside
    return None


def _roots(star: Path) -> list[str]:
    folder = star.absolute().parent
    above = list(folder.parents)[:_LEVELS_UP]
    # A link to a star file: what belongs to it lies beside the file itself.
    real = star.resolve().parent
    linked = [] if real == folder.resolve() else [real, *list(real.parents)[:_LEVELS_UP]]
    return [str(root) for root in (folder, Path.cwd(), *above, *linked)]


def _guesses(names: Sequence[str], star: Path, images: Path | None) -> Iterator[list[str]]:
    """Lists of paths, one of which may exist as a whole."""
    roots = [str(images.absolute())] if images else _roots(star)
    for root in roots:
        # An absolute name stays as it is, unless the user says where the images are now.
        joined = (f"{root}/{name}" if images else os.path.join(root, name) for name in names)
        yield [os.path.normpath(path) for path in joined]
    bare: list[str] = [os.path.basename(name) for name in names]
    if len(set(bare)) == len(bare):
        yield [os.path.join(roots[0], name) for name in bare]


class _Listing:
    """Which files exist, by one listing per folder: quick for 100,000 stacks on a shared disk."""

    def __init__(self) -> None:
        self._folders: dict[str, frozenset[str]] = {}

    def has_all(self, paths: Iterable[str]) -> bool:
        return all(os.path.basename(path) in self._in(os.path.dirname(path)) for path in paths)

    def _in(self, folder: str) -> frozenset[str]:
        if folder not in self._folders:
            try:
                self._folders[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._folders[folder] = frozenset()
        return self._folders[folder]


def _search(root: Path, wanted: set[str]) -> dict[str, list[str]]:
    """Files below ``root`` of these base names; stops at a depth and a number of entries."""
    found: dict[str, list[str]] = {}
    seen = 0
    base_depth = str(root).count(os.sep)
    for folder, folders, files in os.walk(root, followlinks=True):
        if folder.count(os.sep) - base_depth >= _LEVELS_DOWN:
            folders.clear()
        seen += len(files) + len(folders)
        if seen > _MOST_ENTRIES:
            break
        for name in wanted.intersection(files):
            found.setdefault(name, []).append(os.path.join(folder, name))
    return found


def _without_a_file(names: Sequence[str], matched: Sequence[Sequence[str]]) -> list[str]:
    """Names that match no file, several, or one that is another name's by right.

    Two names are two files: ``a/1.mrcs`` alone must not stand for ``b/1.mrcs`` as well.
    """
    best: dict[str, int] = {}
    for name, paths in zip(names, matched, strict=True):
        for path in paths:
            best[path] = max(best.get(path, 0), _shared_tail(name, path))
    return [
        name
        for name, paths in zip(names, matched, strict=True)
        if len(paths) != 1 or _shared_tail(name, paths[0]) < best[paths[0]]
    ]


def _longest_match(name: str, candidates: Sequence[str]) -> list[str]:
    """The candidates that share most trailing parts of the path with ``name``."""
    if len(candidates) <= 1:
        return list(candidates)
    scores = [_shared_tail(name, candidate) for candidate in candidates]
    best = max(scores)
    return [path for path, score in zip(candidates, scores, strict=True) if score == best]


def _shared_tail(first: str, second: str) -> int:
    count = 0
    for a, b in zip(reversed(first.split("/")), reversed(second.split(os.sep)), strict=False):
        if a != b:
            break
        count += 1
    return count
