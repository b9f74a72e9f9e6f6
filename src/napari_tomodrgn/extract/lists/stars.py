"""Lists in star files: STOPGAP, RELION 3 to 5, Warp, pytom-match-pick, cryoSPARC exports."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.locate import locate_star
from napari_tomodrgn.data.dialects.optimisation_set import PARTICLES_FILE, entries_of
from napari_tomodrgn.data.dialects.tilt_expansion import is_tomostar
from napari_tomodrgn.data.star import StarBlocks, read_star, star_texts
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.lists.common import (
    FloatArray,
    ParticleList,
    SubsetWriter,
    Unit,
    whole_names,
    zxz_rotations,
)
from napari_tomodrgn.geometry import euler_to_matrix

_STOPGAP = ("tomo_num", "orig_x", "orig_y", "orig_z", "phi", "psi", "the")
_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_CENTRED = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
_COUNTED = tuple(f"rlnCoordinate{axis}" for axis in "XYZ")
_ORIGINS = tuple(f"rlnOrigin{axis}Angst" for axis in "XYZ")
_ORIGINS_PX = tuple(f"rlnOrigin{axis}" for axis in "XYZ")
_SUBTOMOGRAM = tuple(f"rlnTomoSubtomogram{name}" for name in ("Rot", "Tilt", "Psi"))
_TOMOGRAM = ("rlnTomoName", "rlnMicrographName")
_EXTRACTED_PIXEL = "rlnImagePixelSize"
_UID = re.compile(r"^\d{18,21}_(?=.)")


def read_star_list(path: Path) -> ParticleList:
    """Read a list in a star file, whichever package wrote it.

    Raises
    ------
    BadInputError
        If it is damaged, or has no columns that say where particles are.
    """
    blocks = read_star(path)
    named = entries_of(blocks).get(PARTICLES_FILE)
    if named:
        found = locate_star(named, path)
        if found is None:
            raise BadInputError(f"{path}: {PARTICLES_FILE} {named} was not found.", code="no-file")
        path, blocks = found, read_star(found)
    table = _loop(path, blocks)
    if all(name in table for name in _STOPGAP):
        return _stopgap(table, blocks)
    return _relion(table, blocks)


def _loop(path: Path, blocks: StarBlocks) -> StarTable:
    """The loop that lists particles: the longest that has places."""
    loops = {
        name: block
        for name, block in blocks.items()
        if isinstance(block, pd.DataFrame)
        and (_STOPGAP[1] in block or _CENTRED[0] in block or _COUNTED[0] in block)
    }
    if not loops:
        raise BadInputError(
            f"{path}: no loop with orig_x, {_COUNTED[0]} or {_CENTRED[0]}; found "
            f"{', '.join(f'data_{name}' for name in blocks)}.",
            remedy="Name the file that lists particles.",
            code="not-a-list",
        )
    name = max(loops, key=lambda key: len(loops[key]))
    return StarTable(path, name, loops[name])


def _stopgap(table: StarTable, blocks: StarBlocks) -> ParticleList:
    """``orig`` + ``shift`` in voxels from 1; phi, psi, the as `zxz_rotations` takes them."""
    shifts = table.vectors(("x_shift", "y_shift", "z_shift"), 0.0)
    name = "subtomo_num" if "subtomo_num" in table else "motl_idx"
    return ParticleList(
        path=table.path,
        format="stopgap",
        tomogram=whole_names(table.path, table.numbers("tomo_num"), "tomo_num"),
        particle=whole_names(table.path, table.numbers(name), name),
        coordinates=table.vectors(("orig_x", "orig_y", "orig_z")) + shifts,
        unit="voxels",
        rotations=zxz_rotations(table.numbers("phi"), table.numbers("the"), table.numbers("psi")),
        subset=_star_subset(table, blocks),
        origin=1,
    )


def _relion(table: StarTable, blocks: StarBlocks) -> ParticleList:
    tomogram = next((name for name in _TOMOGRAM if name in table), None)
    if tomogram is None:
        table.require(_TOMOGRAM[:1])
    assert tomogram is not None
    table.require(_ANGLES)
    optics = _optics_of(table, blocks)
    subtomogram = table.vectors(_SUBTOMOGRAM, 0.0)
    rotations = euler_to_matrix(table.vectors(_ANGLES))
    if subtomogram.any():
        rotations = euler_to_matrix(subtomogram) @ rotations
    names = [_stem(str(name)) for name in table.texts(tomogram).to_pylist()]
    unit = _unit(table, optics)
    coordinates = table.vectors(_CENTRED if unit == "centred_angstrom" else _COUNTED)
    pixel = 1.0 if unit == "centred_angstrom" else _series_pixel(optics)
    if unit == "corner_angstrom":
        coordinates, pixel = coordinates * optics.positive(_EXTRACTED_PIXEL), 1.0
    moved = _origins_angstrom(table, optics)
    if moved is not None and moved.any():
        if pixel is None:
            raise BadInputError(
                f"{table.path}: has rlnOrigin in Å, but no pixel size to take them to voxels.",
                remedy="Give rlnTomoTiltSeriesPixelSize or rlnDetectorPixelSize.",
                code="no-pixel-size",
            )
        turned = moved
        if subtomogram.any():
            turned = np.einsum("nij,nj->ni", euler_to_matrix(subtomogram), moved)
        coordinates = coordinates - turned / pixel
    return ParticleList(
        path=table.path,
        format="relion",
        tomogram=tuple(names),
        particle=_particle_names(table, names),
        coordinates=coordinates,
        unit=unit,
        rotations=rotations,
        subset=_star_subset(table, blocks),
        origin=0 if unit == "series_px" else None,
        voxel_size_angstrom=None if unit != "voxels" else pixel,
    )


def _unit(table: StarTable, optics: StarTable) -> Unit:
    """What places count: WarpTools pixels of the 3-D images, RELION 4 those of the tilt series.

    Older versions, Warp 1 and pytom-match-pick count voxels of a binned tomogram.
    """
    if _CENTRED[0] in table:
        return "centred_angstrom"
    if _TOMOGRAM[0] not in table:
        return "voxels"
    names = table.texts(_TOMOGRAM[0]).to_pylist()
    of_images = _EXTRACTED_PIXEL in optics and any(is_tomostar(str(name)) for name in names)
    return "corner_angstrom" if of_images else "series_px"


def _optics_of(table: StarTable, blocks: StarBlocks) -> StarTable:
    optics = blocks.get("optics")
    return StarTable(table.path, "optics", optics) if isinstance(optics, pd.DataFrame) else table


def _series_pixel(optics: StarTable) -> float | None:
    for name in ("rlnTomoTiltSeriesPixelSize", "rlnPixelSize"):
        if name in optics:
            return optics.positive(name)
    if "rlnDetectorPixelSize" in optics:
        magnification = optics.constant("rlnMagnification", 10_000.0)
        return optics.positive("rlnDetectorPixelSize") * 1e4 / max(magnification, 1e-6)
    return None


def _origins_angstrom(table: StarTable, optics: StarTable) -> FloatArray | None:
    """Refined shifts of the particles; RELION's origins are subtracted from the place."""
    if _ORIGINS[0] in table:
        return table.vectors(_ORIGINS)
    if _ORIGINS_PX[0] in table and _ORIGINS_PX[2] in table:
        pixel = _series_pixel(optics)
        return table.vectors(_ORIGINS_PX) * (1.0 if pixel is None else pixel)
    return None


