"""WarpTools optimisation sets with 2-D stacks, as exported or after refinement in RELION 5.

One row per particle; the geometry, defocus and dose of each tilt stand in the tomograms star. Here
both are multiplied out to one row per visible tilt of each particle, each with the values of its
own tilt. An image's rotation is that of the tilt after that of the particle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.common import (
    StarInput,
    factorize,
    image_table,
    joined_names,
    particle_table,
    refuse_duplicates,
    text_or_none,
)
from napari_tomodrgn.data.dialects.locate import locate_images, locate_star
from napari_tomodrgn.data.dialects.tilts import Tilts, read_tomograms, visible_frames
from napari_tomodrgn.data.particles import Optics, ParticleSet, StarSource, TomogramGeometry
from napari_tomodrgn.data.stack import read_header
from napari_tomodrgn.data.star import StarBlocks, read_star
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import euler_to_matrix, matrix_to_euler

PARTICLE_COLUMNS = (
    "rlnTomoName",
    "rlnImageName",
    "rlnAngleRot",
    "rlnAngleTilt",
    "rlnAnglePsi",
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnCoordinateZ",
)
PARTICLES_FILE, TOMOGRAMS_FILE = "rlnTomoParticlesFile", "rlnTomoTomogramsFile"


def is_optimisation_set(blocks: StarBlocks) -> bool:
    """Whether the file points to a particles star and a tomograms star."""
    return PARTICLES_FILE in _entries(blocks)


def read_warptools(source: StarInput) -> ParticleSet:
    """Read an optimisation set, or a particles star with its tomograms star beside it."""
    entries = _entries(source.blocks)
    if PARTICLES_FILE in entries:
        path = _named_star(source.path, entries, PARTICLES_FILE)
        tomograms_path = _named_star(source.path, entries, TOMOGRAMS_FILE)
        particles = StarInput(path, read_star(path), source.images)
    else:
        particles = source
        particles.particle_loop().require(PARTICLE_COLUMNS)
        tomograms_path = _tomograms_beside(source.path)
    expansion = _expand(particles, tomograms_path)
    star = StarSource(
        path=source.path,
        dialect="warptools",
        blocks=particles.blocks,
        particle_block=expansion.table.block,
        rows_are_images=False,
        tomogram_blocks=expansion.tomogram_blocks,
        tomograms=tuple(expansion.geometry),
        optimisation_set=entries,
    )
    return _particle_set(particles, expansion, star)


@dataclass(frozen=True, eq=False)
class _Expansion:
    """Particles crossed with the tilts of their tomograms; the last four arrays are per image."""

    table: StarTable
    optics: Optics
    tomogram_blocks: StarBlocks
    geometry: list[TomogramGeometry]
    series_pixel_angstrom: NDArray[np.float64]  # of each tomogram
    tilts: Tilts
    tomogram: NDArray[np.int64]  # of each particle
    particle: NDArray[np.int64]
    tilt_index: NDArray[np.int64]
    tilt_row: NDArray[np.int64]
    nth_visible: NDArray[np.int64]


def _expand(source: StarInput, tomograms_path: Path) -> _Expansion:
    table = source.particle_loop()
    table.require(PARTICLE_COLUMNS)
    _refuse_other_layouts(source, table)
    tomogram, names = factorize(table.texts("rlnTomoName"))
    blocks = read_star(tomograms_path)
    tilts, geometry, series_pixel = read_tomograms(tomograms_path, blocks, names)
    per_particle = tilts.count[tomogram]
    particle = np.repeat(np.arange(len(table)), per_particle)
    begins = np.cumsum(per_particle) - per_particle
    tilt_index = np.arange(len(particle)) - begins[particle]
    visible = visible_frames(table, per_particle)
    nth_visible = np.cumsum(visible) - 1
    nth_visible -= np.concatenate([[0], np.cumsum(visible)])[begins][particle]
    return _Expansion(
        table=table,
        optics=_optics(source, table),
        tomogram_blocks=blocks,
        geometry=geometry,
        series_pixel_angstrom=series_pixel,
        tilts=tilts,
        tomogram=tomogram,
        particle=particle[visible],
        tilt_index=tilt_index[visible],
        tilt_row=(tilts.first[tomogram][particle] + tilt_index)[visible],
        nth_visible=nth_visible[visible],
    )


def _particle_set(source: StarInput, expansion: _Expansion, star: StarSource) -> ParticleSet:
    table, tilts = expansion.table, expansion.tilts
    files, stack = _image_files(source, table)
    names = _particle_names(table)
    ids = joined_names(table.texts("rlnTomoName"), names).to_pylist()
    refuse_duplicates(table, ids)
    positions = _positions(expansion)
    optics = _with_box(expansion.optics, files)
    depth = _depth(expansion, positions)
    row = expansion.tilt_row
    images = image_table(
        ids,
        expansion.particle,
        files,
        stack[expansion.particle],
        {
            "tilt_index": expansion.tilt_index,
            "stack_index": _stack_index(expansion, files, stack),
            "source_row": expansion.particle,
            **_poses(expansion, optics.pixel_size_angstrom),
            "defocus_u_angstrom": tilts.defocus_u_angstrom[row] + depth,
            "defocus_v_angstrom": tilts.defocus_v_angstrom[row] + depth,
            "defocus_angle_deg": tilts.defocus_angle_deg[row],
            "phase_shift_deg": tilts.phase_shift_deg[row],
            "dose_e_per_angstrom2": tilts.dose_e_per_angstrom2[row],
            "stage_tilt_deg": tilts.stage_tilt_deg[row],
        },
    )
    counts = np.bincount(expansion.particle, minlength=len(ids))
    particles = particle_table(
        ids,
        {
            "tomogram": table.texts("rlnTomoName").to_pylist(),
            "particle": names.to_pylist(),
            **{f"position_{axis}_angstrom": positions[:, i] for i, axis in enumerate("xyz")},
            "rot_deg": table.numbers("rlnAngleRot"),
            "tilt_deg": table.numbers("rlnAngleTilt"),
            "psi_deg": table.numbers("rlnAnglePsi"),
            "tilts": counts,
        },
    )
    everything = ParticleSet(images, particles, optics, star)
    return everything if counts.all() else everything.take(counts > 0)


def _poses(expansion: _Expansion, pixel_size: float) -> dict[str, NDArray[np.float64]]:
    """Rotation and shift of each image: the tilt applied to those of its particle."""
    table = expansion.table
    angles = np.stack([table.numbers(f"rlnAngle{name}") for name in ("Rot", "Tilt", "Psi")], axis=1)
    projections = expansion.tilts.projections[expansion.tilt_row]
    rotations = projections @ euler_to_matrix(angles)[expansion.particle]
    origins = _origins(table)[expansion.particle] / pixel_size
    shifts = np.einsum("nij,nj->ni", projections[:, :2], origins)
    rot, tilt, psi = matrix_to_euler(rotations).T
    return {
        "rot_deg": rot,
        "tilt_deg": tilt,
        "psi_deg": psi,
        "shift_x_px": shifts[:, 0],
        "shift_y_px": shifts[:, 1],
    }


def _origins(table: StarTable) -> NDArray[np.float64]:
    """Refined 3-D shifts in Å, in the axes of the tomogram."""
    return np.stack([table.numbers(f"rlnOrigin{axis}Angst", 0.0) for axis in "XYZ"], axis=1)


def _positions(expansion: _Expansion) -> NDArray[np.float64]:
    """Centres of the particles in Å from the corner of the tomogram, xyz.

    WarpTools counts coordinates in pixels of the extracted images, RELION in pixels of the tilt
    series. Nothing in the file says which, so the extent of the tomogram has to decide.
    """
    table = expansion.table
    counted = np.stack([table.numbers(f"rlnCoordinate{axis}") for axis in "XYZ"], axis=1)
    extent = np.array([known.extent_xyz_angstrom for known in expansion.geometry], np.float64)
    extracted = counted * expansion.optics.pixel_size_angstrom
    series = counted * expansion.series_pixel_angstrom[expansion.tomogram][:, None]
    outside = (extracted > extent[expansion.tomogram]).any(axis=1)
    # A particle at the edge must not decide for all.
    coordinates = series if outside.mean() > 0.5 else extracted
    return coordinates - _origins(table)


def _depth(expansion: _Expansion, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height in Å of each image's particle above the centre of its tilted tomogram."""
    extent = np.array([known.extent_xyz_angstrom for known in expansion.geometry], np.float64)
    hand = np.array([known.hand for known in expansion.geometry])[expansion.tomogram]
    centred = positions - extent[expansion.tomogram] / 2.0
    # The other hand is a stage that tilts the other way: z and the tilted z are both reversed.
    sign = np.where(hand == -1.0, 1.0, -1.0)
    centred[:, 2] *= sign
    axis = expansion.tilts.projections[expansion.tilt_row, 2]
    tilted = np.einsum("nj,nj->n", axis, centred[expansion.particle])
    return np.asarray(tilted * sign[expansion.particle])


