"""Groups of particles as they are asked for: names, clusters, files, complements, random ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.evidence.permutation import beam_directions, direction_bins
from napari_tomodrgn.analysis.selections import (
    ids_of_clusters,
    load_selection,
    selection_names,
)
from napari_tomodrgn.config import unrolled
from napari_tomodrgn.data.choice import read_ids
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run

Labels = NDArray[np.int8]
# What finds the particles of an expression on columns, such as "(defocus > 3)".
ExpressionReader = Callable[[Run, str], list[str]]

_CLUSTERS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


@dataclass(frozen=True)
class Group:
    """A named set of particles of a run, by identity."""

    name: str
    ids: frozenset[str]


def read_group(run: Run, text: str, expressions: ExpressionReader | None = None) -> Group:
    """The particles that a word on the command line means.

    Parameters
    ----------
    run
        The run.
    text
        The name of a selection; clusters as ``1,4`` or ``1-3``; a file of identities; or, where
        ``expressions`` reads them, an expression in parentheses.
    expressions
        What reads expressions.

    Raises
    ------
    BadInputError
        If it means nothing, or particles that the run does not have.
    """
    if text.startswith("(") and expressions is not None:
        return Group(text, _known(run, text, expressions(run, text)))
    if text in selection_names(run.path):
        return Group(text, _known(run, text, load_selection(run.path, text).particles))
    if _CLUSTERS.fullmatch(text):
        numbers = _numbers(text)
        word = "cluster" if len(numbers) == 1 else "clusters"
        return Group(f"{word} {text}", frozenset(ids_of_clusters(run.path, numbers)))
    if Path(text).is_file():
        return Group(Path(text).stem, _known(run, text, read_ids(text)))
    known = ", ".join(selection_names(run.path)) or "none"
    raise BadInputError(
        f"{text!r} is no selection of {run.path} (there are: {known}), no list of clusters such as "
        "1,4 and no file of particle ids.",
        code="no-group",
    )


def _numbers(text: str) -> list[int]:
    try:
        return [int(one) for part in text.split(",") for one in unrolled(part)]
    except ValueError:
        raise BadInputError(
            f"{text} is no list of clusters such as 1,4 or 1-3.", code="no-group"
        ) from None


def _known(run: Run, text: str, ids: Iterable[str]) -> frozenset[str]:
    table = run.latents().index
    wanted = frozenset(ids)
    if missing := sorted(wanted.difference(table)):
        raise BadInputError(
            f"{text}: the run {run.path} has no particle {missing[0]!r} ({len(missing)} of "
            f"{len(wanted)} unknown); names look like {table[0]!r}.",
            code="unknown-particle",
        )
    return wanted


def label_groups(ids: list[str], a: Group, b: Group | None = None) -> Labels:
    """``(particle,)`` +1 in A, −1 in B, or in no A where no B is given.

    Raises
    ------
    BadInputError
        If a particle is in both.
    """
    in_a = np.array([name in a.ids for name in ids])
    if b is None:
        return np.where(in_a, 1, -1).astype(np.int8)
    reject_shared(a, b)
    in_b = np.array([name in b.ids for name in ids])
    return (in_a.astype(np.int8) - in_b.astype(np.int8)).astype(np.int8)


def reject_shared(a: Group, b: Group) -> None:
    """Raise `BadInputError` if a particle is in both groups."""
    if shared := a.ids & b.ids:
        raise BadInputError(
            f"{a.name} and {b.name} share {len(shared)} particles; a particle can be in one of two "
            "groups that are compared.",
            remedy="Compare a group with all others, or take the shared ones out of one.",
            code="groups-overlap",
        )


def match_group(particles: ParticleSet, in_a: NDArray[np.bool_], seed: int = 0) -> Labels:
    """Label a group and a random one like it among the other particles.

    As many as in A, one for each, of the same tomogram, viewing direction, defocus and number of
    tilts; where none is left, of the same tomogram and direction, then tomogram, then any.

    Parameters
    ----------
    particles
        The set.
    in_a
        ``(particle,)``, true in A.
    seed
        Of the random choice.

    Returns
    -------
    ``(particle,)`` +1 in A, −1 in its match, 0 elsewhere.
    """
    rng = np.random.default_rng([seed, 0x3A7C])
    free = ~in_a
    labels = in_a.astype(np.int8)
    waiting = rng.permutation(np.flatnonzero(in_a))
    for level in _kinds(particles):
        left = []
        for row in waiting:
            alike = np.flatnonzero(free & (level == level[row]))
            if not len(alike):
                left.append(row)
                continue
            chosen = rng.choice(alike)
            labels[chosen], free[chosen] = -1, False
        waiting = np.array(left, dtype=np.int64)
    return labels


def _kinds(particles: ParticleSet) -> list[NDArray[np.int64]]:
    """Kind of each particle, finely and then more and more coarsely."""
    names = particles.particles["tomogram"].astype(str).to_numpy()
    _, tomogram = np.unique(names, return_inverse=True)
    direction = direction_bins(beam_directions(particles), np.inf)
    arrays = particles.arrays()
    counts = np.bincount(arrays.particle, minlength=len(particles))
    mean = (arrays.defocus_u_angstrom + arrays.defocus_v_angstrom) / 2
    defocus = np.bincount(arrays.particle, weights=mean, minlength=len(particles)) / counts
    third = np.searchsorted(np.quantile(defocus, [1 / 3, 2 / 3]), defocus)
    few = np.searchsorted(np.quantile(counts, [1 / 3, 2 / 3]), counts)
    coarse = tomogram * 16 + direction
    fine = (coarse * 4 + third) * 4 + few
    return [fine.astype(np.int64), coarse, tomogram.astype(np.int64), np.zeros_like(coarse)]
