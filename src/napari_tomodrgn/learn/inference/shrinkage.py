"""How far apart maps may be, shell by shell: as far as images ask for that nobody learnt from.

A decoder of many parameters learns some noise of the images of each particle, and their latents
then agree on it, however many tilts say so; only held-out images do not. With the difference of a
particle's map from that of latent 0 multiplied by s in a Fourier shell, the squared error of
held-out images changes there by s² b − 2 s a, where a is what they have in common with the
difference and b its power: it is best at the slope s = a / b, below 1 where part of the difference
is noise (shrinkage; Copas, J. R. Statist. Soc. B 45 (1983) 311). What is learnt of noise grows
with the shell, so that s may only fall: of all such filters within 0 … 1 the best is the isotonic
regression of the slopes with weights b. Where it ends says the rule of one standard error (Breiman
et al., Classification and Regression Trees (1984), section 3.4.3): differences are left out from
the first shell on from which what they explain is no more than the error of that comparison, so
that single maps show no detail without support. Where particles do not surely differ at all the
rule goes further: of filters of slopes less some of their errors the smallest within one error is
taken. (Where they do, it would damp what is true, and explain other images worse: docs/model.md.)
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltBatch, TiltData
from napari_tomodrgn.learn.decoding.class_filter import ClassFilter
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.inference.class_filters import choose_class_filters
from napari_tomodrgn.learn.inference.held_out import (
    error_steps,
    held_out_points,
    mean_difference,
    one_a_particle,
    particles_per_chunk,
    per_sample,
)
from napari_tomodrgn.learn.inference.shell_sums import ShellSums, choose_filter
from napari_tomodrgn.learn.inference.told_apart import THRESHOLD_SIGMA, verdict_sentence
from napari_tomodrgn.learn.network.loss import Points, point_frequencies
from napari_tomodrgn.learn.runtime.steps import offset_steps
from napari_tomodrgn.physics.lattice import HalfPlane

# What ``run.json`` has of filters before a run ends.
NO_FILTERS: dict[str, object] = {"shell_filter": None, "class_filters": []}
# Times that the samples of a particle's held-out images are drawn anew.
_DRAWS = 4
# The slope where all are alike is asked for between latents so many times as long, both ways.
_LITTLE = 0.1
# How many times the set is compared.
COMPARISONS = _DRAWS + 3


@dataclass(frozen=True, eq=False)
class ShrinkageResult:
    """What held-out images say of the differences between particles.

    Attributes
    ----------
    factors
        ``(shell,)``, 0 to 1 and falling: what differences of maps from that of latent 0 are to be
        multiplied with.
    held_out, unfiltered, alike
        ``(particle,)`` errors of held-out images with maps so filtered, with maps as they were
        learnt, and with the map of latent 0 for all; NaN where they were not compared.
    slope
        ``(particle,)`` gain as latents leave the prior's mean, in any unit.
    classes
        Filters of classes of their own, where one for all is surely worse.
    """

    factors: Tensor
    held_out: Tensor
    unfiltered: Tensor
    alike: Tensor
    slope: Tensor
    classes: list[ClassFilter]

    @property
    def gain(self) -> tuple[float, float]:
        """How much better each particle's own map explains than one for all; standard error."""
        return mean_difference(self.alike, self.held_out)

    @property
    def standard_errors(self) -> float:
        """How surely particles differ: the slope of the gain where all are alike, over its error.

        The score test: little differences tell most surely whether held-out images move along
        with them, as what noise adds to maps that differ counts squared. Where particles are alike
        it is a standard normal number, but for what the mean map lacks (`ScaledMean`): with few
        images a little more (docs/benchmarks.md, *Do particles differ?*).
        """
        return standard_errors_of(self.slope)

    @property
    def shell_filter(self) -> list[float]:
        """`factors` as ``run.json`` has them."""
        return [round(factor, 4) for factor in self.factors.tolist()]

    @property
    def filters(self) -> dict[str, object]:
        """What ``run.json`` has of them."""
        return {"shell_filter": self.shell_filter, "class_filters": self.classes}

    def to_dict(self) -> dict[str, object]:
        """All of it in plain numbers, and the verdict."""
        return {
            "shell_filter": self.shell_filter,
            "class_filters": [one.model_dump() for one in self.classes],
            "better_than_one_map": dict(zip(("mean", "standard_error"), self.gain, strict=True)),
            "told_apart_standard_errors": self.standard_errors,
            "verdict": self.verdict,
        }

    @property
    def verdict(self) -> str:
        """Whether particles differ at all, as far as these images say."""
        return verdict_sentence(self.standard_errors)


