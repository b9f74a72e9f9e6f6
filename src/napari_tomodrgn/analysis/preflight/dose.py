"""Does detail fade with the dose?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_tomodrgn.analysis.preflight.cross_validation import half_set_agreement, paired_z
from napari_tomodrgn.analysis.preflight.state import LIMIT, State
from napari_tomodrgn.data.checks import Check


def dose_checks(state: State) -> Iterator[Check]:
    """Does what the map foresees of the images fade with the dose?

    For each particle, the slope of N (`preflight.foresight`, unweighted, over the upper half of the
    shells on which half maps agree) against the rank of the dose; z of the slopes over particles.
    """
    why = "Images are weighted by dose: a wrong order keeps the damaged and loses the best."
    plain = state.sample.particles.with_optics(dose_weighted=False)  # nor may the filter weigh
    found = half_set_agreement(state.sample.over(plain), weighted=False)
    good = np.flatnonzero(found.halves.fsc.correlation < 0.3)
    last = int(good[0]) if len(good) else found.numerator.shape[1]
    signal = found.numerator[:, max(2, last // 2) : max(4, last)].sum(axis=1)
    dose = state.sample.particles.arrays().dose_e_per_angstrom2
    slopes = [
        _slope(dose[found.particle_index == row], signal[found.particle_index == row])
        for row in range(len(state.sample.particles))
    ]
    z = paired_z(np.array(slopes))
    if z >= LIMIT.sure:
        state.doses_in_order = False
        message = f"Detail grows with the dose instead of fading (z = {z:.1f})."
        remedy = "Check the order of the doses: the first image taken has the lowest."
        yield Check("dose-decay", "warning", message, z, why, remedy)
    elif z <= -LIMIT.sure:
        message = f"Detail fades as the dose grows (z = {z:.1f})."
        yield Check("dose-decay", "ok", message, z, why)
    else:
        message = f"Undecided whether detail fades with the dose (z = {z:.1f})."
        yield Check("dose-decay", "info", message, z, why)


def _slope(dose: np.ndarray, signal: np.ndarray) -> float:
    rank = np.argsort(np.argsort(dose)).astype(float)
    rank -= rank.mean()
    scale = float((rank**2).sum())
    return float((rank * signal).sum()) / scale if scale > 0 and np.ptp(dose) > 0 else 0.0
