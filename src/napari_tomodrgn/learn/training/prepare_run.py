"""The start of any run, of either method: the run directory made or reopened, its images read."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_tomodrgn.config import RunConfig, resumed
from napari_tomodrgn.data.checks import stack_steps
from napari_tomodrgn.data.choice import choose_images, choose_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import reject_taken
from napari_tomodrgn.learn.run.leftovers import clear_leftovers
from napari_tomodrgn.learn.run.run_info import describe
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import Event
from napari_tomodrgn.learn.training.read_images import decide_sign_of_images, read_images


@dataclass(frozen=True, eq=False)
class RunRequest:
    """What is to be trained, how, and where to.

    Attributes
    ----------
    particles, config
        The set, and everything that decides the result.
    out
        Run directory: a new one, or the one to resume.
    resume
        Whether to go on with the run in ``out``.
    """

    particles: ParticleSet
    config: RunConfig
    out: Path
    resume: bool = False


# Columns of the images that decide what is computed.
_VALUES = (
    *("rot_deg", "tilt_deg", "psi_deg", "shift_x_px", "shift_y_px"),
    *("defocus_u_angstrom", "defocus_v_angstrom", "defocus_angle_deg", "phase_shift_deg"),
    *("dose_e_per_angstrom2", "stage_tilt_deg"),
)


def prepare_run(
    request: RunRequest, context: RunContext
) -> Generator[Event, None, tuple[Run, TiltData]]:
    """Check the image files, make or reopen the run, read its images.

    The configuration that holds from then on is the one of the run that is returned.
    """
    run = Run.open(request.out) if request.resume else None
    if run is None:
        if context.is_first:
            reject_taken(request.out)
        config, listed = request.config, choose_particles(request.particles, request.config.data)
    else:
        run = _with_settings_of_resume(run, request.config)
        config, listed = run.config, _match_particles(run, request.particles)
    particles = choose_images(listed, config.data).with_overrides(config.data)
    stacks = particles.images["stack"].cat.categories
    yield from context.run_steps(stack_steps(particles), len(stacks), "Checking image files")
    if context.is_first:
        clear_leftovers(request.out)
    if run is None:
        sign = yield from decide_sign_of_images(particles, config.data, context)
    else:
        sign = run.info.sign
    data = yield from read_images(particles, config, request.out, sign, context)
    if run is None:
        device = data.lattice.frequencies.device
        # With all images of a particle: what is left out of them is a setting of the run.
        run = Run.create(request.out, describe(particles, data, config, sign, device), listed)
    elif context.is_first:
        run.save_info()
    return run, data


def _with_settings_of_resume(run: Run, config: RunConfig) -> Run:
    """The run that is resumed, with its own configuration but for what may be extended."""
    run.refuse_imported()
    kept = resumed(run.path, run.config, config)
    return replace(run, info=run.info.model_copy(update={"config": kept}))


def _match_particles(run: Run, particles: ParticleSet) -> ParticleSet:
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
