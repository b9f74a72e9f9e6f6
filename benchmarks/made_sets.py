"""Sets that are simulated where they are trained on: Fourier samples on the device, no image file.

What `simulate` writes as images is computed here as samples, from the same scene, the same maps and
the star file that it would write; only the rounding of files is left out, and the little that the
window takes of the molecule. 22,291 particles of 41 tilts and a box of 96 are 34 GB, made on a card
in seconds.

Noise goes through the window, as that of images does, so that neighbouring samples share it. Until
28 November 2026 it was white, and as weak as the window leaves it: nearly twice as many independent
samples as images have, so that a set of SNR 0.05 said as much as one of 0.09.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import DataConfig, RunConfig, WeightConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import FourierImages, soft_window
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.training import prepare_run
from napari_tomodrgn.physics.fourier import sample_transform, transform_images
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig
from napari_tomodrgn.synthetic.layout import Layout
from napari_tomodrgn.synthetic.scene import make_scene
from napari_tomodrgn.synthetic.stars import write_stars
from napari_tomodrgn.synthetic.structures import load_structures

_SAMPLES_AT_A_TIME = 1 << 24
# Pairs of states that a verdict is asked about: the 5S RNP, and a single protein.
PAIRS = {"5S pair": (1, 3), "Lso2 pair": (0, 4)}


class HostMeans:
    """Samples on a device, handed out on the host, as means over a set are taken from them."""

    def __init__(self, samples: Tensor) -> None:
        self.samples = samples

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.samples[rows.to(self.samples.device)].cpu()


@dataclass(frozen=True, eq=False)
class MadeSet:
    """A simulated set.

    Attributes
    ----------
    particles
        As read from its star file.
    samples
        Complex64 ``(image, point)`` on the device, of mean square 1.
    scale
        What they were divided by.
    states
        ``(particle,)`` number of the state.
    oracle
        ``(particle, pair)`` log-likelihood ratio of the two true maps of each of `PAIRS`.
    """

    particles: ParticleSet
    samples: Tensor
    scale: float
    states: NDArray[np.int64]
    oracle: NDArray[np.float64]

    def data(self, config: RunConfig) -> TiltData:
        """What a training reads, held-out images marked."""
        return tilt_data(self.particles, FourierImages(self.samples, self.scale), config)


def tilt_data(particles: ParticleSet, images: FourierImages, config: RunConfig) -> TiltData:
    """A set whose samples lie on a device."""
    samples = images.samples
    assert isinstance(samples, Tensor)
    lattice = half_plane(particles.optics.box_size_px).to(samples.device)
    few = FourierImages(HostMeans(samples), images.scale)  # type: ignore[arg-type]
    data = TiltData(particles, few, lattice, config.weight)
    data.images = images
    data.hold_out(config.data.held_out_fraction, config.seed)
    return data


def make_set(config: SimulationConfig, folder: Path, device: torch.device) -> MadeSet:
    """Simulate a set of states in equal shares."""
    structures, layout = load_structures(config), Layout(folder)
    scene = make_scene(config, len(structures.names), structures.pixel_size_angstrom)
    write_stars(layout, scene, config)
    particles = read_particles(layout.warptools, images_needed=False)
    states = scene.crowd.place.astype(np.int64)
    transforms = [transform.to(device) for transform in structures.transforms]
    box, lattice = config.box_size_px, half_plane(config.box_size_px).to(device)
    samples = torch.empty(
        (len(particles.images), len(lattice)), dtype=torch.complex64, device=device
    )
    arrays = particles.arrays()
    rotations = torch.from_numpy(arrays.rotations.astype(np.float32))
    few = FourierImages(torch.ones((len(samples), 1), dtype=torch.complex64), 1.0)
    # Only asked for the model of its images.
    model_of = _formations(particles, few, device)
    noise = torch.Generator(device=device).manual_seed(config.seed)
    window = DataConfig()
    disc = soft_window(box, window.window_inner, window.window_outer).to(device)
    strength = float(box * disc.square().mean().sqrt())  # of a sample's noise behind it
    tilts = len(samples) // len(particles)
    size = max(1, _SAMPLES_AT_A_TIME // (tilts * len(lattice)))
    oracle, scale = np.zeros((len(particles), len(PAIRS))), None
    for first in range(0, len(particles), size):
        chosen = np.arange(first, min(first + size, len(particles)))
        rows = torch.arange(first * tilts, (int(chosen[-1]) + 1) * tilts)
        turned = rotations[rows].to(device)
        where = lattice.frequencies[None, :, :, None] * turned[:, None, :2]
        where = where.sum(2)
        model = model_of(rows)
        state = torch.from_numpy(states[chosen]).repeat_interleave(tilts)
        seen = torch.empty_like(samples[rows[0] : rows[-1] + 1])
        for number in np.unique(states[chosen]):
            at = (state == int(number)).nonzero()[:, 0].to(device)
            seen[at] = sample_transform(transforms[number], where[at])
        seen = seen * model.signal
        if scale is None:
            power = torch.view_as_real(seen).square().sum(-1).sum(-1).mean()
            scale = float((config.snr / (2 * power / box**4)).sqrt())
        pixels = torch.randn((len(seen), box, box), device=device, generator=noise)
        recorded = seen * scale + transform_images(disc * pixels, lattice)
        for column, pair in enumerate(PAIRS.values()):
            if max(pair) < len(transforms):
                one, other = (
                    (recorded - sample_transform(transforms[n], where) * model.signal * scale)
                    for n in pair
                )
                ratio = torch.view_as_real(one).square() - torch.view_as_real(other).square()
                ratio = ratio.sum((1, 2)).view(-1, tilts).sum(1) / strength**2
                oracle[chosen, column] = ratio.double().cpu().numpy()
        samples[rows[0] : rows[-1] + 1] = recorded * model.applied
    rms = float(
        torch.view_as_real(samples[:: max(1, len(samples) // 1000)]).square().sum(-1).mean()
    )
    samples /= rms**0.5
    return MadeSet(particles, samples, rms**0.5, states, oracle)


def _formations(
    particles: ParticleSet, few: FourierImages, device: torch.device
) -> Callable[[Tensor], Any]:
    lattice = half_plane(particles.optics.box_size_px).to(device)
    with patch.object(TiltData, "transfer", lambda *_: (None, None, torch.ones(()))):
        data = TiltData(particles, few, lattice, WeightConfig())
    return lambda rows: data.formation(rows, device=device)


@contextlib.contextmanager
def in_place_of_files(made: MadeSet) -> Iterator[None]:
    """Trainings read this set, and no file."""

    def nothing(*_: object) -> Generator[int, None, None]:
        yield from ()

    def sign(*_: object) -> Generator[int, None, int]:
        yield from ()
        return 1

    def read(_: ParticleSet, config: RunConfig, *__: object) -> Generator[int, None, TiltData]:
        yield from ()
        return made.data(config)

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(prepare_run, "stack_steps", nothing))
        stack.enter_context(patch.object(prepare_run, "decide_sign_of_images", sign))
        stack.enter_context(patch.object(prepare_run, "read_images", read))
        yield


def quality(made: MadeSet, latents: NDArray[np.float64]) -> dict[str, float]:
    """`told_apart`, and beside it for each pair the AUC of the likelihoods of the true maps."""
    found = told_apart(made.states, latents)
    for column, (name, (one, other)) in enumerate(PAIRS.items()):
        if f"{name}: auc" in found:
            rows = np.flatnonzero(np.isin(made.states, (one, other)))
            truth = made.states[rows] == one
            found[f"{name}: oracle auc"] = round(_auc(-made.oracle[rows, column], truth), 3)
    return found


def told_apart(states: NDArray[np.int64], latents: NDArray[np.float64]) -> dict[str, float]:
    """How well latents ``(particle, latent)`` tell states ``(particle,)`` apart.

    ARI of k-means with the Lso2 pair merged; of each pair, the share that two-means within the pair
    gets right, and the AUC of the best direction found on the other half.
    """
    merged = np.where(states == 4, 0, states)
    count = len(np.unique(merged))
    found: dict[str, float] = {}
    if count > 1:
        found["ari"] = round(float(agreement(k_means(latents, count), merged)), 3)
    for name, (one, other) in PAIRS.items():
        rows = np.flatnonzero(np.isin(states, (one, other)))
        truth = states[rows] == one
        if truth.all() or not truth.any():
            continue
        right = float((k_means(latents[rows], 2) == truth).mean())
        found[f"{name}: right"] = round(max(right, 1 - right), 3)
        found[f"{name}: auc"] = round(_cross_fitted_auc(latents[rows], truth), 3)
    return found


def _cross_fitted_auc(latents: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    half = np.random.default_rng(0).permutation(len(truth)) % 2 == 0
    found = []
    for learnt in (half, ~half):
        within = np.cov(latents[learnt].T) + 1e-6 * np.eye(latents.shape[1])
        apart = latents[learnt & truth].mean(0) - latents[learnt & ~truth].mean(0)
        found.append(_auc(latents[~learnt] @ np.linalg.solve(within, apart), truth[~learnt]))
    return float(np.mean(found))


def _auc(score: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    rank = np.empty(len(score))
    rank[np.argsort(score)] = np.arange(1, len(score) + 1)
    ones, zeros = int(truth.sum()), int((~truth).sum())
    return float((rank[truth].sum() - ones * (ones + 1) / 2) / (ones * zeros))
