"""Where the particles of a tomogram are predicted in its least tilted image, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.extract.run import read_extraction
from napari_tomodrgn.extract.series import Conventions
from napari_tomodrgn.extract.settings import ExtractConfig

# Finer than a screen shows is of no use, and noise hides what there is.
_MOST_EDGE_PX = 768


@dataclass(frozen=True, eq=False)
class Predicted:
    """A tilt image, binned to be seen, and places in it.

    ``yx_angstrom`` is ``(particle, 2)`` from the middle of the first pixel of ``image``.
    """

    name: str
    image: NDArray[np.float32]
    pixel_size_angstrom: float
    yx_angstrom: NDArray[np.float64]
    names: tuple[str, ...]
    box_angstrom: float


def predict(config: ExtractConfig) -> Predicted:
    """The least tilted image of the first tomogram with its particles, by what is said or usual.

    Raises
    ------
    BadInputError
        As `read_extraction`.
    """
    extraction = read_extraction(config)
    one, plan = extraction.series[0], extraction.plan
    given = config.origin if config.origin != "auto" else extraction.particles.origin
    conventions = Conventions(
        int(given or 0), config.z == "mirror", config.pose == "inverse", one.hand or 1.0
    )
    centred, _ = one.places(extraction.particles, conventions)
    found = one.geometry.project(centred)
    tilt = int(np.abs(one.geometry.stage_tilt_deg).argmin())
    image = one.stack.image(int(one.geometry.sections[tilt]))
    binning = max(1, -(-max(image.shape) // _MOST_EDGE_PX))
    pixel = one.stack.pixel_size_angstrom
    # A binned pixel is the mean of whole ones: its middle is half of them further in.
    places = (found.xy_px[tilt, :, ::-1] - (binning - 1) / 2) * pixel
    return Predicted(
        name=one.name,
        image=_binned(image, binning),
        pixel_size_angstrom=pixel * binning,
        yx_angstrom=places,
        names=tuple(extraction.particles.particle[row] for row in one.rows),
        box_angstrom=plan.box_px * plan.pixel_size_angstrom,
    )


def _binned(image: NDArray[np.float32], binning: int) -> NDArray[np.float32]:
    rows, columns = (size // binning for size in image.shape)
    whole = image[: rows * binning, : columns * binning]
    means = whole.reshape(rows, binning, columns, binning).mean(axis=(1, 3))
    return np.asarray(means, dtype=np.float32)
