"""The steps of a preflight, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from napari_tomodrgn.analysis.preflight.ctf import ctf_checks, height_checks
from napari_tomodrgn.analysis.preflight.dose import dose_checks
from napari_tomodrgn.analysis.preflight.events import (
    CheckDone,
    PreflightDone,
    PreflightEvent,
    PreflightProgress,
)
from napari_tomodrgn.analysis.preflight.geometry import geometry_checks
from napari_tomodrgn.analysis.preflight.images import odd_image_checks, pixel_value_checks
from napari_tomodrgn.analysis.preflight.maps import map_checks
from napari_tomodrgn.analysis.preflight.noise import noise_checks
from napari_tomodrgn.analysis.preflight.state import LIMIT, State
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.checks import Check, check_stacks
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.reconstruction.subsample import read_sample


def preflight(
    particles: ParticleSet, config: DataConfig | None = None
) -> Generator[PreflightEvent, None, PreflightDone]:
    """Ask the physics of a set, yielding progress and each check; the last event is also returned.

    Parameters
    ----------
    particles
        The set; at most 150 of its particles are read.
    config
        Window, contrast and overrides of what the star file says; the defaults if None.

    Raises
    ------
    BadInputError
        If the images cannot be read.
    """
    config = config or DataConfig()
    particles = particles.with_overrides(config)
    check_stacks(particles)
    total = len(_STAGES) + 1
    yield PreflightProgress("Reading a sample of the images", 0, total)
    reading = read_sample(particles, config)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            state = State(end.value, config)
            break
        yield PreflightProgress("Reading a sample of the images", 0, total)
    checks: list[Check] = []
    enough = len(state.sample.particles) >= LIMIT.particles
    stages = _STAGES if enough and not state.sample.blank else _STAGES[:1]
    for done, (stage, ask) in enumerate(stages, start=1):
        yield PreflightProgress(stage, done, total)
        for check in ask(state):
            checks.append(check)
            yield CheckDone(check)
    if not enough and not state.sample.blank:
        checks.append(_too_few(len(state.sample.particles)))
        yield CheckDone(checks[-1])
    last = PreflightDone(tuple(checks), state.contrast, tuple(state.odd))
    yield last
    return last


def _too_few(count: int) -> Check:
    message = f"Undecided: {count} particles are too few for the physics."
    why = "Halves of so few say nothing about each other."
    return Check("sample", "info", message, float(count), why, "Ask again with more particles.")


_STAGES: tuple[tuple[str, Callable[[State], Iterator[Check]]], ...] = (
    ("Looking for pixels that are no numbers", pixel_value_checks),
    ("Comparing power spectra with the CTF", ctf_checks),
    ("Comparing images with each other", odd_image_checks),
    ("Reconstructing half maps", map_checks),
    ("Comparing descriptions of poses and tilts", geometry_checks),
    ("Turning heights around", height_checks),
    ("Comparing tilts by dose", dose_checks),
    ("Comparing power spectra by dose and tilt", noise_checks),
)
