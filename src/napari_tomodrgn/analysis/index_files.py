"""Particles by number, as tomoDRGN and cryoDRGN name them: index files and labels, in and out.

Their numbers count from 0 in the order of a star file: rows where a row is a particle, first
appearances where it is an image. Everything here is by identity, so that a number is only ever
taken for the star file that it was made with. Pickles are read without running what is in them.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.safe_pickle import read_arrays
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically

SUFFIXES = (".pkl", ".npy")


def read_array(path: str | Path) -> NDArray[np.generic]:
    """Read the numbers of a ``.pkl`` or ``.npy`` file, of any shape; nothing in it is run.

    Raises
    ------
    BadInputError
        If it cannot be read or holds anything but numbers.
    """
    path = Path(path)
    if path.suffix.lower() == ".pkl":
        (found,) = read_arrays(path, 1)
        return found
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        words = str(error).splitlines()[0]
        raise BadInputError(f"{path}: cannot be read as numbers ({words}).") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise BadInputError(f"{path}: holds no numbers.")
    return array


def ids_of_index(path: str | Path, particles: ParticleSet) -> list[str]:
    """Identities of the particles that an index file names by their numbers.

    Raises
    ------
    BadInputError
        If it holds anything but whole numbers, or one that no particle has.
    """
    numbers = read_array(path)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not numbers.size:
        raise BadInputError(
            f"{path}: expected one row of whole numbers, found {numbers.dtype} of shape "
            f"{numbers.shape}.",
            code="bad-index",
        )
    own = particle_numbers(particles)
    unknown = np.setdiff1d(numbers, own)
    if unknown.size:
        raise BadInputError(
            f"{path}: names particle {unknown[0]}, counted from 0; {particles.source.path} has "
            f"{own.min()} to {own.max()} ({unknown.size} of {len(np.unique(numbers))} numbers "
            "unknown).",
            remedy="Name the star file that the index was made with.",
            code="unknown-particle",
        )
    return [particles.ids[row] for row in np.flatnonzero(np.isin(own, numbers))]


def particle_numbers(particles: ParticleSet) -> NDArray[np.int64]:
    """Number of each particle of a set in its star file, ``(particle,)`` from 0.

    Raises
    ------
    BadInputError
        If rows are images and some of them are left out, so that particles cannot be counted.
    """
    if particles.source.rows_are_images:
        block = particles.source.blocks[particles.source.particle_block]
        rows = particles.images.groupby("particle_id", observed=True)["source_row"].min()
        first = rows.reindex(particles.particles.index).to_numpy(np.int64)
        if len(particles.images) == len(block):
            return np.asarray(np.argsort(np.argsort(first)), np.int64)
        raise BadInputError(
            f"{particles.source.path}: some of its images are left out, so that its particles "
            "cannot be numbered.",
            remedy="Choose the particles from the whole star file.",
            code="no-numbers",
        )
    rows = particles.images.groupby("particle_id", observed=True)["source_row"].first()
    return rows.reindex(particles.particles.index).to_numpy(np.int64)


def write_array(path: str | Path, values: NDArray[np.generic]) -> None:
    """Write numbers, of any shape, as ``.pkl`` or ``.npy``, for tomoDRGN and cryoDRGN.

    Any version of numpy reads them.
    """
    path = Path(path)
    with written_atomically(path) as temporary, open(temporary, "wb") as stream:
        if path.suffix.lower() == ".npy":
            np.save(stream, values, allow_pickle=False)
            return
        # numpy 2 names a module that numpy 1, which tomoDRGN asks for, does not have. The name
        # stands in front of all data; protocol 2 does not count its letters.
        text = pickle.dumps(values, protocol=2)
        stream.write(text.replace(b"cnumpy._core.", b"cnumpy.core.", 1))


def labels_of(values: pd.Series) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """Turn a column into labels as their tools take them.

    Words that are whole numbers (clusters such as ``03``) are those numbers.

    Returns
    -------
    ``(row,)`` numbers, and for words what each number means.
    """
    if values.dtype.kind in "fiub":
        return values.to_numpy(), ()
    numbers = pd.to_numeric(values.astype(object), errors="coerce")
    if numbers.notna().all() and (numbers == numbers.round()).all():
        return numbers.to_numpy(np.int64), ()
    codes, words = pd.factorize(values.astype(object), sort=True)
    return np.asarray(codes, np.int64), tuple(str(word) for word in words)
