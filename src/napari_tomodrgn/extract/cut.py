"""Cutting boxes out of one tilt image: each particle exactly in the middle, on coarser pixels.

A box is cut eight pixels wider than asked at whole pixels, and in its Fourier transform the rest of
a pixel is shifted away and high frequencies are left out; then it is trimmed, so that what wraps
around at the edges is gone. The mean of the pixels stays, so a blob keeps its flux per Å². A box
that reaches beyond the image is not filled: there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.errors import BadInputError

FloatArray = NDArray[np.float64]
_MARGIN_PX = 8  # by which a box is wider before it is trimmed: what wraps around is in it
_CHOICES = 16  # by how many pixels more it may be wider, if that meets the pixel size asked for
_GOOD_RATIO = 1e-4  # relative error of the pixel size that is let pass
# Boxes transformed at a time: few enough to stay in the processor's cache.
_PIXELS_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class CropPlan:
    """How boxes are cut.

    Attributes
    ----------
    box_px
        Edge of the images that come out.
    padded_px
        The same before trimming.
    raw_px
        Edge of what is cut, in pixels of the tilt series.
    pixel_size_angstrom
        Of the images that come out, as achieved.
    """

    box_px: int
    padded_px: int
    raw_px: int
    pixel_size_angstrom: float

    @property
    def binning(self) -> float:
        """Pixels of the tilt series in one of the images."""
        return self.raw_px / self.padded_px


def plan_crops(
    series_pixel_angstrom: float, box_px: int, target_angstrom: float | None = None
) -> CropPlan:
    """How to cut boxes of ``box_px`` at nearly ``target_angstrom`` out of a tilt series.

    Raises
    ------
    BadInputError
        If the target is finer than the tilt series, or the box is odd or too small.
    """
    if box_px < 16 or box_px % 2:
        raise BadInputError(
            f"The box must be even and at least 16 px, got {box_px}.", code="wrong-box"
        )
    ratio = (target_angstrom or series_pixel_angstrom) / series_pixel_angstrom
    if ratio < 1 - _GOOD_RATIO:
        raise BadInputError(
            f"A pixel of {target_angstrom:g} Å is finer than that of the tilt series, "
            f"{series_pixel_angstrom:g} Å.",
            remedy="Ask for a coarser one, or name unbinned tilt series.",
            code="too-fine",
        )
    least = box_px + _MARGIN_PX
    tried = [
        (padded, max(padded, 2 * round(padded * ratio / 2)))
        for padded in range(least, least + _CHOICES + 1, 2)
    ]
    off = [abs(raw / padded / ratio - 1) for padded, raw in tried]
    good = next((pair for pair, error in zip(tried, off, strict=True) if error < _GOOD_RATIO), None)
    padded, raw = good or tried[int(np.argmin(off))]
    return CropPlan(box_px, padded, raw, series_pixel_angstrom * raw / padded)


def whole_boxes(
    centres_px: FloatArray, size_px: tuple[int, int], plan: CropPlan
) -> NDArray[np.bool_]:
    """Which boxes around ``(…, 2)`` xy centres lie wholly in images of ``size_px`` (x, y)."""
    corner = np.rint(centres_px) - plan.raw_px // 2
    inside = (corner >= 0) & (corner + plan.raw_px <= np.array(size_px))
    return np.asarray(inside.all(axis=-1))


def cut_boxes(
    image: NDArray[np.float32], centres_px: FloatArray, plan: CropPlan
) -> NDArray[np.float32]:
    """Boxes around ``(n, 2)`` xy centres in one image ``(y, x)``: ``(n, box, box)`` float32.

    All boxes must lie in the image (`whole_boxes`). The centre of each comes to pixel ``box // 2``.
    """
    out = np.empty((len(centres_px), plan.box_px, plan.box_px), np.float32)
    together = max(1, _PIXELS_AT_A_TIME // plan.raw_px**2)
    for start in range(0, len(centres_px), together):
        some = centres_px[start : start + together]
        whole = np.rint(some)
        corners = whole.astype(np.int64) - plan.raw_px // 2
        boxes = np.stack(
            [image[y : y + plan.raw_px, x : x + plan.raw_px] for x, y in corners.tolist()]
        )
        resampled = _resampled(torch.from_numpy(boxes), torch.from_numpy(some - whole), plan)
        out[start : start + together] = resampled.numpy()
    return out


def _resampled(boxes: Tensor, rest_px: Tensor, plan: CropPlan) -> Tensor:
    """Boxes with the rest of a pixel shifted away, on the new pixels, trimmed."""
    new, old = plan.padded_px, plan.raw_px
    half = new // 2
    spectrum = torch.fft.rfft2(boxes)
    if new < old:
        spectrum = torch.cat([spectrum[:, :half, : half + 1], spectrum[:, -half:, : half + 1]], 1)
    # What is at the new Nyquist frequency cannot be shifted by parts of a pixel.
    spectrum[:, half], spectrum[..., half] = 0, 0
    rows = torch.fft.fftfreq(new, 1 / new, dtype=torch.float64)
    columns = torch.arange(half + 1, dtype=torch.float64)
    turn = 2 * math.pi / old
    along_x = torch.polar(torch.ones(1).double(), turn * rest_px[:, :1] * columns)
    along_y = torch.polar(torch.ones(1).double(), turn * rest_px[:, 1:] * rows)
    spectrum *= along_y.to(torch.complex64)[:, :, None]
    # The mean of the pixels stays: fewer of them share the same sum.
    spectrum *= (along_x * (new / old) ** 2).to(torch.complex64)[:, None, :]
    wide = torch.fft.irfft2(spectrum, s=(new, new))
    first = half - plan.box_px // 2
    middle = slice(first, first + plan.box_px)
    trimmed: Tensor = wide[:, middle, middle]
    return trimmed


def mean_and_sd(image: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of an image ``(row, column)``, a few rows at a time.

    Nothing of its size is made. No numbers if a pixel is none.
    """
    mean = float(image.mean(dtype=np.float64))
    squares = sum(
        float(np.square(image[row : row + 64].astype(np.float64) - mean).sum())
        for row in range(0, len(image), 64)
    )
    return mean, math.sqrt(squares / image.size)
