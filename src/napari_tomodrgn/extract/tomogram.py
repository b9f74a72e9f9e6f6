"""Cutting and writing the images of one tomogram, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.cut import CropPlan, cut_boxes, mean_and_sd, whole_boxes
from napari_tomodrgn.extract.lists import ParticleList
from napari_tomodrgn.extract.output import (
    PlacedSeries,
    close_quietly,
    stack_name,
    synced,
    write_image_stack,
)
from napari_tomodrgn.extract.series import Conventions, Series
from napari_tomodrgn.files import write_text

FloatArray = NDArray[np.float64]
# Images of so many particles are gathered before they are written.
_BUFFER_BYTES = 192 << 20
_TILTS_FILE = "tilts.json"


def place(
    series: Series,
    particles: ParticleList,
    conventions: Conventions,
    plan: CropPlan,
    min_tilts: int | None = None,
) -> PlacedSeries:
    """Where a tomogram's particles are in each image, which images are whole, and who is left.

    Parameters
    ----------
    series, particles, conventions
        What is known.
    plan
        How boxes are cut.
    min_tilts
        Fewest visible images of a particle that is kept; a third of the tilts if None.
    """
    centred, rotations = series.places(particles, conventions)
    found = series.geometry.project(centred)
    visible = whole_boxes(found.xy_px, series.stack.size_px, plan)
    least = min_tilts if min_tilts is not None else -(-len(series.geometry) // 3)
    kept = visible.sum(axis=0) >= min(least, len(series.geometry))
    rows = series.rows[kept]
    names = [particles.particle[row] for row in series.rows]
    shift = np.asarray(series.geometry.specimen_shift_px) * series.geometry.pixel_size_angstrom
    return PlacedSeries(
        series=series,
        rows=rows,
        names=tuple(particles.particle[row] for row in rows),
        stacks=tuple(stack_name(series.name, particles.particle[row], int(row)) for row in rows),
        centred_angstrom=(centred - shift)[kept],
        rotations=rotations[kept],
        xy_px=found.xy_px[:, kept],
        depth_angstrom=found.depth_angstrom[:, kept],
        visible=visible[:, kept],
        left_out=tuple(name for name, stays in zip(names, kept, strict=True) if not stays),
        hand=conventions.hand,
    )


def digest(placed: PlacedSeries, plan: CropPlan, dtype: str) -> str:
    """Of everything that decides the bytes of a tomogram's images."""
    stack = placed.series.stack
    found = hashlib.sha256(f"1 {plan} {dtype} {placed.stacks}".encode())
    found.update(f"{stack.header.shape_zyx} {stack.header.dtype}".encode())
    found.update(f"{stack.path.stat().st_size} {stack.path.stat().st_mtime_ns}".encode())
    for values in (placed.xy_px, placed.visible, placed.series.geometry.sections):
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def is_written(out: Path, placed: PlacedSeries, plan: CropPlan, dtype: str) -> bool:
    """Whether the images are there already.

    Raises
    ------
    BadInputError
        If images of other settings or other files are there.
    """
    folder = out / "Particles" / placed.series.name
    if not folder.exists():
        return False
    try:
        stated = json.loads((folder / _TILTS_FILE).read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        stated = None
    if stated != digest(placed, plan, dtype):
        raise BadInputError(
            f"{folder}: holds images that were cut otherwise, or of other files.",
            remedy="Name another folder with --out, or remove it.",
            code="other-extraction",
        )
    return True


def write_tomogram(out: Path, placed: PlacedSeries, plan: CropPlan, dtype: str) -> Iterator[int]:
    """Cut and write the images of a tomogram, yielding how many are done.

    They are written into a folder that only gets its name when all are on the disk.
    """
    final = out / "Particles" / placed.series.name
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    stats: dict[int, tuple[float, float]] = {}
    done = 0
    for rows in _blocks(placed, plan):
        images = np.empty((len(rows), len(placed.visible), plan.box_px, plan.box_px), np.float32)
        for tilt in range(len(placed.visible)):
            count = _cut_tilt(placed, plan, tilt, rows, images, stats)
            done += count
            yield done
        _write_stacks(partial, placed, rows, images, (plan.pixel_size_angstrom, dtype))
    sections = placed.series.geometry.sections.tolist()
    tilts = [
        {"section": section + 1, "mean": stats[tilt][0], "sd": stats[tilt][1]}
        for tilt, section in enumerate(sections)
        if tilt in stats
    ]
    about = {"digest": digest(placed, plan, dtype), "tilts": tilts}
    write_text(partial / _TILTS_FILE, json.dumps(about, indent=1) + "\n")
    os.replace(partial, final)


def _write_stacks(
    folder: Path,
    placed: PlacedSeries,
    rows: NDArray[np.int64],
    images: NDArray[np.float32],
    form: tuple[float, str],
) -> None:
    """Write stacks of particles ``rows`` from ``(row, tilt, box, box)``; ``form``: Å/px, dtype."""
    handles: list[BinaryIO] = []
    try:
        for place_in_block, row in enumerate(rows.tolist()):
            path = folder / Path(placed.stacks[row]).name
            seen = images[place_in_block, placed.visible[:, row]]
            handles.append(write_image_stack(path, seen, *form))
            if len(handles) >= 64:
                _sync_all(handles)
        _sync_all(handles)
    finally:
        for handle in handles:
            close_quietly(handle)


def _sync_all(handles: list[BinaryIO]) -> None:
    while handles:
        synced(handles.pop(0))


def _blocks(placed: PlacedSeries, plan: CropPlan) -> list[NDArray[np.int64]]:
    size = len(placed.visible) * plan.box_px**2 * 4
    together = max(1, _BUFFER_BYTES // size)
    return [
        np.arange(start, min(start + together, len(placed)))
        for start in range(0, len(placed), together)
    ]


def _cut_tilt(
    placed: PlacedSeries,
    plan: CropPlan,
    tilt: int,
    rows: NDArray[np.int64],
    images: NDArray[np.float32],
    stats: dict[int, tuple[float, float]],
) -> int:
    """Cut the boxes of some particles out of one tilt image; how many there were."""
    seen = np.flatnonzero(placed.visible[tilt, rows])
    if not len(seen):
        return 0
    series = placed.series
    section = int(series.geometry.sections[tilt])
    image = series.stack.image(section)
    if tilt not in stats:
        stats[tilt] = mean_and_sd(image)
        _refuse_useless(series.stack.path, section, stats[tilt][1])
    mean, sd = stats[tilt]
    boxes = cut_boxes(image, placed.xy_px[tilt, rows[seen]], plan)
    boxes -= np.float32(mean)
    boxes *= np.float32(1 / sd)
    images[seen, tilt] = boxes
    return len(seen)


def _refuse_useless(path: Path, section: int, sd: float) -> None:
    if np.isfinite(sd) and sd > 0:
        return
    found = "is blank" if sd == 0 else "holds pixels that are no numbers"
    raise BadInputError(
        f"{path}: section {section + 1} {found}.",
        remedy="Leave that tilt out of the alignment, or repair the stack.",
        code="blank-image" if sd == 0 else "broken-image",
    )
