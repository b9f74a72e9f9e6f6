"""Half maps, map and resolution of any subset of particles, from the data alone."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.analysis.fsc import (
    FscCurve,
    filter_shells,
    fsc,
    fsc_sphere,
)
from napari_tomodrgn.config import DataConfig, WeightConfig
from napari_tomodrgn.data.checks import check_stacks
from napari_tomodrgn.data.fourier_images import ImageReader, prepare
from napari_tomodrgn.data.halves import first_half
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.data.volume import Volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.geometry import FloatArray, symmetry_rotations
from napari_tomodrgn.learn.reconstruction.backprojection import BackProjection, back_project
from napari_tomodrgn.learn.reconstruction.contrast import decide_sign
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.homogeneous import HomogeneousConfig, fit_homogeneous
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.physics.shells import signal_share

RECONSTRUCTION_FILES = ("map.mrc", "map_filtered.mrc", "half1.mrc", "half2.mrc", "fsc.csv")
# Particles read at a time: images are never all in memory.
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a set of particles looks like by back-projection.

    Attributes
    ----------
    map, filtered
        Of all particles; ``filtered`` by a Wiener filter from what the half maps agree on
        (`BackProjection.filtered`), up to where FSC falls below 0.143.
    half1, half2
        Of two halves of the particles, split at random: no image is in both.
    fsc
        Of the half maps, inside a soft sphere.
    particles
        How many there were.
    """

    map: Volume
    filtered: Volume
    half1: Volume
    half2: Volume
    fsc: FscCurve
    particles: int

    @property
    def resolution_angstrom(self) -> float:
        """Where the half maps' FSC falls below `FSC_THRESHOLD`."""
        return self.fsc.resolution_angstrom()

    def save(self, out: str | Path) -> None:
        """Write ``map.mrc, map_filtered.mrc, half1.mrc, half2.mrc, fsc.csv`` into a folder."""
        out = Path(out)
        names = {"map": self.map, "map_filtered": self.filtered}
        for name, volume in {**names, "half1": self.half1, "half2": self.half2}.items():
            write_volume(out / f"{name}.mrc", volume)
        shells = np.arange(len(self.fsc.correlation))
        table = pd.DataFrame(
            {
                "shell": shells,
                "frequency_per_angstrom": self.fsc.frequency_per_angstrom,
                "fsc": self.fsc.correlation,
            }
        )
        with written_atomically(out / "fsc.csv") as temporary:
            table.to_csv(temporary, index=False)


def reconstruct(
    particles: ParticleSet,
    ids: Iterable[str] | None = None,
    *,
    data: DataConfig | None = None,
    weight: WeightConfig | None = None,
    seed: int = 0,
) -> Reconstruction:
    """Half maps, map and FSC of particles.

    Parameters
    ----------
    particles
        The set.
    ids
        Identities of the particles to use; all if None.
    data, weight
        Window, contrast and weights; the defaults of a run if None.
    seed
        Of the split into halves.

    Raises
    ------
    BadInputError
        If there are fewer than two particles, or the images cannot be read.
    """
    chosen = particles if ids is None else particles.select(ids)
    return run_to_end(reconstruct_steps(chosen, data=data, weight=weight, seed=seed))


def spread_sample(particles: ParticleSet, most: int = 500) -> list[str]:
    """Identities of at most so many particles spread over the set: enough for a ribosome."""
    names = particles.ids
    few = np.linspace(0, len(names) - 1, min(len(names), most)).astype(int)
    return [names[row] for row in np.unique(few)]


