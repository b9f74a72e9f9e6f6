"""What all dialects share: the optics table, names of particles, and building the set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from napari_tomodrgn.config import Overrides
from napari_tomodrgn.data.dialects.locate import locate_images
from napari_tomodrgn.data.dialects.optics_table import OpticsTable
from napari_tomodrgn.data.particles import (
    COPY_OF,
    IMAGE_COLUMNS,
    PARTICLE_COLUMNS,
    Remark,
    StarSource,
)
from napari_tomodrgn.data.stack import read_header
from napari_tomodrgn.data.star import StarBlocks, as_loop
from napari_tomodrgn.data.star_table import StarTable, arrow_strings, meant
from napari_tomodrgn.errors import BadInputError

# Programs write angles from -180 to 180, or from 0 to 360.
_TURN_DEG = 360.001
# No fit comes that near to focus (Å), but a defocus of 0.5 to 10 µm written in µm does.
MICROMETRES = 50.0


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
    asked
        Columns that were looked for in any table, by what they mean.
    box_size_px
        Box of the images, or of those of each pixel size in Å, for star files that do not say it
        where the stacks are not there.
    tables
        All tables that were read on the way.
    remarks
        What there is to say of them.
    """

    path: Path
    blocks: StarBlocks
    images: Path | None
    named: Path | None = None
    entries: dict[str, str] = field(default_factory=dict)
    overrides: Overrides = field(default_factory=Overrides)
    images_needed: bool = True
    used: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    box_size_px: int | Mapping[float, int] | None = None
    tables: list[StarTable] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def table(self, path: Path, block: str, frame: pd.DataFrame) -> StarTable:
        """A loop of any of the set's files, its columns meaning what the user says."""
        columns = self.overrides.columns
        self.used.update(column for column in columns.values() if column in frame)
        table = StarTable(path, block, meant(frame, columns), self.asked)
        self.tables.append(table)
        return table

    def image_star(self, dialect: str, table: StarTable, image_column: str) -> StarSource:
        """What is to be remembered of a star with one row an image, to write rows of it again."""
        return StarSource(
            self.path,
            dialect,
            self.blocks,
            table.block,
            rows_are_images=True,
            overrides=self.overrides,
            image_column=image_column,
        )

    def find_images(self, names: Sequence[str]) -> list[Path]:
        """Paths of the image files that the star file calls ``names``."""
        return locate_images(names, self.path, self.images, needed=self.images_needed)

    def boxes(
        self,
        optics: OpticsTable,
        files: Sequence[Path],
        stack: NDArray[np.int64],
        pixel_size_angstrom: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Box in px of the images of each row, ``(row,)``.

        As the tables say, else that of the first stack of each pixel size; as known from elsewhere
        where the stacks need not be there. ``stack`` ``(row,)`` is the place of each row's file in
        ``files``.
        """
        if "rlnImageSize" in optics.groups or "rlnImageSize" in optics.rows:
            return optics.agreed("rlnImageSize").astype(np.int64)
        boxes = np.zeros(len(stack), np.int64)
        for pixel in np.unique(pixel_size_angstrom).tolist():
            rows = pixel_size_angstrom == pixel
            boxes[rows] = self._box_of(files[stack[np.argmax(rows)]], pixel)
        return boxes

    def _box_of(self, file: Path, pixel: float) -> int:
        """Box of a stack; as known from elsewhere where it need not be there."""
        if self.box_size_px and not self.images_needed and not file.exists():
            if isinstance(self.box_size_px, int):
                return self.box_size_px
            return self.box_size_px[min(self.box_size_px, key=lambda known: abs(known - pixel))]
        return read_header(file).box_size_px

    def pixel_size(self, stated: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixel size in Å of the images of each row, ``(row,)``: as stated, or as the user says."""
        said = self.overrides.pixel_size_angstrom
        return stated if said is None else np.full(len(stated), said)

    def column(self, name: str) -> str:
        """The column of the particles' file that has the meaning ``name``."""
        column = self.overrides.columns.get(name, name)
        return column if column in self.used else name

    def loop(self, names: Sequence[str]) -> StarTable | None:
        """The first of these blocks that is there, as a table."""
        for name in names:
            if name in self.blocks:
                return self.table(self.path, name, as_loop(self.blocks[name]))
        return None

    def particle_loop(self) -> StarTable:
        """The table that lists particles or images; it must have rows."""
        table = self.loop(("particles", ""))
        if table is None:
            raise BadInputError(
                f"{self.path}: no block data_particles (or data_) with a loop; "
                f"found {', '.join(f'data_{name}' for name in self.blocks)}.",
                code="missing-block",
            )
        if not len(table):
            raise BadInputError(
                f"{self.path}: block data_{table.block} has no rows.", code="no-particles"
            )
        return table

    def optics_of(self, rows: StarTable) -> OpticsTable:
        """The optics block beside the rows of particles or images that refer to it.

        Raises
        ------
        BadInputError
            If the group of a row is not in the optics block.
        """
        optics = self.loop(("optics",))
        if optics is None:
            return OpticsTable(rows, rows, np.arange(len(rows)))
        known, used = optics.texts("rlnOpticsGroup"), rows.texts("rlnOpticsGroup")
        place = pc.index_in(used, known).to_numpy(zero_copy_only=False)
        unknown = np.flatnonzero(~np.isfinite(place))
        if unknown.size:
            row = int(unknown[0])
            found = f"is {used[row].as_py()!r}, a group that block data_optics does not have"
            raise rows.problem("rlnOpticsGroup", row, found)
        kept, group = np.unique(place.astype(np.int64), return_inverse=True)
        table = StarTable(self.path, "optics", optics.frame.iloc[kept], self.asked)
        return OpticsTable(table, rows, group)


def refuse_hand(source: StarInput) -> None:
    """Raise `BadInputError` if a hand was given for files that have each image's own defocus."""
    if source.overrides.hand is not None:
        raise BadInputError(
            f"{source.path}: has the defocus of each image, so that a hand changes nothing.",
            remedy="Leave --hand out.",
            code="unused-override",
        )


def factorize(texts: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """Code ``(row,)`` of each text, and the different texts, in order of first appearance."""
    encoded = texts.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def joined_names(tomograms: pa.Array, names: pa.Array) -> pa.Array:
    """Identities ``"<tomogram>/<particle>"``."""
    return pc.binary_join_element_wise(tomograms, names, pa.scalar("/", pa.large_string()))


def number_lists(table: StarTable, column: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read a column of lists such as ``[1,0,1]``.

    Returns
    -------
    All numbers ``(number,)``, one list after the other, and the length of each list ``(row,)``.

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


def defocus_in_micrometres(most_angstrom: float) -> Remark:
    """What is said of defoci that are all so near to focus, read as Å."""
    return Remark(
        "defocus-in-micrometres",
        "error",
        f"All defoci are within {most_angstrom:.3g} Å of focus: they seem to be in µm, not in Å.",
        "Multiply rlnDefocusU and rlnDefocusV by 10,000: star files give them in Å.",
        most_angstrom,
    )


def angle_remarks(angles_deg: NDArray[np.float64]) -> list[Remark]:
    """A remark if Euler angles go beyond a turn, ``(row, 3)`` in degrees."""
    beyond = int((np.abs(angles_deg) > _TURN_DEG).any(axis=1).sum())
    if not beyond:
        return []
    most = float(np.abs(angles_deg).max())
    remedy = (
        "Degrees may have been converted to degrees once more: then divide the angles by "
        f"{180 / np.pi:.4f}; else look at how the star file was written."
    )
    message = f"Angles of {beyond} rows go beyond a turn, up to {most:.0f}°."
    return [Remark("angles-beyond-a-turn", "warning", message, remedy, beyond)]


def refuse_duplicates(table: StarTable, identities: Sequence[str]) -> None:
    """Raise `BadInputError` if two rows are the same particle."""
    twice = np.flatnonzero(pd.Index(identities).duplicated())
    if twice.size:
        row = int(twice[0])
        first = identities.index(identities[row])
        raise BadInputError(
            f"{table.path}: particle {identities[row]} stands in rows {first + 1} and {row + 1} of "
            f"block data_{table.block} ({twice.size} such rows).",
            remedy="Remove the duplicates. (Copies of a symmetry expansion share their images, and "
            "are turned by the same turns in all particles.)",
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
        ``(image,)`` position of each image's particle in ``ids``.
    stack_paths
        Image files.
    stack
        ``(image,)`` position of each image's file in ``stack_paths``.
    columns
        The other columns of `IMAGE_COLUMNS`, ``(image,)``.
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


def particle_table(
    ids: Sequence[str], columns: Mapping[str, ArrayLike], originals: pa.Array | None = None
) -> pd.DataFrame:
    """The table of particles, NaN where not given; ``originals`` are those that copies are of."""
    nothing = np.full(len(ids), np.nan)
    copies = {} if originals is None else {COPY_OF: pd.Categorical(originals.to_pylist())}
    return pd.DataFrame(
        {**{name: columns.get(name, nothing) for name in PARTICLE_COLUMNS}, **copies},
        index=pd.Index(list(ids), dtype="str", name="particle_id"),
    )


def text_or_none(table: StarTable, column: str) -> pa.Array | None:
    """The column as Arrow strings, or None where the table does not have it."""
    return arrow_strings(table.frame[column]) if column in table else None
