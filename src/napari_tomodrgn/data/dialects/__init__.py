"""Star dialects: whichever program wrote the particles, one `ParticleSet` comes out.

Each dialect is recognised by the blocks and columns that it needs. Further columns, and any order
of them, are welcome and survive a round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tomodrgn.config import Overrides
from napari_tomodrgn.data.dialects.cistem import CISTEM_COLUMNS, read_cistem
from napari_tomodrgn.data.dialects.common import StarInput
from napari_tomodrgn.data.dialects.foreign import (
    foreign_star,
    refuse_other_files,
    volumes_error,
)
from napari_tomodrgn.data.dialects.formation_columns import (
    FORMATION_COLUMNS,
    formation_remarks,
    twice_said,
)
from napari_tomodrgn.data.dialects.optimisation_set import resolve_optimisation_set
from napari_tomodrgn.data.dialects.per_image_rows import (
    CRYOSRPNT_COLUMNS,
    FLATTENED_COLUMNS,
    NEXTPYP_COLUMNS,
    TOMODRGN_COLUMNS,
    WARP_COLUMNS,
    is_nextpyp,
    read_cryosrpnt,
    read_flattened,
    read_nextpyp,
    read_tomodrgn,
    read_warp,
)
from napari_tomodrgn.data.dialects.relion import (
    RELION4_COLUMNS,
    RELION5_COLUMNS,
    read_relion4,
    read_relion5,
)
from napari_tomodrgn.data.dialects.subset_writer import write_subset
from napari_tomodrgn.data.dialects.warptools import (
    PARTICLE_COLUMNS,
    is_warptools,
    read_relion_matrices,
    read_warptools,
)
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import StarBlocks, as_loop, read_star
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DIALECTS", "read_particles", "recognise", "write_subset"]


@dataclass(frozen=True)
class Dialect:
    """A kind of star file: the columns that tell it, and how it is read.

    ``fits`` decides where other programs write the same columns.
    """

    columns: tuple[str, ...]
    read: Callable[[StarInput], ParticleSet]
    fits: Callable[[StarTable], bool] = lambda _: True


# In order of preference: the first whose columns are all there.
DIALECTS: dict[str, Dialect] = {
    "relion5": Dialect(RELION5_COLUMNS, read_relion5),
    "relion4": Dialect(RELION4_COLUMNS, read_relion4),
    "warptools": Dialect(PARTICLE_COLUMNS, read_warptools, is_warptools),
    "relion-matrices": Dialect(PARTICLE_COLUMNS, read_relion_matrices),
    "tomodrgn": Dialect(TOMODRGN_COLUMNS, read_tomodrgn),
    "nextpyp": Dialect(NEXTPYP_COLUMNS, read_nextpyp, is_nextpyp),
    "warp": Dialect(WARP_COLUMNS, read_warp),
    "cryosrpnt": Dialect(CRYOSRPNT_COLUMNS, read_cryosrpnt),
    "relion5-images": Dialect(FLATTENED_COLUMNS, read_flattened),
    "cistem": Dialect(CISTEM_COLUMNS, read_cistem),
}


def read_particles(
    source: str | Path,
    *,
    images: str | Path | None = None,
    dialect: str | None = None,
    overrides: Overrides | None = None,
    images_needed: bool = True,
    box_size_px: int | Mapping[float, int] | None = None,
) -> ParticleSet:
    """Read particles and their tilt images from a star file.

    Parameters
    ----------
    source
        Star file: an optimisation set, or the star that lists particles or images.
    images
        Folder of the image stacks; by default they are looked for where the star file says and
        then around it. For a cisTEM star that does not name its stack, the stack itself is welcome.
    dialect
        Name in `DIALECTS`; by default recognised by the columns.
    overrides
        What you know better than the star file: pixel size, hand, dose, meaning of columns.
    images_needed
        False to take a set whose stacks are not found, with the paths as the star file has them:
        poses, places and doses are known all the same. Where the stacks have to say something that
        the star file does not (box size, hidden tilts) it is an error nevertheless.
    box_size_px
        Box of stacks that are not found, or of those of each pixel size in Å, where it is known
        from elsewhere.

    Raises
    ------
    BadInputError
        If something is missing or wrong, in one sentence that says what and where.
    """
    path = Path(source)
    if dialect is not None and dialect not in DIALECTS:
        raise BadInputError(
            f"No dialect is called {dialect!r}; known are {', '.join(DIALECTS)}.",
            code="unknown-dialect",
        )
    refuse_other_files(path)
    named = StarInput(
        path,
        read_star(path),
        Path(images) if images else None,
        overrides=overrides or Overrides(),
        images_needed=images_needed,
        box_size_px=box_size_px,
    )
    listing = resolve_optimisation_set(named)
    known = DIALECTS[dialect or _recognised(listing)]
    particles = known.read(listing)
    _refuse_unused_columns(listing, known)
    _refuse_one_image_each(particles)
    said = (*formation_remarks(listing.tables), *twice_said(listing.tables))
    remarks = (*listing.remarks, *said)
    return replace(particles, source=replace(particles.source, remarks=remarks))


def _refuse_one_image_each(particles: ParticleSet) -> None:
    """Raise `BadInputError` if no particle has more than one image: it cannot be a tilt series."""
    if len(particles) < 2 or (particles.particles["tilts"] > 1).any():
        return
    raise BadInputError(
        f"{particles.source.path}: all {len(particles)} particles have one image only, so this is "
        "no tilt series, or the column that joins the images of a particle does not "
        "(rlnGroupName, rlnGroupNumber or cisTEMParticleGroup).",
        remedy="Give all tilt images of a particle the same group; --column rlnGroupName=COLUMN "
        "names another column for it.",
        code="one-image-each",
    )


def _refuse_unused_columns(source: StarInput, dialect: Dialect) -> None:
    """Raise `BadInputError` if a column that the user gave a meaning is in none of the tables.

    Likewise if nothing was looked for that has the meaning.
    """
    told = {name for name, one in FORMATION_COLUMNS.items() if one.action == "told"}
    meanings = source.asked | told | set(dialect.columns)
    for name, column in source.overrides.columns.items():
        if column not in source.used:
            raise BadInputError(
                f"{source.path}: no table has a column {column}, to be read as {name}.",
                remedy="Leave it out, or look for its name in the star file.",
                code="unused-override",
            )
        if name not in meanings:
            nearest = get_close_matches(name, sorted(meanings), 3, 0.0)
            raise BadInputError(
                f"{source.path}: {column} is to be read as {name}, but no column of that name is "
                "read from such a file.",
                remedy=f"The nearest of those that are: {', '.join(nearest)}.",
                code="unused-override",
            )


def recognise(path: Path, blocks: StarBlocks) -> str:
    """Name of the dialect of a star file, or of the particles that an optimisation set names.

    Raises
    ------
    BadInputError
        If no dialect fits; names the columns that the nearest one misses.
    """
    return _recognised(resolve_optimisation_set(StarInput(path, blocks, None)))


def _recognised(source: StarInput) -> str:
    listed = [source.blocks[name] for name in ("particles", "") if name in source.blocks]
    columns = {
        str(name) for block in listed[:1] or source.blocks.values() for name in as_loop(block)
    }
    columns |= {name for name, column in source.overrides.columns.items() if column in columns}
    if error := foreign_star(source.path, source.blocks, columns):
        raise error
    table = source.particle_loop()
    missing = {
        name: [column for column in dialect.columns if column not in table.frame]
        for name, dialect in DIALECTS.items()
    }
    for name, lacking in missing.items():
        if not lacking and DIALECTS[name].fits(table):
            return name
    _refuse_images_of_another_kind(table)
    nearest = min(missing, key=lambda name: len(missing[name]) / len(DIALECTS[name].columns))
    raise BadInputError(
        f"{source.path}: block data_{table.block} is of no kind that is read here "
        f"({', '.join(DIALECTS)}); to be {nearest}, the nearest, it lacks "
        f"{', '.join(missing[nearest])}; found {_some(table.frame)}.",
        code="missing-column",
    )


def _refuse_images_of_another_kind(table: StarTable) -> None:
    """Raise `BadInputError` where images are 3-D subtomograms, or those of single particles."""
    if "rlnImageName" not in table:
        return
    numbered = "@" in table.texts("rlnImageName")[0].as_py()
    if "rlnCtfImage" in table and not numbered:
        raise volumes_error(table.path, "rlnCtfImage beside each image, RELION 3 and Warp --3d")
    if numbered and not {"rlnGroupName", "rlnGroupNumber", "rlnTomoName"} & set(table.frame):
        raise BadInputError(
            f"{table.path}: this is a single-particle set: no column (rlnGroupName, "
            "rlnGroupNumber) says which images are tilts of one particle.",
            remedy="Name the star of a tilt series, exported with one group a particle.",
            code="no-particle-groups",
        )


def _some(frame: pd.DataFrame, most: int = 12) -> str:
    names = list(frame.columns)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")
