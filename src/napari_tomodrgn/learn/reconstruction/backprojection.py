"""Weighted Fourier back-projection: density = Σ w p T x / Σ w p T², voxel by voxel.

T is what the density was multiplied with in the image, p the inverse power of the image's noise:
for images as recorded T is the CTF and p is 1; for pre-multiplied ones T is CTF² and p is 1 / CTF²,
so that x counts as it is. Every sample adds to the eight voxels around it; colliding samples add
up.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.runtime.memory import particles_per_block
from napari_tomodrgn.learn.runtime.resumable import ResumableWork
from napari_tomodrgn.physics.fourier import (
    FourierAccumulator,
    cropped,
    gridding,
    volume_from_transform,
)
from napari_tomodrgn.physics.lattice import slice_frequencies
from napari_tomodrgn.physics.shells import shell_indices, signal_share

# Finer Fourier grid than the box needs: interpolation errors fall with the square of it.
OVERSAMPLING = 2
# Particles whose samples are added together, at most.
_PARTICLES_AT_A_TIME = {"cpu": 16, "cuda": 256, "mps": 16}
_SUMS = ("numerator", "denominator")


@dataclass(frozen=True, eq=False)
class BackProjection:
    """Weighted sums of a set of particles on an oversampled Fourier grid.

    ``numerator`` complex and ``denominator`` real, both ``(n, n, n // 2 + 1)`` with
    ``n = OVERSAMPLING · box``. Sums of disjoint sets add.
    """

    numerator: Tensor
    denominator: Tensor
    box_size_px: int

    def __add__(self, other: BackProjection) -> BackProjection:
        """The sums of both sets together."""
        return BackProjection(
            self.numerator + other.numerator,
            self.denominator + other.denominator,
            self.box_size_px,
        )

    def volume(self, regularisation: Tensor | None = None) -> Tensor:
        """Divide the sums, go back to real space: density ``(box, box, box)`` zyx, gridding undone.

        Parameters
        ----------
        regularisation
            Added to the denominator, per shell of the oversampled grid; a tenth of the shell's
            mean if None: voxels that few samples reach are not blown up by the division, which
            otherwise makes up most of the noise of small sets.
        """
        shells = shell_indices(self.denominator.shape[0], self.denominator.device)
        added = self.shell_mean() * 0.1 if regularisation is None else regularisation
        added = added.clamp(min=float(self.denominator.max()) * 1e-9 + 1e-20)
        # Times the inverse: complex numbers over infinity are NaN in some versions of torch.
        transform = self.numerator * (self.denominator + added[shells]).reciprocal()
        volume = cropped(volume_from_transform(transform), self.box_size_px)
        return volume / gridding(self.box_size_px, OVERSAMPLING, volume.device)

    def filtered(self, correlation: Tensor) -> Tensor:
        """Filter density ``(box, box, box)`` zyx after Wiener, each Fourier voxel by itself.

        ``correlation`` is the FSC of half maps by shell of the box. Where a shell holds the share
        ``s`` of signal (`signal_share`), the noise adds ``(1 − s) / s`` of its mean to the
        denominator, so that voxels which the CTF or the tilts left empty are shrunk more than the
        others; beyond an FSC of 0.143 nothing is left.
        """
        share = signal_share(correlation).float()
        count = int(shell_indices(self.denominator.shape[0]).max()) + 1
        place = torch.arange(count) / OVERSAMPLING
        below = place.long().clamp(max=len(share) - 1)
        above = (below + 1).clamp(max=len(share) - 1)
        share = torch.lerp(share[below], share[above], place - below).clamp(max=1 - 1e-6)
        share[place > len(correlation) - 1] = 0.0
        share = share.to(self.denominator.device)
        noise = self.shell_mean().clamp(min=1e-20) * (1 - share) / share  # infinite where s is 0
        return self.volume(noise)

    def shell_mean(self) -> Tensor:
        """Average the denominator over shells of the oversampled grid, ``(shell,)``."""
        shells = shell_indices(self.denominator.shape[0], self.denominator.device).flatten()
        total = torch.bincount(shells, weights=self.denominator.flatten())
        return (total / torch.bincount(shells).clamp(min=1)).float()


def back_project(
    data: TiltData,
    particles: Tensor,
    device: torch.device | str = "cpu",
    *,
    shares: Tensor | None = None,
    resumable: ResumableWork | None = None,
) -> Generator[int, None, BackProjection]:
    """Back-project particles ``(row,)`` of a set, yielding how many are done.

    ``shares`` ``(image,)`` of the set is how much each image counts, such as 0 where it is held
    out; 1 if None. Sums saved in ``resumable`` are gone on from.
    """
    box = data.lattice.box_size_px
    accumulator = FourierAccumulator(box * OVERSAMPLING, device)
    lattice = data.lattice.to(device)
    done, sums = resumable.load() if resumable else (0, {})
    if sums:
        accumulator.numerator.copy_(sums["numerator"])
        accumulator.denominator.copy_(sums["denominator"])
    size = _PARTICLES_AT_A_TIME["cpu"]
    if torch.device(device).type != "cpu":
        most = _PARTICLES_AT_A_TIME[torch.device(device).type]
        size = particles_per_block(data.points_per_particle, most, torch.device(device))
    for start in range(done, len(particles), size):
        batch = data.batch(particles[start : start + size], device)
        frequencies = slice_frequencies(lattice.frequencies, batch.rotations)
        factor = batch.weights * batch.precision * batch.transfer
        if shares is not None:
            of_image = shares[data.images_of(particles[start : start + size])].to(factor)
            factor = factor * of_image[:, None]
        accumulator.add(frequencies, batch.samples * factor, batch.transfer * factor)
        done = min(start + size, len(particles))
        if resumable and resumable.due(last=done == len(particles)):
            resumable.save(done, {name: getattr(accumulator, name) for name in _SUMS})
        yield done
    return BackProjection(*accumulator.sums(), box)
