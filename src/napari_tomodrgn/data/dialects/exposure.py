"""Doses built up anew from the dose of one tilt and the order in which tilts were taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_DECIMALS = 3  # e/Å²; doses of one tilt that differ by less are the same


def accumulated_dose(
    per_tilt: float, series: NDArray[np.int64], *clues: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Exposure before each image in e/Å²: ``per_tilt`` for every earlier tilt of its series.

    Parameters
    ----------
    per_tilt
        Dose of one tilt in e/Å².
    series
        Number of the tilt series of each image.
    clues
        What may tell the order, best first, one number an image: stated doses, an index of
        acquisition, the place in the file. The first that differs within a series is taken.
        Images for which it is the same show the same tilt.
    """
    rank = np.zeros(len(series))
    for rows in pd.Series(series).groupby(series).indices.values():
        for clue in clues:
            values = np.round(clue[rows], _DECIMALS)
            if np.ptp(values) > 0:
                rank[rows] = np.unique(values, return_inverse=True)[1]
                break
    return rank * per_tilt
