"""Trust in a particle: how much of the map of all particles its own images hold.

Least squares of the images on what the mean map makes of them has the amplitude

    α_p = Σ Re F̄* (N_p + D_p F̄) / Σ |F̄|² D_p = 1 + Σ Re F̄* N_p / Σ |F̄|² D_p

with N and D of `particle_sums`. It is about 0 where nothing is, falls as poses, places and defocus
are off, and is 1 for the set as a whole. That of each tilt half is found by itself, so that their
difference says how sure α is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trust:
    """Trust in each particle.

    Attributes
    ----------
    amplitude
        ``(particle,)`` α over the median of the set.
    error
        Its standard error, one number for the set, from how tilt halves of a particle differ.
    """

    amplitude: FloatArray
    error: float

    def columns(self, ids: list[str]) -> pd.DataFrame:
        """``trust``, index ``particle_id``: α drawn to 0 … 1."""
        values = np.clip(self.amplitude, 0.0, 1.0)
        return pd.DataFrame({"trust": values}, index=pd.Index(ids, name="particle_id"))


def trust_particles(sums: ParticleSums) -> Trust:
    """Trust in all particles of a set."""
    weights = sums.counts * (sums.shells <= sums.radius_px)
    slope = (weights * np.conj(sums.mean)).astype(np.complex64)
    explained = (sums.residual @ slope).real.astype(np.float64)
    power = sums.curvature @ (weights * np.abs(sums.mean) ** 2)
    whole = 1 + explained.sum(axis=0) / np.maximum(power.sum(axis=0), 1e-30)
    one, two = 1 + explained / np.maximum(power, 1e-30)
    middle = float(np.median(whole)) or 1.0
    return Trust(whole / middle, float((one - two).std() / 2 / abs(middle)))