def standard_errors_of(values: Tensor) -> float:
    """The mean of ``(particle,)`` values over its standard error; NaN where there is none."""
    mean, error = mean_difference(values, torch.zeros_like(values))
    return mean / error if error else float("nan")


@dataclass(frozen=True, eq=False)
class ScaledMean:
    """A decoder whose map of latent 0 is multiplied shell by shell; differences from it stay.

    A mean map of few images is damped, most where it ends. What it lacks of the molecule stands in
    the images that are learnt from and in those held out alike, more of it where a particle's
    views and CTF see more: latents that follow it would explain held-out images, and particles be
    said to differ that are alike. The power of the mean in each shell is common to all, so that to
    take it from held-out images says nothing about differences.

    Attributes
    ----------
    decoder
        ``F(k, z)``.
    scale
        ``(shell,)`` factors of the map of latent 0; shells count Fourier pixels of the box.
    box_size_px
        Of the images.
    """

    decoder: FourierModel
    scale: Tensor
    box_size_px: int

    def __call__(self, frequencies: Tensor, z: Tensor, particle_index: Tensor) -> Tensor:
        """Compute complex ``(point,)`` amplitudes, as `FourierModel`."""
        shells = (frequencies.norm(dim=-1) * self.box_size_px).round().long()
        more = self.scale[shells.clamp(max=len(self.scale) - 1)] - 1
        mean = self.decoder(frequencies, z * 0, particle_index)
        shown: Tensor = self.decoder(frequencies, z, particle_index) + more * mean
        return shown


