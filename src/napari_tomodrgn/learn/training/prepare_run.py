"""The start of any run: images read and transformed, the run directory made or reopened."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_tomodrgn.config import RunConfig, resumed
from napari_tomodrgn.data.checks import stack_steps
from napari_tomodrgn.data.choice import choose_images, choose_particles
from napari_tomodrgn.data.fourier_images import Cache, ImageReader, prepare
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.reconstruction.contrast import sign_steps
from napari_tomodrgn.learn.run.directory import Run, cache_file, clear_leftovers
from napari_tomodrgn.learn.run.run_info import describe
from napari_tomodrgn.learn.runtime.cancellable import Stop, run_cancellable
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.runtime.distributed import ProcessGroup
from napari_tomodrgn.learn.runtime.events import Event
from napari_tomodrgn.physics.lattice import half_plane

# Columns of the images that decide what is computed.
_VALUES = (
    *("rot_deg", "tilt_deg", "psi_deg", "shift_x_px", "shift_y_px"),
    *("defocus_u_angstrom", "defocus_v_angstrom", "defocus_angle_deg", "phase_shift_deg"),
    *("dose_e_per_angstrom2", "stage_tilt_deg"),
)


def prepare_run(
    particles: ParticleSet,
    config: RunConfig,
    out: Path,
    *,
    resume: bool,
    stop: Stop,
    ranks: ProcessGroup | None = None,
) -> Generator[Event, None, tuple[Run, TiltData]]:
    """Read and transform the images, make or reopen the run.

    The configuration that holds is the one of the run that is returned.
    """
    ranks = ranks or ProcessGroup()
    run = Run.open(out) if resume else None
    if run is None:
        listed = choose_particles(particles, config.data)
    else:
        run.refuse_imported()
        config = resumed(run.path, run.config, config)
        run = replace(run, info=run.info.model_copy(update={"config": config}))
        listed = _in_order_of(run, particles)
    particles = choose_images(listed, config.data).with_overrides(config.data)
    stacks = particles.images["stack"].cat.categories
    yield from run_cancellable(stack_steps(particles), len(stacks), "Checking image files", stop)
    if ranks.first:
        clear_leftovers(out)
    device = ranks.device or pick_device(config.train.device)
    if run:
        sign = run.info.sign
    else:
        deciding = sign_steps(particles, config.data)
        sign = yield from run_cancellable(deciding, len(particles), "Deciding the contrast", stop)
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, config.data, sign)
    cache = Cache(
        cache_file(out),
        shared=ranks.size > 1,
        writes=ranks.first,
        save_seconds=config.train.save_seconds,
    )
    reading = prepare(reader, len(lattice), config.data.memory_gb, cache)
    images = yield from run_cancellable(reading, len(reader), "Reading images", stop)
    data = TiltData(particles, images, lattice.to(device), config.weight)
    data.hold_out(config.data.held_out_fraction, config.seed)
    if run is None:
        # With all images of a particle: what is left out of them is a setting of the run.
        run = Run.create(out, describe(particles, data, config, sign, device), listed)
    elif ranks.first:
        run.save_info()
    return run, data


def _in_order_of(run: Run, particles: ParticleSet) -> ParticleSet:
    """The particles of a run, and only if the set given is the one that it was trained on."""
    trained = run.stored_particles(images_needed=False)
    chosen = particles
    if run.config.data.chooses and set(trained.ids) <= set(particles.ids):
        chosen = particles.select(trained.ids)
    if trained.ids == chosen.ids:
        _reject_other_values(run, trained, chosen.with_overrides(run.config.data))
        return chosen  # as given: with the images folder that was given
    if set(trained.ids) != set(chosen.ids):
        raise BadInputError(
            f"{run.path}: was trained on {len(trained)} particles, "
            f"the set given has {len(particles)}, or others.",
            remedy="Resume with the same particles.",
            code="other-particles",
        )
    return run.stored_particles()


def _reject_other_values(run: Run, trained: ParticleSet, given: ParticleSet) -> None:
    """Raise if the same particles have other images, poses, CTFs or doses than were trained on."""
    if len(trained.images) != len(given.images):
        raise BadInputError(
            f"{run.path}: was trained on {len(trained.images)} tilt images, the set given has "
            f"{len(given.images)} of the same particles.",
            remedy=f"Resume with {run.particles_star}.",
            code="other-particles",
        )
    for name in _VALUES:
        before, now = trained.images[name].to_numpy(), given.images[name].to_numpy()
        if not np.allclose(before, now, rtol=1e-6, atol=1e-6, equal_nan=True):
            raise BadInputError(
                f"{run.path}: was trained on the same particles with other values of {name} than "
                "the set given has.",
                remedy=f"Resume with {run.particles_star}, or train a new run and take over its "
                "selections (--selections-of).",
                code="other-particles",
            )
