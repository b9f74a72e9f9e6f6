"""napari's way out: an image layer as an MRC file with its voxel size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_tomodrgn.errors import BadInputError


def write_map(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image layer as float32 MRC; its scale, where it is a length, becomes the voxel size.

    Three dimensions are written as a map, or as a stack of images where the file ends in
    ``.mrcs``; a 2-D image as a stack of one. The files that were written are returned.

    Raises
    ------
    BadInputError
        If the layer is in colour, or has another number of dimensions.
    """
    from napari_tomodrgn.data.mrc import write_mrc

    name = meta.get("name", "image")
    levels = data if meta.get("multiscale", False) else [data]
    image = levels[0]
    if meta.get("rgb", False) or image.ndim not in (2, 3):
        found = "a colour image" if meta.get("rgb", False) else f"{image.ndim} dimensions"
        raise BadInputError(
            f"Layer {name!r}: MRC files hold grey images and volumes, found {found}.",
            code="not-a-map",
        )
    sections = np.asarray(image)[np.newaxis] if image.ndim == 2 else np.asarray(image)
    stack = image.ndim == 2 or Path(path).suffix.lower() == ".mrcs"
    write_mrc(path, sections, _voxel_size_zyx_angstrom(meta, image.ndim), stack=stack)
    return [path]


def _voxel_size_zyx_angstrom(meta: dict[str, Any], dimensions: int) -> tuple[float, float, float]:
    """Scale of the last three axes in Å; without a unit of length it is taken as Å."""
    scale = [float(value) for value in meta.get("scale", (1.0,) * dimensions)]
    units = list(meta.get("units") or ("pixel",) * dimensions)
    sizes = [value * _angstrom(unit) for value, unit in zip(scale, units, strict=True)]
    # An image has no depth: MRC wants a third voxel size, and says nothing by it.
    while len(sizes) < 3:
        sizes.insert(0, sizes[0])
    return sizes[-3], sizes[-2], sizes[-1]


def _angstrom(unit: Any) -> float:
    """How many Å a unit is; 1 for what is no length."""
    is_length = str(getattr(unit, "dimensionality", "")) == "[length]"  # napari's units are pint's
    return float((1.0 * unit).to("angstrom").magnitude) if is_length else 1.0
