"""Plain tables: CSV with named columns, copick's JSON and emClarity's CSV."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments.eman2 import read_json
from napari_tomodrgn.extract.lists.common import (
    FloatArray,
    ParticleList,
    SubsetWriter,
    Unit,
    lines_subset,
    whole_names,
    zxz_rotations,
)
from napari_tomodrgn.extract.lists.stars import numbered
from napari_tomodrgn.extract.text_files import content_lines, csv_rows, parse_number, read_lines
from napari_tomodrgn.geometry import euler_to_matrix

_PLACES: dict[Unit, tuple[str, str, str]] = {
    "voxels": ("x", "y", "z"),
    "centred_angstrom": ("x_centred_angstrom", "y_centred_angstrom", "z_centred_angstrom"),
    "corner_angstrom": ("x_angstrom", "y_angstrom", "z_angstrom"),
}
# Numbers and values of lines.
Rows = list[tuple[int, list[str]]]
_EMCLARITY_COLUMNS = 26  # by which its CSV, without a head, is told
_EMCLARITY_REMOVED = -9999.0  # in the last column, of a particle that was removed


def read_csv_list(path: Path) -> ParticleList:
    """Read a CSV whose first line names its columns.

    ``tomogram``; ``x, y, z`` in voxels, or ``x_angstrom …`` from the corner of the tomogram, or
    ``x_centred_angstrom …`` from its middle; ``rot, tilt, psi`` (RELION) or ``phi, psi, the``
    (STOPGAP) in degrees; ``particle`` where particles have names. emClarity's CSV without a head is
    told by its 26 columns.

    Raises
    ------
    BadInputError
        If columns are missing or values make no sense.
    """
    lines = list(content_lines(read_lines(path)))
    if not lines:
        raise BadInputError(f"{path}: has no rows.", code="no-particles")
    if _is_emclarity(lines[0][1]):
        return _emclarity(path, lines)
    rows = csv_rows(path, lines)
    head = [name.lower() for name in rows[0][1]]
    body = rows[1:]
    unit = _unit(path, head)
    tomograms = [row[head.index("tomogram")] for _, row in body]
    named = "particle" in head
    return ParticleList(
        path=path,
        format="csv",
        tomogram=tuple(tomograms),
        particle=tuple(row[head.index("particle")] for _, row in body)
        if named
        else numbered(tomograms),
        coordinates=_columns(path, head, body, _PLACES[unit]),
        unit=unit,
        rotations=_csv_rotations(path, head, body),
        subset=lines_subset([lines[0][1] + "\n"], [f"{line}\n" for _, line in lines[1:]]),
        origin=None,
    )


def _unit(path: Path, head: list[str]) -> Unit:
    units = [unit for unit, names in _PLACES.items() if all(name in head for name in names)]
    if "tomogram" not in head or not units:
        raise BadInputError(
            f"{path}: the first line must name tomogram and x, y, z (voxels), x_angstrom, … (from "
            f"the corner) or x_centred_angstrom, …; found {', '.join(head)[:200]}.",
            code="missing-column",
        )
    if len(units) > 1:
        raise BadInputError(
            f"{path}: gives places twice, as {' and '.join(units)}.",
            remedy="Leave one of them out.",
            code="ambiguous-columns",
        )
    return units[0]


def _columns(path: Path, head: list[str], body: Rows, names: tuple[str, ...]) -> FloatArray:
    places = [head.index(name) for name in names]
    rows = [[parse_number(path, line, row[place]) for place in places] for line, row in body]
    return np.array(rows, dtype=np.float64).reshape(-1, len(names))


def _csv_rotations(path: Path, head: list[str], body: Rows) -> FloatArray:
    if all(name in head for name in ("rot", "tilt", "psi")):
        return euler_to_matrix(_columns(path, head, body, ("rot", "tilt", "psi")))
    if all(name in head for name in ("phi", "psi", "the")):
        phi, psi, the = _columns(path, head, body, ("phi", "psi", "the")).T
        return zxz_rotations(phi, the, psi)
    raise BadInputError(
        f"{path}: names neither rot, tilt, psi (RELION) nor phi, psi, the (STOPGAP).",
        code="missing-column",
    )


def _is_emclarity(line: str) -> bool:
    words = line.replace(",", " ").split()
    try:
        return len(words) == _EMCLARITY_COLUMNS and all(np.isfinite([float(w) for w in words]))
    except ValueError:
        return False


def _emclarity(path: Path, lines: list[tuple[int, str]]) -> ParticleList:
    """26 columns: 4 particle, 11–13 unbinned place, 17–25 matrix by columns, 26 = −9999: removed.

    The file is called after its tomogram.
    """
    rows = []
    for line_number, line in lines:
        words = line.replace(",", " ").split()
        if len(words) != _EMCLARITY_COLUMNS:
            raise BadInputError(
                f"{path}: line {line_number} has {len(words)} columns, not {_EMCLARITY_COLUMNS}.",
                code="bad-row",
            )
        rows.append([parse_number(path, line_number, word) for word in words])
    values = np.array(rows)
    kept = np.flatnonzero(values[:, 25] != _EMCLARITY_REMOVED)
    values = values[kept]
    texts = [f"{lines[row][1]}\n" for row in kept]
    rotations = values[:, 16:25].reshape(-1, 3, 3).transpose(0, 2, 1)
    off = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0)
    wrong = np.flatnonzero(~(off < 1e-2))
    if wrong.size:
        raise BadInputError(
            f"{path}: columns 17 to 25 of line {lines[kept[wrong[0]]][0]} are no rotation.",
            code="bad-value",
        )
    return ParticleList(
        path=path,
        format="emclarity",
        tomogram=(path.stem,) * len(kept),
        particle=whole_names(path, values[:, 3], "particle (column 4)"),
        coordinates=values[:, 10:13],
        unit="series_px",
        rotations=rotations,
        subset=lines_subset([], texts),
        origin=None,
        pose_proven=False,
    )


def read_copick(path: Path) -> ParticleList:
    """Read picks of copick: places in Å from the corner, 4 × 4 matrices reference → specimen.

    Raises
    ------
    BadInputError
        If it has no points, or one without a place.
    """
    found = read_json(path)
    points = found.get("points")
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise BadInputError(f"{path}: has no points; not picks of copick.", code="not-a-list")
    if str(found.get("unit", "angstrom")).lower() not in ("angstrom", "å", "a"):
        raise BadInputError(f"{path}: counts in {found.get('unit')!r}, not Å.", code="bad-unit")
    places, rotations = [], []
    for row, point in enumerate(points):
        try:
            where = point["location"]
            places.append([float(where[axis]) for axis in "xyz"])
            matrix = np.array(point.get("transformation_", np.eye(4)), dtype=np.float64)
            rotations.append(matrix.reshape(4, 4)[:3, :3])
            places[-1] = (np.array(places[-1]) + matrix.reshape(4, 4)[:3, 3]).tolist()
        except (KeyError, TypeError, ValueError) as error:
            raise BadInputError(
                f"{path}: point {row + 1} has no location x, y, z or no 4 × 4 matrix.",
                code="bad-row",
            ) from error
    tomogram = str(found.get("run_name", path.stem))
    return ParticleList(
        path=path,
        format="copick",
        tomogram=(tomogram,) * len(points),
        particle=numbered([tomogram] * len(points)),
        coordinates=np.array(places, dtype=np.float64).reshape(-1, 3),
        unit="corner_angstrom",
        rotations=np.array(rotations, dtype=np.float64).reshape(-1, 3, 3),
        subset=_json_subset(found, points),
        origin=0,
    )


def _json_subset(found: dict[str, object], points: list[object]) -> SubsetWriter:
    def subset(chosen: NDArray[np.int64]) -> bytes:
        kept = {**found, "points": [points[row] for row in chosen]}
        return (json.dumps(kept, indent=4) + "\n").encode("utf-8")

    return subset
