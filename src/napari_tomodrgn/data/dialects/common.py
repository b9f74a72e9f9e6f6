"""What all dialects share: the optics table, names of particles, and building the set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from napari_tomodrgn.config import Overrides
from napari_tomodrgn.data.dialects.locate import locate_images
from napari_tomodrgn.data.particles import IMAGE_COLUMNS, PARTICLE_COLUMNS, Optics
from napari_tomodrgn.data.stack import read_header
from napari_tomodrgn.data.star import StarBlocks
from napari_tomodrgn.data.star_table import StarTable, arrow_strings, meant
from napari_tomodrgn.errors import BadInputError

_TOMOGRAMS_STAR = "This is a tomograms star: name the optimisation set or the particles star."


@dataclass(frozen=True, eq=False)
class StarInput:
    """A star file as read, and where its images may be.

    Attributes
    ----------
    path, blocks
        The star that lists particles or images.
    images
        Folder (for cisTEM also the stack) that the user gave.
    named, entries
        The optimisation set that led here, if one did, and what it says.
    overrides
        What the user knows better.
    images_needed
        Whether a stack that is not found is an error.
    used
        Columns that the user gave a meaning and that some table had.
    box_size_px
        Box of the images, for star files that do not say it where the stacks are not there.
    """

    path: Path
    blocks: StarBlocks
    images: Path | None
    named: Path | None = None
    entries: dict[str, str] = field(default_factory=dict)
    overrides: Overrides = field(default_factory=Overrides)
    images_needed: bool = True
    used: set[str] = field(default_factory=set)
    box_size_px: int | None = None

    def table(self, path: Path, block: str, frame: pd.DataFrame) -> StarTable:
        """A loop of any of the set's files, its columns meaning what the user says."""
        columns = self.overrides.columns
        self.used.update(column for column in columns.values() if column in frame)
        return StarTable(path, block, meant(frame, columns))

    def find_images(self, names: Sequence[str]) -> list[Path]:
        """Paths of the image files that the star file calls ``names``."""
        return locate_images(names, self.path, self.images, needed=self.images_needed)

    def box_of(self, files: Sequence[Path]) -> int:
        """Box of these stacks; as known from elsewhere where they need not be there."""
        if not self.images_needed and self.box_size_px and not files[0].exists():
            return self.box_size_px
        return read_header(files[0]).box_size_px

    def column(self, name: str) -> str:
        """The column of the particles' file that has the meaning ``name``."""
        column = self.overrides.columns.get(name, name)
        return column if column in self.used else name

    def loop(self, names: Sequence[str]) -> StarTable | None:
        """The first of these blocks that is there as a loop."""
        for name in names:
            if isinstance(block := self.blocks.get(name), pd.DataFrame):
                return self.table(self.path, name, block)
        return None

    def particle_loop(self) -> StarTable:
        """The loop that lists particles or images; it must have rows."""
        table = self.loop(("particles", ""))
        if table is None:
            raise BadInputError(
                f"{self.path}: no block data_particles (or data_) with a loop; "
                f"found {', '.join(f'data_{name}' for name in self.blocks)}.",
                remedy=_TOMOGRAMS_STAR if "global" in self.blocks else "",
                code="missing-block",
            )
        if not len(table):
            raise BadInputError(
                f"{self.path}: block data_{table.block} has no rows.", code="no-particles"
            )
        return table

    def optics_of(self, particles: StarTable) -> StarTable:
        """Rows of the optics block that are in use, or ``particles`` where there is no such block.

        Raises
        ------
        BadInputError
            If a particle's group is not in the optics block.
        """
        optics = self.loop(("optics",))
        if optics is None:
            return particles
        known, used = optics.texts("rlnOpticsGroup"), particles.texts("rlnOpticsGroup")
        unknown = np.flatnonzero(pc.invert(pc.is_in(used, known)).to_numpy(zero_copy_only=False))
        if unknown.size:
            row = int(unknown[0])
            found = f"is {used[row].as_py()!r}, a group that block data_optics does not have"
            raise particles.problem("rlnOpticsGroup", row, found)
        rows = pc.is_in(known, used).to_numpy(zero_copy_only=False)
        return StarTable(self.path, "optics", optics.frame[rows])