def _particle_names(table: StarTable, tomograms: list[str]) -> tuple[str, ...]:
    """Names that the list gives, else the number of the row within its tomogram."""
    if "rlnTomoParticleName" in table:
        return tuple(
            str(name).rpartition("/")[2] for name in table.texts("rlnTomoParticleName").to_pylist()
        )
    if "rlnTomoParticleId" in table:
        return tuple(str(name) for name in table.texts("rlnTomoParticleId").to_pylist())
    return numbered(tomograms)


def numbered(tomograms: list[str]) -> tuple[str, ...]:
    """Names for particles that have none: 1, 2, … within each tomogram."""
    counts: dict[str, int] = {}
    names = []
    for tomogram in tomograms:
        counts[tomogram] = counts.get(tomogram, 0) + 1
        names.append(str(counts[tomogram]))
    return tuple(names)


def _stem(name: str) -> str:
    """A tomogram's name without folder, cryoSPARC's number before it, and the ending of a file."""
    base = _UID.sub("", name.rpartition("/")[2])
    for end in (".tomostar", ".mrc", ".rec", ".st", ".mrcs"):
        base = base.removesuffix(end)
    return base


def _star_subset(table: StarTable, blocks: StarBlocks) -> SubsetWriter:
    def subset(chosen: NDArray[np.int64]) -> bytes:
        kept = StarBlocks({**blocks, table.block: table.frame.iloc[chosen]})
        kept.comments = blocks.comments
        return "".join(star_texts(kept)).encode()

    return subset
