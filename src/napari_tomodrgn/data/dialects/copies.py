"""Symmetry-expanded stars: the same particle in several rows, each turned by a symmetry operation.

A row is then a *copy* with a name of its own, ``12-copy2``, so that its latent, its map and its
selection are its own. What copies share are the images: halves, folds and held-out images go by
particle (`ParticleSet.originals`). Which copy a row is stands in ``tomodrgnCopy`` where a set of
chosen copies was written, else it is counted in the order of the file, as RELION writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.common import StarInput, factorize, joined_names
from napari_tomodrgn.data.particles import Remark
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.geometry import euler_to_matrix

COPY_COLUMN = "tomodrgnCopy"
_SAME_POSE = 1e-3  # of the entries of a rotation matrix: 0.06 degrees


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
    number = _stated(table)
    if number is None:
        number = _counted(factorize(particles)[0], images, angles_deg)
    if number is None:
        return Copies(names, particles)
    copies = pa.array([f"-copy{one}" for one in number.tolist()], pa.large_string())
    named = pc.binary_join_element_wise(
        pc.cast(names, pa.large_string()), copies, pa.scalar("", pa.large_string())
    )
    count, most = len(pc.unique(particles)), int(number.max())
    source.remarks.append(
        Remark(
            "symmetry-expanded",
            "info",
            f"A symmetry-expanded set: {count} particles, up to {most} copies of each, which share "
            "their images.",
            "Halves, folds and held-out images go by particle, so that no image is in two of them.",
            most,
        )
    )
    return Copies(named, joined_names(tomograms, named), particles)


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
) -> NDArray[np.int64] | None:
    """The copy of each row, from 1; None if there are none, or if what repeats is no copy."""
    image = combined_codes([particle, *images])
    if pd.Index(image).is_unique:  # as nearly always: a million rows in 0.05 s
        return None
    image = np.unique(image, return_inverse=True)[1].reshape(-1)
    order = np.argsort(image, kind="stable")
    begins = np.flatnonzero(np.diff(image[order], prepend=-1))
    sizes = np.diff([*begins, len(order)])
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order)) - np.repeat(begins, sizes) + 1
    rotations = euler_to_matrix(angles_deg).reshape(-1, 9)
    turned = np.rint(rotations / _SAME_POSE).astype(np.int64)
    rows = np.column_stack([image, turned])
    if len(np.unique(rows, axis=0)) < len(rows):
        return None  # the same pose again: a duplicate
    # Every image of a particle in as many copies.
    of_image = sizes[np.argsort(order[begins], kind="stable")]
    owner = particle[np.sort(order[begins])]
    least = np.full(int(particle.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(least, owner, of_image)
    return number if bool((of_image == least[owner]).all()) else None


def combined_codes(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One number ``(row,)`` for each combination of columns of numbers from 0, ``(row,)`` each.

    Their ranges multiply: 10⁵ particles × 10⁵ stacks × 10⁵ images are well within 64 bits.
    """
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        code = code * (int(column.max(initial=0)) + 1) + column
    return code