def with_pixel_size(optics: Optics, overrides: Overrides) -> Optics:
    """The optics with the pixel size that the user gave, if so."""
    pixel_size = overrides.pixel_size_angstrom
    return replace(optics, pixel_size_angstrom=pixel_size) if pixel_size else optics


def refuse_hand(source: StarInput) -> None:
    """Raise `BadInputError` if a hand was given for files that have each image's own defocus."""
    if source.overrides.hand is not None:
        raise BadInputError(
            f"{source.path}: has the defocus of each image, so that a hand changes nothing.",
            remedy="Leave --hand out.",
            code="unused-override",
        )


def factorize(texts: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """Codes and different values, in order of first appearance."""
    encoded = texts.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def joined_names(tomograms: pa.Array, names: pa.Array) -> pa.Array:
    """Identities ``"<tomogram>/<particle>"``."""
    return pc.binary_join_element_wise(tomograms, names, pa.scalar("/", pa.large_string()))


def number_lists(table: StarTable, column: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All numbers of a column of lists such as ``[1,0,1]``, and the length of each list.

    Raises
    ------
    BadInputError
        If a value is not a list of finite numbers.
    """
    texts = pc.utf8_trim(table.texts(column), "[]{}() ")
    lengths = pc.add(pc.count_substring(texts, ","), 1).to_numpy(zero_copy_only=False)
    words = texts.to_pylist()
    try:
        flat = np.array(",".join(words).split(","), dtype=np.float64)
        good = bool(np.isfinite(flat).all())
    except ValueError:
        good = False
    if not good:
        row = next((i for i, text in enumerate(words) if not _is_number_list(text)), 0)
        found = f"is {table.frame[column].iloc[row]!r}, not a list of numbers"
        raise table.problem(column, row, found)
    return flat, lengths.astype(np.int64)


def _is_number_list(text: str) -> bool:
    try:
        return bool(np.isfinite(np.array(text.split(","), dtype=np.float64)).all())
    except ValueError:
        return False


def refuse_duplicates(table: StarTable, identities: Sequence[str]) -> None:
    """Raise `BadInputError` if two rows are the same particle."""
    twice = np.flatnonzero(pd.Index(identities).duplicated())
    if twice.size:
        row = int(twice[0])
        first = identities.index(identities[row])
        raise BadInputError(
            f"{table.path}: particle {identities[row]} stands in rows {first + 1} and {row + 1} of "
            f"block data_{table.block} ({twice.size} such rows).",
            remedy="Remove the duplicates.",
            code="duplicate-particle",
        )


def image_table(
    ids: Sequence[str],
    particle: NDArray[np.int64],
    stack_paths: Sequence[Path],
    stack: NDArray[np.int64],
    columns: Mapping[str, ArrayLike],
) -> pd.DataFrame:
    """The table of images from its columns; rows are put together by particle, stably.

    Parameters
    ----------
    ids
        Identities of the particles.
    particle
        Position of each image's particle in ``ids``.
    stack_paths
        Image files.
    stack
        Position of each image's file in ``stack_paths``.
    columns
        The other columns of `IMAGE_COLUMNS`.
    """
    file_codes, files = pd.factorize(np.array([str(path) for path in stack_paths], dtype=object))
    values: dict[str, ArrayLike | pd.Categorical] = {
        **columns,
        "particle_id": pd.Categorical.from_codes(particle, pd.Index(list(ids), dtype="str")),
        "stack": pd.Categorical.from_codes(file_codes[stack], pd.Index(files, dtype="str")),
    }
    table = pd.DataFrame({name: values[name] for name in IMAGE_COLUMNS})
    if (np.diff(particle) < 0).any():
        table = table.iloc[np.argsort(particle, kind="stable")].reset_index(drop=True)
    return table


def particle_table(ids: Sequence[str], columns: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """The table of particles; columns that are not given are NaN."""
    nothing = np.full(len(ids), np.nan)
    return pd.DataFrame(
        {name: columns.get(name, nothing) for name in PARTICLE_COLUMNS},
        index=pd.Index(list(ids), dtype="str", name="particle_id"),
    )


def text_or_none(table: StarTable, column: str) -> pa.Array | None:
    """The column as Arrow strings, or None where the table does not have it."""
    return arrow_strings(table.frame[column]) if column in table else None
