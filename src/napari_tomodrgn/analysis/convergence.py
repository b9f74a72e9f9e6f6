"""Whether a training has converged: what latents and maps did from epoch to epoch.

Latents of two epochs are compared after the rotation and scale that fit them best (an autoencoder
is free to turn them): the share of their variance that is common (Procrustes). Maps are those of
particles that lie apart in the last epoch, decoded at each epoch from their own latents there, and
compared with those of the epoch before by correlation and Fourier shell correlation.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.analysis.fsc import correlation, fsc, fsc_sphere
from napari_tomodrgn.analysis.latents.clusters import clusters_of
from napari_tomodrgn.analysis.latents.components import latent_matrix
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import WorkProgress

# Maps whose correlation from epoch to epoch is above this have stopped changing; likewise latents.
_SAME_MAPS, _SAME_LATENTS = 0.99, 0.95


@dataclass(frozen=True, eq=False)
class Convergence:
    """What was found.

    Attributes
    ----------
    table
        One row an epoch from the second on: ``epoch, previous, latents, map_correlation,
        fsc_half_angstrom``, with losses of the run beside them.
    verdict
        A sentence.
    """

    table: pd.DataFrame
    verdict: str


def convergence_steps(
    run: Run, maps: int = 6, every: int = 1, box_size_px: int | None = None
) -> Generator[WorkProgress, None, Convergence]:
    """Compare successive epochs of a run.

    Parameters
    ----------
    run
        With at least two epochs.
    maps
        Particles whose maps are followed: centres of so many clusters of the last epoch.
    every
        Take each so many-th epoch; the last one is always among them.
    box_size_px
        Box of the maps; as trained if None.

    Raises
    ------
    BadInputError
        If the run has one epoch only.
    """
    epochs = run.epochs()
    epochs = sorted({*epochs[::-1][::every]})
    if len(epochs) < 2:
        raise BadInputError(
            f"{run.path}: {len(epochs)} epoch is kept; convergence compares several.",
            code="too-few-epochs",
        )
    last = run.latents(epochs[-1])
    followed = last.index[clusters_of(latent_matrix(last), maps).centers]
    rows, before = [], None
    for done, epoch in enumerate(epochs, start=1):
        table = run.latents(epoch)
        now = (table, _decoded(run, epoch, table.loc[followed], box_size_px))
        if before is not None:
            rows.append({"epoch": epoch, "previous": epochs[done - 2], **_compared(before, now)})
        before = now
        yield WorkProgress(done, len(epochs), "Comparing epochs")
    found = pd.DataFrame(rows).merge(run.metrics(), on="epoch", how="left")
    return Convergence(found, _verdict(found))


def common_variance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Share of the variance that two sets of points ``(particle, dimension)`` have in common.

    After shift, rotation and one scale: squared Procrustes correlation (Gower, Psychometrika 40
    (1975) 33), 1 for the same arrangement.
    """
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    if not norm > 0:
        return 0.0
    return float((np.linalg.svd(a.T @ b, compute_uv=False).sum() / norm) ** 2)


def _decoded(run: Run, epoch: int, latents: pd.DataFrame, box: int | None) -> list[Volume]:
    # As they were learnt: only the epoch that a run ended with has a filter.
    run = run.with_shell_filter(on=False)
    return list(run.decoder(epoch).decode_many(latent_matrix(latents), box))


def _compared(
    before: tuple[pd.DataFrame, list[Volume]], now: tuple[pd.DataFrame, list[Volume]]
) -> dict[str, float]:
    mask = fsc_sphere(now[1][0].box_size_px)
    pairs = list(zip(before[1], now[1], strict=True))
    same = before[0].index.intersection(now[0].index)
    latents = [latent_matrix(table.loc[same]) for table in (before[0], now[0])]
    half = [fsc(a, b, mask).resolution_angstrom(0.5) for a, b in pairs]
    return {
        "latents": common_variance(*latents),
        "map_correlation": float(np.mean([correlation(a, b, mask) for a, b in pairs])),
        "fsc_half_angstrom": float(np.median(half)),
    }


def _verdict(table: pd.DataFrame) -> str:
    row = table.iloc[-1]
    words = (
        f"From epoch {int(row['previous'])} to {int(row['epoch'])} maps correlate "
        f"{row['map_correlation']:.3f} and {row['latents']:.0%} of the latents' variance is common"
    )
    settled = row["map_correlation"] >= _SAME_MAPS and row["latents"] >= _SAME_LATENTS
    return f"{words}: " + ("converged." if settled else "still changing; train longer.")