def reconstruct_steps(
    particles: ParticleSet,
    *,
    data: DataConfig | None = None,
    weight: WeightConfig | None = None,
    seed: int = 0,
    symmetry: str = "C1",
) -> Generator[WorkProgress, None, Reconstruction]:
    """`reconstruct` as a generator of events that a caller may stop.

    ``symmetry`` is a group of `geometry.symmetry_rotations`: each image counts in each of its
    equivalent poses, which for a molecule that has the symmetry is as many more particles.
    """
    turns = _symmetry(symmetry)
    _reject_too_few(particles)
    check_stacks(particles)
    data, weight = data or DataConfig(), weight or WeightConfig()
    particles = particles.with_overrides(data)
    sign = decide_sign(particles, data)
    first = first_half(particles, seed)
    halves: list[BackProjection | None] = [None, None]
    done, total = 0, len(particles.images)
    for block in np.array_split(np.arange(len(particles)), -(-len(particles) // _BLOCK)):
        keep = np.isin(np.arange(len(particles)), block)
        for half, rows in enumerate((keep & first, keep & ~first)):
            if not rows.any():
                continue
            part = particles.take(rows)
            sums = _block_sums(part, data, weight, sign, turns)
            halves[half] = sums if halves[half] is None else halves[half] + sums  # type: ignore[operator]
            done += len(part.images)
            yield WorkProgress(done, total)
    one, two = halves
    assert one is not None and two is not None  # both halves have at least one particle
    return _finish(one, two, particles)


def network_steps(
    particles: ParticleSet,
    *,
    data: DataConfig | None = None,
    weight: WeightConfig | None = None,
    seed: int = 0,
    config: HomogeneousConfig | None = None,
) -> Generator[WorkProgress, None, Reconstruction]:
    """The same by the decoder of the autoencoder alone, trained on either half and on all."""
    _reject_too_few(particles)
    check_stacks(particles)
    data, weight = data or DataConfig(), weight or WeightConfig()
    particles = particles.with_overrides(data)
    sign = decide_sign(particles, data)
    first = first_half(particles, seed)
    maps = []
    for rows in (first, ~first, np.ones_like(first)):
        part = particles.take(rows)
        maps.append((yield from fit_homogeneous(part, data, weight, sign, config)))
    half1, half2, whole = maps
    curve = fsc(half1, half2, fsc_sphere(half1.box_size_px))
    share = signal_share(torch.from_numpy(curve.correlation)).numpy()
    return Reconstruction(
        map=whole,
        filtered=filter_shells(whole, share),
        half1=half1,
        half2=half2,
        fsc=curve,
        particles=len(particles),
    )


def _reject_too_few(particles: ParticleSet) -> None:
    if len(particles) < 2:
        raise BadInputError(
            f"{particles.source.path}: half maps need at least 2 particles, got {len(particles)}.",
            code="too-few-particles",
        )


def _symmetry(group: str) -> FloatArray:
    try:
        return symmetry_rotations(group)
    except ValueError as error:
        raise BadInputError(
            f"The symmetry {error}.",
            remedy="For T, O and I, whose axes programs place differently, expand the particles by "
            "their symmetry in the program that averaged them; copies are read as such.",
            code="symmetry",
        ) from error


def _block_sums(
    particles: ParticleSet,
    data: DataConfig,
    weight: WeightConfig,
    sign: int,
    turns: FloatArray,
) -> BackProjection:
    lattice = half_plane(particles.optics.box_size_px, include_dc=True)
    reader = ImageReader(particles, lattice, data, sign)
    images = run_to_end(prepare(reader, len(lattice), np.inf, None))
    tilts = TiltData(particles, images, lattice, weight)
    rows = torch.arange(len(particles))
    sums = run_to_end(back_project(tilts, rows))
    for turn in turns[1:]:
        sums = sums + run_to_end(back_project(tilts.turned(turn), rows))
    # Each block has a scale and a mean weight of its own: undo both, so that blocks add up.
    factor = tilts.mean_weight * tilts.mean_power
    return BackProjection(
        sums.numerator * (images.scale * factor),
        sums.denominator * factor,
        sums.box_size_px,
    )


def _finish(one: BackProjection, two: BackProjection, particles: ParticleSet) -> Reconstruction:
    pixel = particles.optics.pixel_size_angstrom

    def volume(sums: BackProjection) -> Volume:
        return Volume(sums.volume().cpu().numpy().astype(np.float32), pixel)

    half1, half2, both = volume(one), volume(two), one + two
    curve = fsc(half1, half2, fsc_sphere(half1.box_size_px))
    filtered = both.filtered(torch.from_numpy(curve.correlation))
    return Reconstruction(
        map=volume(both),
        filtered=Volume(filtered.cpu().numpy().astype(np.float32), pixel),
        half1=half1,
        half2=half2,
        fsc=curve,
        particles=len(particles),
    )
