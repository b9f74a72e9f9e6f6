"""Is the noise of the images what the star file says was done to them?

Noise goes through every filter of an export. Divided by what was multiplied with, as the star file
has it, and less what the half maps foresee of the particle, the power of all images has one
spectrum and one level. If images were weighted by dose and are not said to be, or the reverse, it
goes with the power that the dose leaves, d²; if they were multiplied by their scale factor and are
not said to be, or the reverse, with that factor's square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_tomodrgn.analysis.preflight.cross_validation import Agreement
from napari_tomodrgn.analysis.preflight.state import LIMIT, State
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.physics.image_formation import exposure_left

FloatArray = NDArray[np.float64]
_DOSE_WHY = "Images weighted by dose and taken for unweighted, or the reverse, lose their detail."
_SCALE_WHY = "With a wrong scale, tilted images count too much or too little."
_GROUPS = 8  # of particles, whose figures give the error of their mean
_LOWEST_SHELL = 3  # noise is compared from this shell on
# The half maps are a little weaker than the particles: what regularises them takes a tenth.
_FORESEEN = 1.1


def noise_checks(state: State) -> Iterator[Check]:
    """Does what is left of the images depend on dose, or on the scale factor?"""
    sample = state.sample
    slopes = _Slopes.of(sample.data(), state.maps(), sample.particles.arrays().ctf_scale)
    yield _dose_check(state, slopes.dose)
    yield _scale_check(state, slopes.scale)


@dataclass(frozen=True)
class _Slopes:
    """Power of the noise over d² and over the squared scale factor, as exponents; mean, error."""

    dose: tuple[float, float]
    scale: tuple[float, float]

    @classmethod
    def of(cls, data: TiltData, found: Agreement, scale: FloatArray) -> _Slopes:
        left, d2, count = _noise_left(data, found)
        group = found.particle_index % _GROUPS
        parts = [_exponents(left, d2, count, scale, data, group == each) for each in range(_GROUPS)]
        values = np.array([part for part in parts if part is not None])
        if len(values) < 3:
            return cls((0.0, np.inf), (0.0, np.inf))
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        mean = values.mean(axis=0)
        return cls((float(mean[0]), float(error[0])), (float(mean[1]), float(error[1])))


def _noise_left(data: TiltData, found: Agreement) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Whitened power less what is foreseen, mean d², and weight, each ``(image, shell)``."""
    shells = torch.nn.functional.one_hot(data.lattice.shells).float()
    power, d2, count = [], [], []
    for rows in torch.arange(data.image_count).split(512):
        _, _, precision = data.transfer(rows)
        weights = data.weights(rows)
        samples = data.images.take(rows).abs().square()
        left = exposure_left(data.lattice.frequencies, data.parameters.take(rows)).square()
        power.append((weights * precision * samples) @ shells)
        d2.append((weights * left.clamp(min=1e-6)) @ shells)
        count.append(weights @ shells)
    total, kept, weight = (torch.cat(part).double().numpy() for part in (power, d2, count))
    return total - _FORESEEN * found.numerator, kept, weight


def _exponents(
    left: FloatArray,
    d2: FloatArray,
    count: FloatArray,
    scale: FloatArray,
    data: TiltData,
    rows: NDArray[np.bool_],
) -> tuple[float, float] | None:
    """Exponents of d² and of the squared scale factor in the noise of some images, by tilt."""
    dose = data.parameters.dose_e_per_angstrom2.numpy()[rows].round(2)
    tilts, place = np.unique(dose, return_inverse=True)
    if len(tilts) < 4:
        return None

    def summed(values: FloatArray) -> FloatArray:
        total = np.zeros((len(tilts), values.shape[1]))
        np.add.at(total, place, values[rows])
        return total[:, _LOWEST_SHELL:-1]

    weight = summed(count)
    seen = (weight > 0).all(axis=0)
    noise, kept = summed(left)[:, seen] / weight[:, seen], summed(d2)[:, seen] / weight[:, seen]
    good = (noise > 0).all(axis=0)
    if good.sum() < 3:
        return None
    y, x = np.log(noise[:, good]), np.log(kept[:, good])
    factor = np.bincount(place, weights=scale[rows]) / np.bincount(place)
    level = 2 * np.log(np.clip(factor, 1e-3, None))
    level -= level.mean()
    # Levels of tilts and of shells may be anything: what is left of both decides on the dose.
    x, rest = _both_ways(x), _both_ways(y)
    spread, steps = float((x**2).sum()), float((level**2).sum())
    if spread < 1e-3 or steps < 1e-3:
        return None
    by_tilt = (y - y.mean(axis=0)).mean(axis=1)
    return float((x * rest).sum()) / spread, float((level * by_tilt).sum()) / steps


def _both_ways(values: FloatArray) -> FloatArray:
    """Less the means of rows and of columns."""
    values = values - values.mean(axis=0)
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def _dose_check(state: State, slope: tuple[float, float]) -> Check:
    """Does the noise fade with the dose as said?"""
    said = state.sample.particles.optics.dose_weighted
    value, error = slope
    words = f"noise over what the dose leaves: exponent {value:.2f} ± {error:.2f}"
    wrong = -value if said else value
    if not state.doses_in_order:
        words = "the doses themselves are in doubt"
    elif wrong - 2 * error > LIMIT.exponent:
        message = (
            f"The images seem {'not ' if said else ''}to be dose-weighted, but the settings say "
            f"the contrary ({words})."
        )
        remedy = f"Set dose-weighted (--dose-weighted) to {'no' if said else 'yes'}."
        return Check("noise-by-dose", "warning", message, value, _DOSE_WHY, remedy)
    elif abs(value) + 2 * error < LIMIT.exponent:
        message = f"The images are {'' if said else 'not '}dose-weighted, as said ({words})."
        return Check("noise-by-dose", "ok", message, value, _DOSE_WHY)
    message = f"Undecided whether the images are dose-weighted ({words})."
    return Check("noise-by-dose", "info", message, value, _DOSE_WHY)


def _scale_check(state: State, slope: tuple[float, float]) -> Check:
    """Does the noise of tilted images have the level that the scale factor gives it?"""
    value, error = slope
    words = f"noise over the squared scale factor: exponent {value:.2f} ± {error:.2f}"
    if np.isfinite(error) and abs(value) + 2 * error < LIMIT.exponent:
        message = f"Tilted images have the noise that the scale factor gives them ({words})."
        return Check("noise-by-tilt", "ok", message, value, _SCALE_WHY)
    message = f"Tilted images have not quite the noise that the scale factor gives them ({words})."
    # Programs that normalise each image by itself take the level out again.
    remedy = "Normal if images were normalised one by one; else check rlnCtfScalefactor."
    return Check("noise-by-tilt", "info", message, value, _SCALE_WHY, remedy)
