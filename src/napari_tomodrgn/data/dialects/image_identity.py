"""Which particle and which tomogram an image belongs to, where each row is one image.

A particle is a group: ``rlnGroupName``, ``rlnGroupNumber``, ``cisTEMParticleGroup``. The micrograph
is its tomogram where it is the same for all images of a particle. Warp 1 and M, and whoever
flattens RELION's sets, name the *tilt image* there, so that micrograph and group together would
make a particle of every image. The tomogram is then what stands before the last part of the group's
name, if the tilt images are called like it, else the stack. All this is decided group by group, so
that a particle has the same name in a set and in any part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.common import factorize
from napari_tomodrgn.data.dialects.copies import combined_codes
from napari_tomodrgn.data.star_table import StarTable

_MICROGRAPH = "rlnMicrographName"


def image_identity(
    table: StarTable,
    group: str,
    files: Sequence[Path],
    stack: NDArray[np.int64],
    stack_index: NDArray[np.int64],
) -> tuple[pa.Array, pa.Array]:
    """Names of the tomogram and of the particle of each row.

    Parameters
    ----------
    table
        One row an image.
    group
        The column whose values join the images of a particle.
    files, stack, stack_index
        Image files, the place of each row's file among them, and of the image in it.
    """
    names = table.texts(group)
    stems = pc.replace_substring_regex(names, "[/_][^/_]*$", "")
    short = pc.replace_substring_regex(names, "^.*/", "")
    if _MICROGRAPH not in table:
        return stems, short
    micrographs = table.texts(_MICROGRAPH)
    called_like_stem = _names_of_tilts(micrographs, stems)
    codes = factorize(names)[0]
    # In a symmetry-expanded star an image stands in several rows.
    again = pd.Index(combined_codes([codes, stack, stack_index])).duplicated()
    images = np.bincount(codes[~again])
    pairs = _micrographs_of(codes, micrographs)
    # One image alone tells by its name only.
    of_tilts = np.where(images > 1, (pairs > 1) & (images < 2 * pairs), False)
    of_tilts |= (images == 1) & _all_in(codes, called_like_stem)
    by_stem = of_tilts & _all_in(codes, called_like_stem)
    if not of_tilts.any():
        return micrographs, names
    choice = (pa.array(of_tilts[codes]), pa.array(by_stem[codes]))
    other = pc.if_else(choice[1], stems, stack_names(files, stack))
    return pc.if_else(choice[0], other, micrographs), pc.if_else(choice[1], short, names)


def stack_names(files: Sequence[Path], stack: NDArray[np.int64]) -> pa.Array:
    """Name of each row's stack without suffix, ``(row,)``, with its folder's where that is needed.

    ``stack`` ``(row,)`` is the place of each row's file in ``files``.
    """
    stems = [path.stem for path in files]
    if len(set(stems)) < len(set(files)):
        stems = [f"{path.parent.name}_{path.stem}" for path in files]
    return pa.array(stems, pa.large_string()).take(pa.array(stack))


def joins_images(tomograms: pa.Array, groups: pa.Array) -> bool:
    """Whether pairs of these names are particles, not single images."""
    codes = factorize(groups)[0]
    pairs = int(_micrographs_of(codes, tomograms).sum())
    return pairs == len(groups.unique()) or 2 * pairs <= len(groups)


def _micrographs_of(codes: NDArray[np.int64], micrographs: pa.Array) -> NDArray[np.int64]:
    """Number of different micrographs of each group."""
    micrograph, known = factorize(micrographs)
    pairs = np.unique(codes * len(known) + micrograph)
    return np.bincount(pairs // len(known))


def _all_in(codes: NDArray[np.int64], true: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether something is true of all rows of each group."""
    return np.asarray(np.bincount(codes, weights=~true) == 0)


def _names_of_tilts(micrographs: pa.Array, stems: pa.Array) -> NDArray[np.bool_]:
    """Whether the file name of each row goes on after the tomogram's: ``TS_1_03.mrc``, ``TS_1``."""
    own = pc.replace_substring_regex(micrographs, "^.*/", "")
    wanted = pc.replace_substring_regex(stems, "^.*/", "")
    codes, pairs = factorize(
        pc.binary_join_element_wise(own, wanted, pa.scalar("\n", pa.large_string()))
    )
    found = [_goes_on(*pair.split("\n")[:2]) for pair in pairs]
    return np.array(found, np.bool_)[codes]


def _goes_on(name: str, stem: str) -> bool:
    rest = name.removeprefix(stem)
    return name != rest and not rest.startswith(".") and bool(rest)
