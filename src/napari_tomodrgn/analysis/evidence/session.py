"""All that comparisons of a run share: read and computed once, used by any number of them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.evidence.causes import NuisanceMaps, nuisance_maps
from napari_tomodrgn.analysis.evidence.difference import Features, make_features
from napari_tomodrgn.analysis.evidence.images import read_run_images
from napari_tomodrgn.analysis.evidence.membership import (
    CHOOSING_STEPS,
    choosing_latents,
    tilt_half_masks,
)
from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums, sum_particles
from napari_tomodrgn.analysis.evidence.permutation import Strata, strata_of
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.linear.engine import MIN_PARTICLES, LinearEngine
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import WorkProgress

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = NDArray[np.float64]
T = TypeVar("T")
# Raised when the latents of tilt halves would be others for the same images.
_VERSION = 1


@dataclass(frozen=True, eq=False)
class TiltHalves:
    """Images of a run, divided by tilt, and the latents that each half says.

    Attributes
    ----------
    data, config
        Images and settings.
    halves
        Masks ``(image,)`` of the tilt halves.
    latents
        ``(particle, component)`` of each tilt half, components fitted to it alone.
    """

    data: TiltData
    config: RunConfig
    halves: tuple[Tensor, Tensor]
    latents: tuple[FloatArray, FloatArray]

    @cached_property
    def engine(self) -> LinearEngine:
        """Of all images: it knows where the particle is, for which it looked at them once."""
        return LinearEngine.of(self.data, self.config, RunContext())

    @property
    def ids(self) -> list[str]:
        """Identities of the particles, in order."""
        return self.data.particles.ids


@dataclass(frozen=True, eq=False)
class Evidence(TiltHalves):
    """The same, and what the images say particle by particle.

    Attributes
    ----------
    sums
        What each particle's images say beyond the mean map.
    """

    sums: ParticleSums

    @cached_property
    def features(self) -> Features:
        """What the statistic is made of."""
        return make_features(self.sums)

    @cached_property
    def nuisances(self) -> NuisanceMaps:
        """What nuisances can make of the mean map."""
        return nuisance_maps(self.features, self.sums)

    @cached_property
    def strata(self) -> Strata:
        """Who may exchange labels with whom."""
        return strata_of(self.data.particles)


def gather_evidence(
    run: Run, images: str | Path | None = None
) -> Generator[WorkProgress, None, Evidence]:
    """Read the images of a run and prepare comparisons; raises as `gather_tilt_halves` does."""
    halves = yield from gather_tilt_halves(run, images)
    return (yield from with_sums(halves))


def gather_tilt_halves(
    run: Run, images: str | Path | None = None
) -> Generator[WorkProgress, None, TiltHalves]:
    """Read the images of a run and find the latents of both tilt halves.

    These are kept in ``RUN/analysis/evidence`` for the next time.

    Raises
    ------
    BadInputError
        If there are too few particles, or one of them has a single image.
    """
    data = yield from read_run_images(run, images)
    _reject_few(run, data)
    return (yield from fit_tilt_halves(data, run.config, _tilt_halves_file(run)))


def kept_tilt_halves(run: Run) -> tuple[FloatArray, FloatArray] | None:
    """Latents of both tilt halves that a run keeps, in the order of its particles; None if none."""
    try:
        with np.load(_tilt_halves_file(run), allow_pickle=False) as archive:
            return np.asarray(archive["first"]), np.asarray(archive["second"])
    except (OSError, ValueError, KeyError):
        return None


def _tilt_halves_file(run: Run) -> Path:
    return run.analysis.folder / "evidence" / "tilt-half-latents.npz"


def prepare_evidence(data: TiltData, config: RunConfig) -> Generator[WorkProgress, None, Evidence]:
    """Prepare comparisons on images that are read already."""
    halves = yield from fit_tilt_halves(data, config)
    return (yield from with_sums(halves))


def fit_tilt_halves(
    data: TiltData, config: RunConfig, kept: Path | None = None
) -> Generator[WorkProgress, None, TiltHalves]:
    """Find the latents of both tilt halves; they are kept in a file, if one is named."""
    halves = tilt_half_masks(data)
    key = _key(data, config)
    latents = _read_latents(kept, key) if kept else None
    if latents is None:
        latents = yield from with_progress(
            choosing_latents(data, config, halves), CHOOSING_STEPS, "Fitting tilt halves"
        )
        if kept:
            _write_latents(kept, key, latents)
    return TiltHalves(data, config, halves, latents)


def with_sums(found: TiltHalves) -> Generator[WorkProgress, None, Evidence]:
    """Add up what the images of each particle say."""
    sums = yield from _add_up(found.engine)
    return Evidence(found.data, found.config, found.halves, found.latents, sums)


def add_up(data: TiltData, config: RunConfig) -> Generator[WorkProgress, None, ParticleSums]:
    """What the images of each particle say beyond the mean map, by tilt half."""
    return (yield from _add_up(LinearEngine.of(data, config, RunContext())))


def _add_up(engine: LinearEngine) -> Generator[WorkProgress, None, ParticleSums]:
    steps = sum_particles(engine, tilt_half_masks(engine.data))
    return (yield from with_progress(steps, engine.data.particle_count, "Adding up images"))


def with_progress(
    steps: Generator[int, None, T], total: int, what: str
) -> Generator[WorkProgress, None, T]:
    """Yield how many of ``total`` steps are done as progress with a name."""
    while True:
        try:
            done = next(steps)
        except StopIteration as finished:
            value: T = finished.value
            return value
        yield WorkProgress(done, total, what)


def _reject_few(run: Run, data: TiltData) -> None:
    if data.particle_count < MIN_PARTICLES:
        raise BadInputError(
            f"{run.path}: {data.particle_count} particles; comparing groups needs at least "
            f"{MIN_PARTICLES}.",
            code="few-particles",
        )
    counts = np.bincount(data.particles.arrays().particle, minlength=data.particle_count)
    if counts.min() < 2:
        alone = data.particles.ids[int(counts.argmin())]
        raise BadInputError(
            f"{run.path}: particle {alone} has one image ({int((counts < 2).sum())} such); half of "
            "a particle's tilts decide who is compared and the other half is compared.",
            remedy="Leave out particles of fewer than two images and train again.",
            code="few-tilts",
        )


def _key(data: TiltData, config: RunConfig) -> str:
    """Digest of what decides the latents of tilt halves."""
    digest = hashlib.sha256(f"{_VERSION}".encode())
    digest.update("\n".join(data.particles.ids).encode())
    for part in (config.data, config.weight, config.linear):
        digest.update(part.model_dump_json().encode())
    digest.update(f"{config.seed} {data.image_count} {data.images.scale:.9g}".encode())
    return digest.hexdigest()


def _read_latents(path: Path, key: str) -> tuple[FloatArray, FloatArray] | None:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive["key"]) != key:
                return None
            return np.asarray(archive["first"]), np.asarray(archive["second"])
    except (OSError, ValueError, KeyError):
        return None


def _write_latents(path: Path, key: str, latents: tuple[FloatArray, FloatArray]) -> None:
    with written_atomically(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, key=np.array(key), first=latents[0], second=latents[1])
