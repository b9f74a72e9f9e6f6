"""Which stack, and which tomogram, belongs to a tomogram of the list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.text_files import content_lines, csv_rows, read_lines

_STACKS = (".st", ".mrc", ".mrcs", ".ali")
_ALIGNED_ENDS = ("_ali", "_aligned")
_OTHER_ENDS = ("_rec", "_full_rec", "_preali", "_fid", "_erase", "_tomo", "_ctf", "_ctfcorr")
_TOMOGRAMS = (".mrc", ".rec")


@dataclass(frozen=True)
class StackFile:
    """A stack that was found: the series' name, its file, and whether its name says aligned."""

    name: str
    path: Path
    aligned: bool


def stacks_in(folder: Path) -> list[StackFile]:
    """Stacks of tilt series in a folder and the folders in it.

    Raises
    ------
    BadInputError
        If there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise BadInputError(f"{folder}: no such folder of tilt series.", code="no-folder")
    found = []
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if path.suffix.lower() not in _STACKS or path.name.startswith("."):
            continue
        stem = path.stem
        if stem.endswith(_OTHER_ENDS):
            continue
        end = next((end for end in _ALIGNED_ENDS if stem.endswith(end)), "")
        aligned = bool(end) or path.suffix.lower() == ".ali"
        found.append(StackFile(stem.removesuffix(end), path, aligned))
    if not found:
        raise BadInputError(
            f"{folder}: holds no stacks of tilt images ({', '.join(_STACKS)}).", code="no-stacks"
        )
    return found


def read_match(path: Path) -> dict[str, str]:
    """Tilt series of each tomogram, of a CSV with the columns tomogram and tilt_series.

    Raises
    ------
    BadInputError
        If it has other columns, or a tomogram stands in it twice.
    """
    rows = csv_rows(path, list(content_lines(read_lines(path))))
    if not rows or [name.lower() for name in rows[0][1]] != ["tomogram", "tilt_series"]:
        raise BadInputError(
            f"{path}: the first line must be tomogram,tilt_series.", code="missing-column"
        )
    found: dict[str, str] = {}
    for line_number, (tomogram, series) in rows[1:]:
        if tomogram in found:
            raise BadInputError(
                f"{path}: line {line_number} gives tomogram {tomogram} a second tilt series.",
                code="bad-row",
            )
        found[tomogram] = series
    return found


def series_name(tomogram: str, known: Iterable[str], match: dict[str, str], where: Path) -> str:
    """The tilt series of a tomogram: by the table, by its name, or by its number.

    Raises
    ------
    BadInputError
        If none or several could be meant.
    """
    names = list(dict.fromkeys(known))
    wanted = match.get(tomogram, tomogram)
    if wanted in names:
        return wanted
    if tomogram not in match:
        same = [name for name in names if _same(wanted, name)]
        if len(same) == 1:
            return same[0]
        if len(same) > 1:
            raise BadInputError(
                f"{where}: tomogram {tomogram} could be {' or '.join(same[:3])}.",
                remedy="Say which with --match TABLE.csv (tomogram,tilt_series).",
                code="ambiguous-series",
            )
    raise BadInputError(
        f"{where}: no tilt series of tomogram {tomogram}; there are {', '.join(names[:6])}"
        f"{', …' if len(names) > 6 else ''}.",
        remedy="Say which belong together with --match TABLE.csv (tomogram,tilt_series).",
        code="no-series",
    )


def _same(tomogram: str, name: str) -> bool:
    """Whether a name is the other's with more at its end, or its last number is that number."""
    if tomogram.isdigit():
        numbers = re.findall(r"\d+", name)
        return bool(numbers) and int(numbers[-1]) == int(tomogram)
    longer, shorter = sorted((tomogram, name), key=len, reverse=True)
    rest = longer[len(shorter) :]
    return longer.startswith(shorter) and not rest[:1].isalnum()


def stack_of(name: str, stacks: list[StackFile], which: str, where: Path) -> StackFile:
    """The stack of a series, raw or aligned.

    Raises
    ------
    BadInputError
        If it is not there, or several files could be meant.
    """
    mine = [stack for stack in stacks if stack.name == name]
    if which == "aligned":
        wanted = [stack for stack in mine if stack.aligned] or mine
    elif which == "raw":
        wanted = [stack for stack in mine if not stack.aligned]
    else:  # raw ones hold everything; aligned ones were interpolated once
        wanted = [stack for stack in mine if not stack.aligned] or mine
    if len(wanted) == 1:
        return wanted[0]
    found = " and ".join(stack.path.name for stack in wanted[:3])
    raise BadInputError(
        f"{where}: {name} has {found or f'no {which} stack'}.",
        remedy="Keep one stack a tilt series in the folder, or say --stacks raw or aligned.",
        code="ambiguous-stack" if wanted else "no-stack",
    )


def tomogram_files(folder: Path, names: list[str]) -> list[Path]:
    """Reconstructions of a series in a folder: called after it, with more at the end."""
    if not folder.is_dir():
        raise BadInputError(f"{folder}: no such folder of tomograms.", code="no-folder")
    for name in names:
        found = [
            path
            for path in sorted([*folder.glob("*"), *folder.glob("*/*")])
            if path.suffix.lower() in _TOMOGRAMS and _same(name, path.stem)
        ]
        if found:
            return found
    return []
