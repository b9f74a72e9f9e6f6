"""A few particles, spread evenly over the set, at low resolution: what quick questions look at."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.config import DataConfig, WeightConfig
from napari_tomodrgn.data.fourier_images import FourierImages, ImageReader
from napari_tomodrgn.data.halves import has_copies, random_half
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.physics.lattice import HalfPlane, half_plane

# Enough for half maps of a ribosome, few enough for a minute on two cores.
MAX_PARTICLES = 150
MAX_IMAGES = 3500  # about so many; of more than 23 tilts, fewer particles are taken
# Images are cropped to this box in Fourier space: signs, poses and zeros of the CTF show there.
MAX_BOX_PX = 48
_CHUNK = 256  # images read at a time


@dataclass(frozen=True, eq=False)
class Sample:
    """Fourier samples of the images of some particles, cropped to a box that is asked for.

    Attributes
    ----------
    particles
        The chosen particles; their optics and shifts are those of the cropped box.
    images
        Fourier samples of all their images, contrast as in the files.
    lattice
        Which samples these are.
    first_half
        ``(particle,)`` a fixed random half of the particles.
    broken
        Rows of images that hold values that are no numbers; blank here.
    """

    particles: ParticleSet
    images: FourierImages
    lattice: HalfPlane
    first_half: NDArray[np.bool_]
    broken: NDArray[np.int64]

    def data(self, *, weighted: bool = True) -> TiltData:
        """The images with their poses and CTFs, weighted by dose and tilt or not."""
        weight = WeightConfig(dose=weighted, tilt=weighted, dose_mask=weighted)
        return TiltData(self.particles, self.images, self.lattice, weight)

    def over(self, particles: ParticleSet) -> Sample:
        """The same images with other poses or optics."""
        return replace(self, particles=particles)

    def take_images(self, keep: NDArray[np.bool_]) -> Sample:
        """Keep some images, ``keep`` ``(image,)``, and the particles that still have one."""
        rows = torch.from_numpy(np.flatnonzero(keep))
        left = np.unique(self.particle_index[keep])
        return replace(
            self,
            particles=self.particles.filter_images(keep),
            images=replace(self.images, samples=self.images.take(rows)),
            first_half=self.first_half[left],
            broken=np.flatnonzero(np.isin(np.flatnonzero(keep), self.broken)),
        )

    @property
    def blank(self) -> bool:
        """Whether no image shows anything at all."""
        return not bool(self.images.take(torch.arange(len(self.particle_index))).any())

    @property
    def particle_index(self) -> NDArray[np.int64]:
        """Row of the particle that each image shows, ``(image,)``."""
        return np.asarray(self.particles.images["particle_id"].cat.codes, dtype=np.int64)


def choose(particles: ParticleSet, max_images: int = MAX_IMAGES) -> ParticleSet:
    """At most 150 particles and about so many images, spread evenly over the set."""
    # Of copies one: they are the same images again.
    if has_copies(particles.originals):
        first = np.unique(particles.originals, return_index=True)[1]
        particles = particles.take(np.isin(np.arange(len(particles)), first))
    tilts = len(particles.images) / len(particles)
    count = int(np.clip(max_images / tilts, 2, MAX_PARTICLES))
    rows = np.unique(np.linspace(0, len(particles) - 1, min(count, len(particles))).astype(int))
    return particles.take(np.isin(np.arange(len(particles)), rows))


def read_sample(
    particles: ParticleSet,
    config: DataConfig,
    *,
    max_images: int = MAX_IMAGES,
    max_box_px: int = MAX_BOX_PX,
) -> Generator[int, None, Sample]:
    """Read the images of a sample of particles, yielding how many images are done."""
    few = choose(particles, max_images)
    box = few.optics.box_size_px
    small = min(box, max_box_px)
    # The samples of both lattices stand in the same order, ky before kx.
    lattice = half_plane(small, include_dc=True)
    wide = half_plane(box, include_dc=True, radius_px=small / 2 - 1e-6)
    images, broken = yield from _read(ImageReader(few, wide, config), len(wide))
    half = random_half(few.originals, np.random.default_rng(0))
    return Sample(_cropped(few, small), images, lattice, half, broken)


def _read(
    reader: ImageReader, points: int
) -> Generator[int, None, tuple[FourierImages, NDArray[np.int64]]]:
    """All samples, their mean square 1, and the rows of images with pixels that are no numbers.

    Such images are blank in what is returned: one of them would spoil every map.
    """
    samples = torch.empty((len(reader), points), dtype=torch.complex64)
    for rows in np.array_split(np.arange(len(reader)), -(-len(reader) // _CHUNK)):
        samples[torch.from_numpy(rows)] = reader.read(rows)
        yield int(rows[-1]) + 1
    power = samples.abs().double().square().mean(dim=1)  # single precision would overflow
    broken = ~torch.isfinite(power)
    samples[broken] = 0
    scale = float(power[~broken].mean().sqrt()) if bool((~broken).any()) else 1.0
    scale = scale or 1.0
    return FourierImages(samples / scale, scale), torch.nonzero(broken)[:, 0].numpy()


def _cropped(particles: ParticleSet, box_size_px: int) -> ParticleSet:
    scale = box_size_px / particles.optics.box_size_px
    shifts = {f"shift_{axis}_px": particles.images[f"shift_{axis}_px"] * scale for axis in "xy"}
    smaller = particles.with_optics(
        box_size_px=box_size_px, pixel_size_angstrom=particles.optics.pixel_size_angstrom / scale
    )
    return replace(smaller, images=particles.images.assign(**shifts))


def chosen_rows(first: NDArray[np.bool_]) -> Tensor:
    """Give the rows ``(row,)`` where a mask ``(particle,)`` is true, as a tensor."""
    return torch.from_numpy(np.flatnonzero(first))
