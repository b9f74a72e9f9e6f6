"""What the latents should not tell of: pose, defocus, dose, tilts, place, tomogram.

Each such thing is described by a few numbers a particle, and the latents are regressed on them: the
share of the latents' variance that goes with it is the effect, adjusted for the number of numbers.
Whether there is any is asked of Pillai's trace, whose distribution is known: no permutations.
It sees effects that are linear in those numbers, which hold squares and harmonics for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.components import axes_of_table, latent_matrix
from napari_tomodrgn.analysis.tomogram.association import benjamini_hochberg
from napari_tomodrgn.geometry import FloatArray, euler_to_matrix

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.data.particles import ParticleSet

# Effects from here on are said, and said to be strong.
SOME, STRONG = 0.05, 0.25
# Components with less of the variance are what the prior left of unused dimensions.
_USED = 0.01
_SURE = 0.01  # q-value above which no effect is said
_TINY = 1e-9  # relative spread below which numbers do not vary; no division by less


@dataclass(frozen=True, eq=False)
class Nuisance:
    """Something about a particle that is not its structure.

    Attributes
    ----------
    name
        In words.
    numbers
        ``(particle, number)``, describing it.
    """

    name: str
    numbers: FloatArray


def audit(latents: pd.DataFrame, particles: ParticleSet) -> pd.DataFrame:
    """Rank what the latents go with, by effect.

    Parameters
    ----------
    latents
        Index ``particle_id``, columns ``mu_0…``
    particles
        Of the run; those without latents are left out.

    Returns
    -------
    Of components with at least 1 % of the variance, one row a nuisance, the largest effect first:
    ``nuisance``, ``effect`` (share of the latents' variance, 0 to 1), ``component`` (the one that
    goes with it most) and ``component_effect`` (share of that one's variance),
    ``within_tomograms`` (the effect after differences between tomograms are taken out of both),
    ``p_value``, ``q_value``, ``particles``, ``verdict`` (strong, some, none seen).
    """
    import pandas as pd

    shared = latents.index.intersection(particles.particles.index, sort=False)
    latents, particles = latents.loc[shared], particles.select(list(shared))
    latents = latents.loc[particles.ids]
    axes = axes_of_table(latents)
    scores = axes.scores(latent_matrix(latents))[:, axes.spread >= _USED]
    names = particles.particles["tomogram"].astype(str).to_numpy()
    rows = [_row(one, scores, _one_hot(names)) for one in nuisances(particles)]
    table = pd.DataFrame([row for row in rows if row])
    if table.empty:
        return table
    q_values = benjamini_hochberg(table["p_value"].to_numpy())
    table.insert(6, "q_value", q_values)
    table["verdict"] = [
        verdict(max(one, other), q)
        for one, other, q in zip(table["effect"], table["component_effect"], q_values, strict=True)
    ]
    return table.sort_values("effect", ascending=False, ignore_index=True)


def verdict(effect: float, q_value: float) -> str:
    """An effect in a word."""
    if q_value > _SURE or effect < SOME:
        return "none seen"
    return "strong" if effect >= STRONG else "some"


def nuisances(particles: ParticleSet) -> Iterator[Nuisance]:
    """All that is known of the particles and is not their structure."""
    rows, images = particles.particles, particles.images
    names = rows["tomogram"].astype(str).to_numpy()
    yield Nuisance("tomogram", _one_hot(names))
    yield from _poses(rows)
    by_particle = images.groupby("particle_id", observed=True)
    mean_defocus = (images["defocus_u_angstrom"] + images["defocus_v_angstrom"]) / 2
    shifts = (images["shift_x_px"] ** 2 + images["shift_y_px"] ** 2) ** 0.5
    columns = {
        "defocus": mean_defocus.groupby(images["particle_id"], observed=True).mean(),
        "number of tilts": by_particle.size(),
        "total dose": by_particle["dose_e_per_angstrom2"].max(),
        "size of shifts": shifts.groupby(images["particle_id"], observed=True).mean(),
        "height in the tomogram": rows["position_z_angstrom"],
    }
    for name, column in columns.items():
        yield Nuisance(name, _powers(column.reindex(rows.index).to_numpy(np.float64)))
    places = rows[["position_x_angstrom", "position_y_angstrom"]].to_numpy(np.float64)
    yield Nuisance("place in the tomogram", np.hstack([_powers(one) for one in places.T]))


def _poses(rows: pd.DataFrame) -> Iterator[Nuisance]:
    angles = rows[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy(np.float64)
    known = np.isfinite(angles).all(axis=1)
    matrices = np.full((len(angles), 3, 3), np.nan)
    if known.any():
        matrices[known] = euler_to_matrix(angles[known])
    # The beam as the particle sees it: where its missing wedge lies, the same from both ends.
    x, y, z = matrices[:, 2].T
    harmonics = np.stack([x, y, z, x * y, y * z, z * x, x**2 - y**2, 3 * z**2 - 1], axis=1)
    yield Nuisance("direction of view", harmonics)
    yield Nuisance("orientation", np.hstack([matrices.reshape(-1, 9), harmonics]))


def _row(nuisance: Nuisance, scores: FloatArray, tomograms: FloatArray) -> dict[str, object] | None:
    """A line of the table; None where the nuisance does not vary or too few particles have it."""
    known = np.isfinite(nuisance.numbers).all(axis=1)
    basis = _basis(nuisance.numbers[known])
    count, numbers = basis.shape
    if numbers == 0 or count < numbers + scores.shape[1] + 3:
        return None
    y = scores[known] - scores[known].mean(axis=0)
    components = _adjusted(_explained(basis, y), count, numbers)
    strongest = int(components.argmax())
    return {
        "nuisance": nuisance.name,
        "effect": max(0.0, float(_adjusted(_share(basis, y), count, numbers))),
        "component": f"PC {strongest + 1}",
        "component_effect": max(0.0, float(components[strongest])),
        "within_tomograms": _within(nuisance.numbers[known], y, _basis(tomograms[known])),
        "p_value": pillai_p(basis, y),
        "particles": count,
    }


def _within(numbers: FloatArray, y: FloatArray, tomograms: FloatArray) -> float:
    """The effect after tomograms' means are taken out; NaN where nothing is left of either."""
    centred = numbers - numbers.mean(axis=0)
    left = _without(centred, tomograms)
    inside = _basis(left[:, left.std(axis=0) > _TINY * centred.std(axis=0)])
    count = len(y) - tomograms.shape[1]
    if inside.shape[1] == 0 or count <= inside.shape[1] + 1:
        return float("nan")
    share = _share(inside, _without(y, tomograms))
    return max(0.0, float(_adjusted(share, count, inside.shape[1])))


def pillai_p(basis: FloatArray, y: FloatArray) -> float:
    """Chance of so large a Pillai trace if latents had nothing to do with what ``basis`` spans.

    ``basis`` has orthonormal, centred columns; ``y`` is centred. Normal errors are assumed, and
    with many particles not needed.
    """
    from scipy.stats import f

    other = _basis(y)
    count, m, d = len(y), basis.shape[1], other.shape[1]
    s = min(m, d)
    trace = min(float(np.square(basis.T @ other).sum()), s * (1 - 1e-12))
    upper, lower = s * max(m, d), s * (count - 1 - m - d + s)
    return float(f.sf(trace / (s - trace) * lower / upper, upper, lower))


def _explained(basis: FloatArray, y: FloatArray) -> FloatArray:
    total = np.square(y).sum(axis=0)
    return np.asarray(np.square(basis.T @ y).sum(axis=0) / np.maximum(total, _TINY))


def _share(basis: FloatArray, y: FloatArray) -> float:
    return float(np.square(basis.T @ y).sum() / max(float(np.square(y).sum()), _TINY))


def _adjusted(share: FloatArray | float, count: int, numbers: int) -> FloatArray:
    """The share without what as many random numbers would explain."""
    return np.asarray(1 - (1 - np.asarray(share)) * (count - 1) / (count - numbers - 1))


def _without(values: FloatArray, basis: FloatArray) -> FloatArray:
    return np.asarray(values - basis @ (basis.T @ values))


def _basis(numbers: FloatArray) -> FloatArray:
    """Orthonormal columns that span the centred columns, each in units of its own spread."""
    if numbers.size == 0:
        return np.zeros((len(numbers), 0))
    centred = numbers - numbers.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > _TINY * np.abs(numbers).max(axis=0)
    if not varies.any():
        return np.zeros((len(numbers), 0))
    left, values, _ = np.linalg.svd(centred[:, varies] / spread[varies], full_matrices=False)
    return np.asarray(left[:, values > 1e-6 * values[0]])


def _one_hot(names: NDArray[np.generic]) -> FloatArray:
    return np.asarray(names[:, None] == np.unique(names)[None, :], dtype=np.float64)


def _powers(values: FloatArray) -> FloatArray:
    """The value and its square, in units of its spread."""
    spread = np.nanstd(values) if np.isfinite(values).any() else 0.0
    scaled = (values - np.nanmean(values)) / spread if spread > 0 else np.zeros_like(values)
    scaled = np.where(np.isfinite(values), scaled, np.nan)
    return np.stack([scaled, scaled**2], axis=1)