@torch.no_grad()
def scaled_mean_steps(
    decoder: FourierModel, latents: Tensor, data: TiltData, config: RunConfig
) -> Generator[int, None, ScaledMean]:
    """Scale the map of latent 0 in each shell to the held-out images of all particles.

    Parameters are those of `shrinkage_steps`. Yields particles done.
    """
    device, box = data.lattice.frequencies.device, data.lattice.box_size_px
    sums = torch.zeros((2, box // 2 + 1), dtype=torch.float64, device=device)
    for rows in torch.arange(data.particle_count).split(particles_per_chunk(data)):
        yield int(rows[0])
        if not bool(latents[rows].isfinite().any()):
            continue
        batch, z = data.batch(rows, device), latents[rows].to(device) * 0
        points = held_out_points(batch, config.seed, int(rows[0]))
        at, whose = (points.image, points.sample), points.particle_index
        where = point_frequencies(batch, points, data.lattice.frequencies)
        mean = torch.view_as_real(batch.transfer[at] * decoder(where, z.nan_to_num(), whose))
        image = torch.view_as_real(batch.samples[at])
        values = torch.stack([image * mean, mean * mean]).sum(-1)
        known = batch.weights[at] * batch.precision[at] * z.isfinite().all(1)[whose]
        shells = shells_of_points(points, data.lattice)
        sums.index_add_(1, shells, (values * known).double())
    common, power = sums
    scale = torch.where(power > 0, common / power.clamp(min=1e-300), 1.0)
    return ScaledMean(decoder, scale.float(), box)


def shells_of_points(points: Points, lattice: HalfPlane) -> Tensor:
    """Fourier shell ``(point,)`` of samples, the corners of the lattice in the last."""
    box = lattice.box_size_px
    shells: Tensor = (lattice.frequencies[points.sample].norm(dim=-1) * box).round().long()
    return shells.clamp(max=box // 2)


@torch.no_grad()
def sum_steps(
    decoder: FourierModel, latents: Tensor, data: TiltData, config: RunConfig
) -> Generator[int, None, tuple[ShellSums, ShellSums]]:
    """Compare each particle's map and that of latent 0 with its held-out images, shell by shell.

    Parameters are those of `shrinkage_steps`. Yields particles done, of ``_DRAWS`` times those of
    the set. Returns the sums of the samples that all models are compared at (`error_steps`), and
    of all that were drawn.
    """
    device, shells = data.lattice.frequencies.device, data.lattice.box_size_px // 2 + 1
    parts = []
    for rows in torch.arange(data.particle_count).split(particles_per_chunk(data)):
        total = torch.full((_DRAWS, 3, len(rows), shells), torch.nan, dtype=torch.float64)
        if bool(latents[rows].isfinite().any()):
            batch, z = data.batch(rows, device), latents[rows].to(device)
            drawn = []
            for draw in range(_DRAWS):
                yield int(rows[0]) * _DRAWS + draw * len(rows)
                points = held_out_points(batch, config.seed, int(rows[0]), draw=draw)
                drawn.append(_sums_of_points(decoder, z, batch, points, data.lattice))
            total = per_sample(torch.stack(drawn), batch)
        parts.append(total)
    draws = torch.cat(parts, dim=2)
    return _of_particles(draws[0], data), _of_particles(draws.mean(0), data)


def _of_particles(sums: Tensor, data: TiltData) -> ShellSums:
    """Sums ``(3, particle, shell)`` in which each particle counts once."""
    alike, common, power = (
        torch.stack([one_a_particle(of_shell, data) for of_shell in part.T], dim=1) for part in sums
    )
    return ShellSums(alike.sum(1), common, power)


def _sums_of_points(
    decoder: FourierModel, latents: Tensor, batch: TiltBatch, points: Points, lattice: HalfPlane
) -> Tensor:
    """Sum errors with one map for all, a and b of samples: ``(3, particle, shell)``."""
    at, whose = (points.image, points.sample), points.particle_index
    where = point_frequencies(batch, points, lattice.frequencies)
    transfer, weights = batch.transfer[at], batch.weights[at] * batch.precision[at]
    alike = decoder(where, latents * 0, whose)
    left = torch.view_as_real(batch.samples[at] - transfer * alike)
    apart = torch.view_as_real(transfer * (decoder(where, latents, whose) - alike))
    values = torch.stack([left * left, left * apart, apart * apart]).sum(-1) * weights
    width = lattice.box_size_px // 2 + 1
    total = torch.zeros((3, batch.size * width), dtype=torch.float64, device=values.device)
    cells = whose * width + shells_of_points(points, lattice)
    total.index_add_(1, cells, values.double())
    return total.view(3, batch.size, width)


def shrinkage_steps(
    decoder: FourierModel,
    latents: Tensor,
    data: TiltData,
    config: RunConfig,
    tested: FourierModel | None = None,
) -> Generator[int, None, ShrinkageResult]:
    """Find how far maps may differ in each shell, and whether particles differ at all.

    Parameters
    ----------
    decoder
        ``F(k, z)``.
    latents
        ``(particle, latent)`` from the images that are not held out; NaN: not compared.
    data, config
        Images and settings.
    tested
        Whose maps are asked whether particles differ at all; those of ``decoder`` if None.

    Yields
    ------
    Particles done, of `COMPARISONS` times those of the set.
    """
    compared, drawn = yield from sum_steps(decoder, latents, data, config)
    tested = decoder if tested is None else tested
    scaling = scaled_mean_steps(tested, latents, data, config)
    scaled = yield from offset_steps(scaling, _DRAWS * data.particle_count)
    # Mirrored: the slope between both sides of the middle, free of curvature.
    sides = []
    for number, factor in enumerate((_LITTLE, -_LITTLE), start=_DRAWS + 1):
        steps = error_steps(scaled, latents * factor, data, config)
        done = number * data.particle_count
        sides.append((yield from offset_steps(steps, done)))
    slope = sides[1] - sides[0]
    sure = standard_errors_of(slope) > THRESHOLD_SIGMA
    factors = choose_filter(drawn, sure=sure)
    classes, of_particle = choose_class_filters(drawn, latents) if sure else ([], factors)
    filtered, unfiltered = compared.errors(of_particle), compared.errors(torch.ones_like(factors))
    return ShrinkageResult(factors, filtered, unfiltered, compared.alike, slope, classes)
