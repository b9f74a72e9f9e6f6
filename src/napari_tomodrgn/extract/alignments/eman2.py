"""Alignments of EMAN2: ``tlt_params`` of a tomogram's info file, ``[tx, ty, α, ytilt, xtilt]``.

``a = −α``, ``t = −ytilt``, ``s = (tx, ty)``, middles at ``N // 2``. Tilts about x are refused.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments.common import AlignmentInput, check_count, check_pixel
from napari_tomodrgn.extract.geometry import TiltGeometry, centre_index, tilt_rotations
from napari_tomodrgn.extract.text_files import decoded, read_bytes

# At 2,000 px from the middle, 0.02° about x move a point by less than a pixel.
_X_TILT_TOLERANCE_DEG = 0.02


def read_json(path: Path) -> dict[str, object]:
    """The object of a JSON file; raises `BadInputError` if it is none."""
    try:
        found = json.loads(decoded(path, read_bytes(path)))
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}: not JSON ({error}).", code="bad-json") from error
    if not isinstance(found, dict):
        raise BadInputError(f"{path}: not a JSON object.", code="bad-json")
    return found


def read_tlt_params(path: Path) -> tuple[NDArray[np.float64], float | None]:
    """Read rows ``tx, ty, α, ytilt, xtilt``, ``(tilt, 5)``, and the pixel size in Å if given.

    Raises
    ------
    BadInputError
        If there are none, or not of five numbers.
    """
    found = read_json(path)
    if "tlt_params" not in found:
        raise BadInputError(f"{path}: has no tlt_params.", code="no-tilts")
    try:
        rows = np.array(found["tlt_params"], dtype=np.float64)
        good = rows.ndim == 2 and rows.shape[1] >= 5 and bool((np.abs(rows) < 1e9).all())
    except (ValueError, TypeError):
        good = False
    if not good:
        raise BadInputError(f"{path}: tlt_params must be rows of five numbers.", code="bad-row")
    pixel = found.get("apix_unbin")
    return rows[:, :5], float(pixel) if isinstance(pixel, int | float) else None


def read_eman2(source: AlignmentInput) -> TiltGeometry:
    """Read the info file of a tomogram.

    Raises
    ------
    BadInputError
        If it is damaged, does not fit the stack, or tilts about x.
    """
    (rows, pixel), stack = read_tlt_params(source.path), source.stack
    check_count(source.path, "tilts", len(rows), stack)
    check_pixel(source.path, pixel, stack)
    worst = int(np.abs(rows[:, 4]).argmax())
    if abs(rows[worst, 4]) > _X_TILT_TOLERANCE_DEG:
        raise BadInputError(
            f"{source.path}: tilt {worst + 1} is tilted about x by {rows[worst, 4]:g}°, which is "
            "not applied.",
            code="eman2-xtilt",
        )
    return TiltGeometry(
        rotations=tilt_rotations(-rows[:, 2], -rows[:, 3], 0.0),
        middle_px=centre_index(stack.size_px, "n//2") + rows[:, :2],
        sections=np.arange(len(rows)),
        pixel_size_angstrom=stack.pixel_size_angstrom,
        image_size_px=stack.size_px,
        rule="n//2",
    )
