"""Small pictures of maps and tilt images, for where a whole canvas would be too much."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.volume import Volume

Grey = NDArray[np.uint8]

# Towards the lamp, zyx: from in front, above and to the left of someone who looks along -z.
_LAMP = np.array([0.75, 0.45, -0.5])
_AMBIENT = 0.35  # brightness of what faces away from the lamp, of 1
# Share of the box beyond each face that is left out: particles rarely come so near to it.
MARGIN = 0.1
# Tilt images are noise to the eye before this share of their box is smoothed away.
_BLUR = 1 / 28


def shaded_surface(
    volume: Volume, level: float, size_px: int = 64, margin: float = MARGIN
) -> tuple[Grey, Grey]:
    """Brightness and opacity (row, column) of a contour seen along -z: x to the right, y upward.

    A map of 32 voxels takes some milliseconds. Each line of sight is followed to where the density
    first exceeds ``level``; the gradient there is the surface's normal. ``margin`` is the share of
    the box that is left out at each face.
    """
    from scipy.ndimage import map_coordinates

    data = _before_the_eye(volume, size_px, margin)
    above = data > level
    seen = above.any(axis=0)
    front = above.argmax(axis=0)
    rows, columns = np.nonzero(seen)
    first = front[rows, columns]
    before = np.maximum(first - 1, 0)
    here, outside = data[first, rows, columns], data[before, rows, columns]
    rise = np.maximum(here - outside, 1e-12)
    depth = np.where(first > 0, before + (level - outside) / rise, 0.0)
    normals = np.empty((3, len(rows)))
    place = np.stack([depth, rows, columns]).astype(np.float64)
    for axis in range(3):
        step = np.zeros((3, 1))
        step[axis] = 1.5
        ends = [
            map_coordinates(data, place + sign * step, order=1, mode="nearest") for sign in (-1, 1)
        ]
        normals[axis] = ends[0] - ends[1]  # outward is where the density falls
    normals /= np.maximum(np.linalg.norm(normals, axis=0), 1e-12)
    # The first two axes of ``data`` run against z and y.
    light = (_LAMP * [-1, -1, 1]) @ normals / np.linalg.norm(_LAMP)
    brightness = np.zeros(seen.shape)
    brightness[rows, columns] = _AMBIENT + (1 - _AMBIENT) * np.clip(light, 0, 1)
    return (255 * brightness).astype(np.uint8), np.where(seen, 255, 0).astype(np.uint8)


def first_voxels(
    volume: Volume, level: float, size_px: int = 64, margin: float = MARGIN
) -> NDArray[np.int64]:
    """How far behind the front, in pixels (row, column), density first exceeds a level.

    ``size_px`` where it never does; rows and columns are those of `shaded_surface`.
    """
    above = _before_the_eye(volume, size_px, margin) > level
    return np.where(above.any(axis=0), above.argmax(axis=0), size_px)


def _before_the_eye(volume: Volume, size_px: int, margin: float) -> NDArray[np.floating]:
    """Density in pixels, its front and its top first, without what lies at the faces of the box."""
    edge = round(margin * volume.box_size_px)
    kept = slice(edge, volume.box_size_px - edge)
    return _interpolated(volume.data[kept, kept, kept], size_px)[::-1, ::-1]


def _interpolated(data: NDArray[np.floating], size: int) -> NDArray[np.floating]:
    """A cube with ``size`` samples along each edge, first and last those it has; linearly between.

    One product an axis; `scipy.ndimage.zoom` gives the same and takes 7 times as long for 26 voxels
    in 64, 21 times in 150.
    """
    count = len(data)
    places = np.linspace(0, count - 1, size)
    low = np.clip(places.astype(np.int64), 0, max(count - 2, 0))
    shares = np.zeros((size, count), data.dtype)
    shares[np.arange(size), np.minimum(low + 1, count - 1)] = places - low
    shares[np.arange(size), low] += 1 - (places - low)
    for axis in range(3):
        data = np.moveaxis(np.tensordot(shares, data, (1, axis)), 0, axis)
    return data


def tilt_picture(image: NDArray[np.floating], size_px: int = 64) -> Grey:
    """A tilt image as greys (row, column), smoothed until a particle can be made out.

    Row 0 is the first of the file; grey spans the middle 98 % of the values.
    """
    from scipy.ndimage import gaussian_filter, zoom

    values = gaussian_filter(np.asarray(image, np.float32), max(0.5, _BLUR * image.shape[-1]))
    values = zoom(values, size_px / image.shape[-1], order=1)
    low, high = np.percentile(values, [1, 99])
    share = np.clip((values - low) / max(float(high - low), 1e-12), 0, 1)
    return np.asarray(255 * share, np.uint8)


def sheet_picture(picture: NDArray[np.floating]) -> Grey:
    """Images side by side (row, column) as greys; gaps, which are NaN, are white.

    Grey spans the middle 98 % of the values.
    """
    known = np.isfinite(picture)
    low, high = np.percentile(picture[known], [1, 99])
    share = np.clip((np.where(known, picture, high) - low) / max(float(high - low), 1e-12), 0, 1)
    return np.where(known, 255 * share, 255).astype(np.uint8)


def as_png(grey: Grey) -> bytes:
    """A picture (row, column) as a PNG file."""
    height, width = grey.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    # Each row begins with the number of its filter, none.
    rows = np.pad(grey, ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
