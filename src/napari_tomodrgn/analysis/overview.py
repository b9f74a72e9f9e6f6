"""What a set of particles looks like before anything is computed: tilts, views, defoci, images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks

FloatArray = NDArray[np.float64]

_VIEW_BINS = (24, 36)  # cos tilt, rot: equal areas of the sphere
_DEFOCUS_BINS = 30  # of the histogram
_GAP_PX = 2  # between images of a montage


@dataclass(frozen=True, eq=False)
class Overview:
    """Distributions of the image table.

    Attributes
    ----------
    stage_tilt_deg, dose_e_per_angstrom2
        Of each tilt of the scheme: medians over the images of one tilt index, in order of dose.
    views
        ``(24, 36)`` images per viewing direction relative to the mean over the sphere; rows are
        bins of cos(tilt) from −1 to 1, columns of rot from −180° to 180°. All bins have the same
        area on the sphere.
    defocus_micrometre, defocus_counts
        Edges and counts of a histogram of the mean defocus of each image.
    """

    stage_tilt_deg: FloatArray
    dose_e_per_angstrom2: FloatArray
    views: FloatArray
    defocus_micrometre: FloatArray
    defocus_counts: NDArray[np.int64]

    @property
    def views_seen(self) -> float:
        """Share of the sphere that some image looks along."""
        return float((self.views > 0).mean())


@dataclass(frozen=True, eq=False)
class Montage:
    """Images of some particles (rows) at some tilts (columns), in one picture.

    ``picture`` is ``(y, x)``; between the images stand two pixels of NaN. ``stage_tilt_deg`` are
    the tilts of the first particle's images, from left to right.
    """

    picture: NDArray[np.float32]
    particle_ids: tuple[str, ...]
    stage_tilt_deg: FloatArray
    pixel_size_angstrom: float


def overview(particles: ParticleSet) -> Overview:
    """The distributions of a set, from its tables alone."""
    images = particles.images
    columns = ["stage_tilt_deg", "dose_e_per_angstrom2"]
    scheme = images.groupby("tilt_index")[columns].median().sort_values(columns[1])
    rot = (images["rot_deg"].to_numpy(np.float64) + 180.0) % 360.0 - 180.0
    cosine = np.cos(np.deg2rad(images["tilt_deg"].to_numpy(np.float64)))
    counts, _, _ = np.histogram2d(cosine, rot, _VIEW_BINS, ((-1.0, 1.0), (-180.0, 180.0)))
    defocus = images[["defocus_u_angstrom", "defocus_v_angstrom"]].to_numpy(np.float64).mean(axis=1)
    heights, edges = np.histogram(defocus * 1e-4, _DEFOCUS_BINS)
    return Overview(
        stage_tilt_deg=scheme[columns[0]].to_numpy(np.float64),
        dose_e_per_angstrom2=scheme[columns[1]].to_numpy(np.float64),
        views=counts / counts.mean(),
        defocus_micrometre=edges,
        defocus_counts=heights.astype(np.int64),
    )


def montage(
    particles: ParticleSet,
    shape: tuple[int, int] = (6, 9),
    *,
    lowpass_angstrom: float = 0.0,
    invert: bool = False,
) -> Montage:
    """Projections of particles spread over the set, at tilts spread over their series.

    As they are in their files: where pixel sizes differ, of particles like the first group's only.

    Parameters
    ----------
    particles
        The set.
    shape
        At most so many particles and tilts.
    lowpass_angstrom
        Resolution beyond which images are cut; 0 shows them as recorded.
    invert
        Whether the sign of the images is turned round, as for a training that inverts them.

    Raises
    ------
    BadInputError
        If the images cannot be read.
    """
    table, optics = particles.images, particles.optics
    codes = table["particle_id"].cat.codes.to_numpy()
    of_group = np.array([one == optics.stored[0] for one in optics.stored])
    alike = np.unique(codes[of_group[table["optics_group"].to_numpy(np.int64)]])
    chosen = alike[_spread(len(alike), shape[0])]
    tilts = table["stage_tilt_deg"].to_numpy(np.float64)
    rows = [_tilts_of(tilts, codes == code, shape[1]) for code in chosen]
    pixel = optics.stored[0].pixel_size_angstrom
    files = table["stack"].cat.categories.to_list()
    stacks = ImageStacks(files, box_size_px=optics.stored[0].box_size_px)
    flat = np.concatenate(rows)
    where = table["stack"].cat.codes.to_numpy()[flat], table["stack_index"].to_numpy()[flat]
    images = stacks.read(*where).astype(np.float32)
    if lowpass_angstrom > 0:
        images = _lowpassed(images, pixel / lowpass_angstrom)
    return Montage(
        picture=_tiled(-images if invert else images, [len(row) for row in rows]),
        particle_ids=tuple(particles.ids[code] for code in chosen),
        stage_tilt_deg=tilts[rows[0]],
        pixel_size_angstrom=pixel,
    )


def _spread(count: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _tilts_of(tilts: FloatArray, mine: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Rows of one particle's images from the lowest stage tilt to the highest."""
    rows = np.flatnonzero(mine)
    rows = rows[np.argsort(tilts[rows], kind="stable")]
    return np.asarray(rows[_spread(len(rows), most)])


def _lowpassed(images: NDArray[np.float32], cut_off: float) -> NDArray[np.float32]:
    """Images without what lies beyond ``cut_off`` cycles a pixel; the edge is a cosine wide."""
    box = images.shape[-1]
    y, x = np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)[None]
    radius = np.hypot(y, x)
    soft = np.clip((radius - cut_off) * box / 2 + 0.5, 0.0, 1.0)
    keep = 0.5 * (1.0 + np.cos(np.pi * soft))
    return np.fft.irfft2(np.fft.rfft2(images) * keep, s=(box, box)).astype(np.float32)


def _tiled(images: NDArray[np.float32], widths: list[int]) -> NDArray[np.float32]:
    box = images.shape[-1]
    step = box + _GAP_PX
    shape = (len(widths) * step - _GAP_PX, max(widths) * step - _GAP_PX)
    picture = np.full(shape, np.nan, np.float32)
    done = 0
    for row, width in enumerate(widths):
        for column in range(width):
            y, x = row * step, column * step
            picture[y : y + box, x : x + box] = images[done + column]
        done += width
    return picture
