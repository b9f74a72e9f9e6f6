"""What was understood of a set, in plain numbers and words for people and scripts."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.checks.check import Problem
from napari_tomodrgn.data.particles import ParticleSet

# Of a forecast; what measures it is not asked where a set has an error.
_MEASURED = ("gpu_gb", "first_look_seconds", "seconds_per_epoch", "refining_seconds")


def summary(
    particles: ParticleSet, problems: list[Problem], contrast: str = "auto"
) -> dict[str, object]:
    """What was understood of a set, in plain numbers and words for people and scripts.

    Parameters
    ----------
    particles
        The set.
    problems
        What `inspect_particles` found.
    contrast
        What is known of the sign of the images.
    """
    images, optics = particles.images, particles.optics
    defocus = images[["defocus_u_angstrom", "defocus_v_angstrom"]].to_numpy()
    return {
        "dialect": particles.source.dialect,
        "particles": len(particles),
        "images": len(images),
        "tilts_per_particle": {
            "min": int(particles.particles["tilts"].min()),
            "max": int(particles.particles["tilts"].max()),
        },
        "box_px": optics.box_size_px,
        "pixel_size_angstrom": optics.pixel_size_angstrom,
        "tomograms": [str(name) for name in particles.particles["tomogram"].unique()],
        "tilt_deg": _range(images["stage_tilt_deg"].to_numpy()),
        "dose_e_per_angstrom2": _range(images["dose_e_per_angstrom2"].to_numpy()),
        "voltage_kv": optics.voltage_kv,
        "spherical_aberration_mm": optics.spherical_aberration_mm,
        "amplitude_contrast": optics.amplitude_contrast,
        "defocus_angstrom": _range(defocus),
        "ctf_premultiplied": optics.ctf_premultiplied,
        "dose_weighted": optics.dose_weighted,
        "contrast": contrast,
        "problems": [asdict(problem) for problem in problems],
        "forecast": {"ram_gb": ram_gb(particles), **dict.fromkeys(_MEASURED)},
    }


def ram_gb(particles: ParticleSet) -> float:
    """Memory in GB for the Fourier samples of all images, if they are kept in memory."""
    # Half of the Nyquist disc, one complex64 a point.
    points = math.pi * particles.optics.box_size_px**2 / 8
    return round(len(particles.images) * points * 8 / 1e9, 3)


def _range(values: NDArray[np.float64]) -> dict[str, float]:
    return {"min": float(np.min(values)), "max": float(np.max(values))}
