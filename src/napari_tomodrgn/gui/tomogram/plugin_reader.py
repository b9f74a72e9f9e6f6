"""Tomograms that are no MRC files, through whatever reader of napari is installed (OME-Zarr)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from napari_tomodrgn.errors import BadInputError

_ANGSTROM = {"nanometer": 10.0, "nm": 10.0, "micrometer": 1e4, "um": 1e4, "µm": 1e4}


def read_by_plugin(path: Path) -> tuple[tuple[Any, ...], float]:
    """Levels zyx and voxel size in Å of the first image that an installed reader finds.

    Raises
    ------
    BadInputError
        If nothing reads it, or it holds no image.
    """
    import npe2

    try:
        layers = npe2.read([str(path)], stack=False)
    except Exception as error:  # another package's code: anything may come out of it
        raise _unreadable(path) from error
    for layer in layers:
        kind = layer[2] if len(layer) > 2 else "image"
        if kind == "image" and layer[0] is not None:
            levels = tuple(layer[0]) if isinstance(layer[0], list | tuple) else (layer[0],)
            return tuple(_three_axes(level) for level in levels), _voxel(layer)
    raise BadInputError(f"{path}: holds no image.", code="not-a-tomogram")


def _unreadable(path: Path) -> BadInputError:
    if path.suffix.lower() == ".zarr" and find_spec("napari_ome_zarr") is not None:
        return BadInputError(
            f"{path}: napari-ome-zarr finds no image in it.",
            remedy="Check that it is an OME-Zarr image, or convert the tomogram to MRC.",
            code="not-a-tomogram",
        )
    return BadInputError(
        f"{path}: nothing that is installed reads it.",
        remedy="For OME-Zarr install napari-ome-zarr, or convert the tomogram to MRC.",
        code="no-tomogram-reader",
    )


def _three_axes(level: Any) -> Any:
    while level.ndim > 3 and level.shape[0] == 1:
        level = level[0]
    return level


def _voxel(layer: Any) -> float:
    """Å of the last axis; 0 where the reader gives no scale, Å where it gives no unit."""
    meta: dict[str, Any] = layer[1] if len(layer) > 1 else {}
    units = meta.get("units") or ("angstrom",)
    name = str(units if isinstance(units, str) else units[-1]).lower()
    return float(np.ravel(meta.get("scale", [0.0]))[-1]) * _ANGSTROM.get(name, 1.0)
