"""Symmetry-expanded stars: the same particle in several rows, each turned by a symmetry operation.

A row is then a *copy* with a name of its own, ``12-copy2``, so that its latent, its map and its
selection are its own. What copies share are the images: halves, folds and held-out images go by
particle (`ParticleSet.originals`). Which copy a row is stands in ``tomodrgnCopy`` where a set of
chosen copies was written, else it is counted in the order of the file, as RELION writes it.

Rows of one particle with unlike poses are copies only if a symmetry can have turned them: from copy
to copy of every particle by a whole part of a turn, or by turns that particles share. Two
refinements of the same particles in one file are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_tomodrgn.data.dialects.common import StarInput, factorize, joined_names
from napari_tomodrgn.data.particles import Remark
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.geometry import euler_to_matrix, rotation_angles_deg

COPY_COLUMN = "tomodrgnCopy"
_COPY = "-copy"
_SAME_POSE = 1e-3  # of the entries of a rotation matrix: 0.06 degrees
_EXACT_DEG = 0.1  # Angles are written with two decimals or more.
# Whole parts of a turn, up to C12. (Up to C40 they would lie so close that a fourth of all angles
# is one of them by chance; here it is 3 %.) Larger rings, helices: one turn in all particles.
_ORDERS = np.arange(2, 13)
_LEAST_DEG = 8.0  # C45
# Copies that were refined since: aligned locally, as one does after an expansion.
_REFINED_DEG, _REFINED_SHARE = 15.0, 0.9


@dataclass(frozen=True, eq=False)
class Copies:
    """Names of rows in which particles may stand several times.

    Attributes
    ----------
    names
        Name within the tomogram, of the copy where there are copies.
    identities
        ``"<tomogram>/<name>"``.
    originals
        ``"<tomogram>/<particle>"`` of each row; None in a set without copies.
    """

    names: pa.Array
    identities: pa.Array
    originals: pa.Array | None = None


def tell_copies(
    source: StarInput,
    table: StarTable,
    tomograms: pa.Array,
    names: pa.Array,
    images: Sequence[NDArray[np.int64]],
    angles_deg: NDArray[np.float64],
) -> Copies:
    """Tell copies of a particle from rows that are there twice by mistake, which stay as they are.

    Parameters
    ----------
    source, table
        What is read; it is told what was found.
    tomograms, names
        Of each row; together the particle.
    images
        ``(row,)`` numbers that together say which images a row is about: copies share them.
    angles_deg
        ``(row, 3)`` rot, tilt, psi of each row: copies differ in them.
    """
    particles = joined_names(tomograms, names)
    number, refined = _stated(table), False
    if number is None:
        number, refined = _counted(factorize(particles)[0], images, angles_deg)
    if number is None:
        return Copies(names, particles)
    copies = pa.array([f"{_COPY}{one}" for one in number.tolist()], pa.large_string())
    named = pc.binary_join_element_wise(
        pc.cast(names, pa.large_string()), copies, pa.scalar("", pa.large_string())
    )
    count = len(pc.unique(particles))
    source.remarks.append(_remark(count, int(number.max()), refined))
    return Copies(named, joined_names(tomograms, named), particles)


def _remark(particles: int, most: int, refined: bool) -> Remark:
    """What is said of a set in which particles stand up to ``most`` times."""
    counts = f"{particles} particles, up to {most} copies of each, which share their images."
    if refined:
        return Remark(
            "symmetry-expanded",
            "warning",
            f"A symmetry-expanded set whose copies were aligned on their own since: {counts}",
            "They are turned by nearly, not exactly, the same turn in all particles. If these are "
            "two refinements of the same particles in one file, keep one of them.",
            most,
        )
    return Remark(
        "symmetry-expanded",
        "info",
        f"A symmetry-expanded set: {counts}",
        "Halves, folds and held-out images go by particle, so that no image is in two of them.",
        most,
    )


def copy_number(identity: str) -> str:
    """The number in the name of a copy, ``"2"`` of ``"TS_01/12-copy2"``."""
    return identity.rpartition(_COPY)[2]


def _stated(table: StarTable) -> NDArray[np.int64] | None:
    """The copy of each row as it was written before."""
    if COPY_COLUMN not in table:
        return None
    numbers = table.numbers(COPY_COLUMN)
    wrong = np.flatnonzero((numbers < 1) | (numbers != np.rint(numbers)))
    if wrong.size:
        row = int(wrong[0])
        raise table.problem(COPY_COLUMN, row, f"is {numbers[row]:g}, not the number of a copy")
    return numbers.astype(np.int64)


def _counted(
    particle: NDArray[np.int64],
    images: Sequence[NDArray[np.int64]],
    angles_deg: NDArray[np.float64],
) -> tuple[NDArray[np.int64] | None, bool]:
    """The copy of each row, from 1, and whether copies were refined since.

    The first is None if there are no copies, or if what repeats is none.
    """
    image = combined_codes([particle, *images])
    if pd.Index(image).is_unique:  # as nearly always: a million rows in 0.05 s
        return None, False
    image = np.unique(image, return_inverse=True)[1].reshape(-1)
    order = np.argsort(image, kind="stable")
    begins = np.flatnonzero(np.diff(image[order], prepend=-1))
    sizes = np.diff([*begins, len(order)])
    number, first = np.empty((2, len(order)), dtype=np.int64)
    number[order] = np.arange(len(order)) - np.repeat(begins, sizes) + 1
    first[order] = np.repeat(order[begins], sizes)
    # Every image of a particle in as many copies.
    of_image = sizes[np.argsort(order[begins], kind="stable")]
    owner = particle[np.sort(order[begins])]
    least = np.full(int(particle.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(least, owner, of_image)
    if not bool((of_image == least[owner]).all()):
        return None, False
    turned = _turned_by_symmetry(image, number, first, euler_to_matrix(angles_deg))
    return (None, False) if turned == "no" else (number, turned == "nearly")


def _turned_by_symmetry(
    image: NDArray[np.int64],
    number: NDArray[np.int64],
    first: NDArray[np.int64],
    rotations: NDArray[np.float64],
) -> Literal["exactly", "nearly", "no"]:
    """Whether a symmetry turned the copies: from R to R S, with S of a group.

    Parameters
    ----------
    image, number
        ``(row,)`` which image a row is about, and as which copy.
    first
        ``(row,)`` row of the first copy of the same image.
    rotations
        ``(row, 3, 3)``.
    """
    entries = np.rint(rotations.reshape(-1, 9) / _SAME_POSE).astype(np.int64)
    rows = np.column_stack([image, entries])
    if len(np.unique(rows, axis=0)) < len(rows):
        return "no"  # the same pose again: a duplicate
    later = number > 1
    turns = np.swapaxes(rotations[first[later]], 1, 2) @ rotations[later]
    angle = rotation_angles_deg(turns)
    parts = angle[:, None] * _ORDERS / 360
    off = (np.abs(parts - np.rint(parts)) * 360 / _ORDERS).min(axis=1)
    if off.max() < _EXACT_DEG:
        return "exactly"
    return _shared_turns(number[later], turns)


def _shared_turns(
    number: NDArray[np.int64], turns: NDArray[np.float64]
) -> Literal["exactly", "nearly", "no"]:
    """Whether the copies of one number have one turn ``(row, 3, 3)`` in all particles."""
    answers = set()
    for one in np.unique(number):
        here = turns[number == one]
        mean = Rotation.from_matrix(here).mean().as_matrix()
        apart, whole = rotation_angles_deg(mean.T @ here), rotation_angles_deg(mean)
        if len(here) > 1 and whole > _LEAST_DEG and apart.max() < _EXACT_DEG:
            answers.add("exactly")
        elif len(here) > 1 and whole > 2 * _REFINED_DEG:
            near = float((apart < _REFINED_DEG).mean())
            answers.add("nearly" if near >= _REFINED_SHARE else "no")
        else:
            answers.add("no")
    return next(one for one in ("no", "nearly", "exactly") if one in answers)


def combined_codes(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One number ``(row,)`` for each combination of columns of numbers from 0, ``(row,)`` each.

    Their ranges multiply: 10⁵ particles × 10⁵ stacks × 10⁵ images are well within 64 bits.
    """
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        code = code * (int(column.max(initial=0)) + 1) + column
    return code