def _stack_index(
    expansion: _Expansion, files: list[Path], stack: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Image in the stack: WarpTools writes all frames of the series, RELION the visible ones."""
    total = expansion.tilts.count[expansion.tomogram]
    visible = np.bincount(expansion.particle, minlength=len(total))
    sections = total.copy()
    for row in np.flatnonzero((visible < total) & (visible > 0)).tolist():
        sections[row] = read_header(files[stack[row]]).count
    wrong = np.flatnonzero((sections != total) & (sections != visible) & (visible > 0))
    if wrong.size:
        first = int(wrong[0])
        raise BadInputError(
            f"{files[stack[first]]}: the stack has {sections[first]} images, but the tilt series "
            f"has {total[first]} frames, {visible[first]} of them visible ({wrong.size} such).",
            remedy="Extract the images again, or pass the star file that belongs to them.",
            code="short-stack",
        )
    only_visible = (sections == visible)[expansion.particle]
    return np.where(only_visible, expansion.nth_visible, expansion.tilt_index)


def _image_files(source: StarInput, table: StarTable) -> tuple[list[Path], NDArray[np.int64]]:
    texts = table.texts("rlnImageName")
    numbered = np.flatnonzero(pc.match_substring(texts, "@").to_numpy(zero_copy_only=False))
    if numbered.size:
        found = "refers to one image of a stack (@), but each particle needs a stack of its own"
        raise table.problem("rlnImageName", int(numbered[0]), found)
    stack, names = factorize(texts)
    return locate_images(names, source.path, source.images), stack


def _particle_names(table: StarTable) -> pa.Array:
    """Name within the tomogram: what follows the last ``/`` of the name, else the id."""
    names = text_or_none(table, "rlnTomoParticleName")
    if names is not None:
        return pc.replace_substring_regex(names, "^.*/", "")
    return table.texts("rlnTomoParticleId")


def _optics(source: StarInput, table: StarTable) -> Optics:
    optics = source.optics_of(table)
    return Optics(
        pixel_size_angstrom=optics.positive("rlnImagePixelSize"),
        voltage_kv=optics.positive("rlnVoltage"),
        spherical_aberration_mm=optics.constant("rlnSphericalAberration"),
        amplitude_contrast=optics.constant("rlnAmplitudeContrast"),
        box_size_px=int(optics.constant("rlnImageSize", 0.0)),
        ctf_premultiplied=bool(optics.constant("rlnCtfDataAreCtfPremultiplied", 0.0)),
        dose_weighted=True,  # WarpTools and RELION weight by exposure when they extract
    )


def _with_box(optics: Optics, files: list[Path]) -> Optics:
    if optics.box_size_px:
        return optics
    return replace(optics, box_size_px=read_header(files[0]).box_size_px)


def _refuse_other_layouts(source: StarInput, table: StarTable) -> None:
    general = source.blocks.get("general")
    if isinstance(general, dict) and general.get("rlnTomoSubTomosAre2DStacks", "1") == "0":
        raise BadInputError(
            f"{source.path}: the particles are 3-D subtomograms (rlnTomoSubTomosAre2DStacks 0).",
            remedy="Export them as 2-D stacks.",
            code="unsupported-dialect",
        )
    columns = [f"rlnTomoSubtomogram{name}" for name in ("Rot", "Tilt", "Psi")]
    if any(name in table and table.numbers(name).any() for name in columns):
        raise BadInputError(
            f"{source.path}: the particles have subtomogram angles ({columns[0]} ...), "
            "which are not combined with their own yet.",
            remedy="Extract the particles again without subtomogram angles.",
            code="unsupported-dialect",
        )


def _entries(blocks: StarBlocks) -> dict[str, str]:
    """The key/value pairs of an optimisation set (empty for other files)."""
    for block in blocks.values():
        if isinstance(block, dict) and PARTICLES_FILE in block:
            return block
    return {}


def _named_star(path: Path, entries: dict[str, str], key: str) -> Path:
    if key not in entries:
        raise BadInputError(f"{path}: the optimisation set has no {key}.", code="missing-column")
    found = locate_star(entries[key], path)
    if found is None:
        raise BadInputError(
            f"{path}: {key} {entries[key]} was not found.",
            remedy="Keep the optimisation set, the particles and the tomograms star together.",
            code="no-file",
        )
    return found


def _tomograms_beside(path: Path) -> Path:
    """The tomograms star that belongs to a particles star, by its name or by a set that says so."""
    beside = path.with_name(f"{path.stem}_tomograms.star")
    if beside.is_file():
        return beside
    for candidate in sorted(path.absolute().parent.glob("*optimisation_set*.star")):
        entries = _entries(read_star(candidate))
        if Path(entries.get(PARTICLES_FILE, "")).name == path.name:
            return _named_star(candidate, entries, TOMOGRAMS_FILE)
    alone = sorted(path.absolute().parent.glob("*tomograms.star"))
    if len(alone) == 1:
        return alone[0]
    raise BadInputError(
        f"{path}: the tomograms star with the tilt geometry was not found beside it.",
        remedy=f"Pass the optimisation set, or put {beside.name} beside the particles star.",
        code="missing-tomograms",
    )


def has_particle_columns(blocks: StarBlocks) -> bool:
    """Whether the file lists particles as WarpTools does."""
    frame = blocks.get("particles")
    return isinstance(frame, pd.DataFrame) and set(PARTICLE_COLUMNS) <= set(frame.columns)
