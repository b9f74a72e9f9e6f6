"""Particles crossed with the tilts of their tomograms: one row per visible tilt of each particle.

WarpTools and RELION keep one row per particle; the geometry, defocus and dose of each tilt stand in
the tomograms star. Here both are multiplied out, each image with the values of its own tilt. An
image's rotation is that of the tilt after that of the particle, and the particle's that of its
subtomogram after its own (``rlnTomoSubtomogramRot`` ...; none counts as no rotation)::

    R_image     = P_tilt · A_subtomogram · A_particle
    shift_image = (P_tilt · A_subtomogram · origin)[x, y] / pixel size
    position    = centre of the box − A_subtomogram · origin

The height of a particle along the beam, ``(P_tilt · (position − middle))[z]``, is known up to its
sign: projections are the same for the specimen and for its mirror image in z tilted the other way,
and the height of the one is minus that of the other. ``rlnTomoHand`` says which of them the files
describe, so it is a factor of the whole height. WarpTools and RELION count it the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.common import (
    StarInput,
    angle_remarks,
    factorize,
    image_table,
    particle_table,
    refuse_duplicates,
    text_or_none,
)
from napari_tomodrgn.data.dialects.copies import tell_copies
from napari_tomodrgn.data.dialects.foreign import volumes_error
from napari_tomodrgn.data.dialects.optics_table import BEAM_COLUMNS, OpticsTable
from napari_tomodrgn.data.dialects.optimisation_set import tomograms_star
from napari_tomodrgn.data.dialects.tilts import Tilts, read_tomograms, visible_frames
from napari_tomodrgn.data.optics import Optics
from napari_tomodrgn.data.particles import ParticleSet, StarSource, TomogramGeometry
from napari_tomodrgn.data.stack import read_header
from napari_tomodrgn.data.star import StarBlocks, as_list, read_star
from napari_tomodrgn.data.star_table import Quantity, StarTable
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import FloatArray, euler_to_matrix, matrix_to_euler

POSE_COLUMNS = ("rlnTomoName", "rlnImageName", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
SUBTOMOGRAM_COLUMNS = tuple(f"rlnTomoSubtomogram{name}" for name in ("Rot", "Tilt", "Psi"))


@dataclass(frozen=True)
class SetLayout:
    """What differs between the programs that write one row per particle.

    Attributes
    ----------
    name
        Name of the dialect.
    columns
        What the particles' loop must have.
    box_centres
        Places in Å from the tomogram's corner, xyz, that the boxes were cut out around.
    depth_sign
        What ``rlnTomoHand`` is multiplied with to give the factor of a particle's projected
        height in its defocus; None where the names of the tomograms say whose they are.
    """

    name: str
    columns: tuple[str, ...]
    box_centres: Callable[[Expansion], FloatArray]
    depth_sign: float | None = None


@dataclass(frozen=True, eq=False)
class Expansion:
    """Particles crossed with the tilts of their tomograms; the last four arrays are per image."""

    table: StarTable
    optics: OpticsTable
    stated_pixel_angstrom: FloatArray  # of the images of each particle
    tomogram_blocks: StarBlocks
    geometry: list[TomogramGeometry]
    series_pixel_angstrom: FloatArray  # of each tomogram
    tilts: Tilts
    tomogram: NDArray[np.int64]  # of each particle
    particle: NDArray[np.int64]
    tilt_index: NDArray[np.int64]
    tilt_row: NDArray[np.int64]
    nth_visible: NDArray[np.int64]

    @property
    def extents_angstrom(self) -> FloatArray:
        """Size of each particle's tomogram, xyz."""
        extents = np.array([known.extent_xyz_angstrom for known in self.geometry], np.float64)
        return np.asarray(extents[self.tomogram])

    @property
    def pixel_sizes_angstrom(self) -> FloatArray:
        """Pixel size of each particle's tilt series."""
        return self.series_pixel_angstrom[self.tomogram]

    def height_factors(self, depth_sign: float | None) -> FloatArray:
        """What the height of each particle in the tilted tomogram counts in its defocus."""
        factors = [
            (depth_sign or _depth_sign(known.name)) * known.hand * known.defocus_slope
            for known in self.geometry
        ]
        return np.array(factors)[self.tomogram]


def read_expanded(source: StarInput, layout: SetLayout) -> ParticleSet:
    """Read a particles star and its tomograms star.

    Parameters
    ----------
    source
        The particles star; it knows of the optimisation set that led to it.
    layout
        How the program wrote it.
    """
    source.particle_loop().require(layout.columns)
    _refuse_volumes(source)
    tomograms_path = tomograms_star(source)
    expansion = _expand(source, tomograms_path)
    star = StarSource(
        path=source.named or source.path,
        dialect=layout.name,
        blocks=source.blocks,
        particle_block=expansion.table.block,
        rows_are_images=False,
        overrides=source.overrides,
        tomogram_blocks=expansion.tomogram_blocks,
        tomograms=tuple(expansion.geometry),
        tomograms_path=tomograms_path,
        optimisation_set=source.entries,
        image_column=source.column("rlnImageName"),
    )
    return _particle_set(source, expansion, layout, star)


def counted_coordinates(table: StarTable) -> FloatArray:
    """``rlnCoordinateX/Y/Z``, in whichever pixels they are counted."""
    return table.vectors(f"rlnCoordinate{axis}" for axis in "XYZ")


def is_tomostar(tomogram: str) -> bool:
    """Whether a tomogram has the name that WarpTools gives it."""
    return tomogram.endswith(".tomostar")


def _depth_sign(tomogram: str) -> float:
    """The sign of the program that wrote the tilts: also what RELION refines keeps WarpTools'.

    A rotation of WarpTools is the mirror image of RELION's, so that hand −1 adds the height.
    """
    return -1.0 if is_tomostar(tomogram) else 1.0


def _expand(source: StarInput, tomograms_path: Path) -> Expansion:
    table = source.particle_loop()
    tomogram, names = factorize(table.texts("rlnTomoName"))
    blocks = read_star(tomograms_path)
    tilts, geometry, series_pixel = read_tomograms(source, tomograms_path, blocks, names)
    if source.overrides.hand is not None:
        geometry = [replace(known, hand=float(source.overrides.hand)) for known in geometry]
    per_particle = tilts.count[tomogram]
    particle = np.repeat(np.arange(len(table)), per_particle)
    begins = np.cumsum(per_particle) - per_particle
    tilt_index = np.arange(len(particle)) - begins[particle]
    visible = visible_frames(table, per_particle)
    nth_visible = np.cumsum(visible) - 1
    nth_visible -= np.concatenate([[0], np.cumsum(visible)])[begins][particle]
    optics = source.optics_of(table)
    return Expansion(
        table=table,
        optics=optics,
        stated_pixel_angstrom=_pixel_size(optics),
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


def _particle_set(
    source: StarInput, expansion: Expansion, layout: SetLayout, star: StarSource
) -> ParticleSet:
    table = expansion.table
    files, stack = _image_files(source, table)
    pixel = source.pixel_size(expansion.stated_pixel_angstrom)
    boxes = source.boxes(expansion.optics, files, stack, pixel)
    optics, optics_group = _optics(expansion, pixel, boxes)
    poses = _particle_poses(source, expansion)
    tomograms, names = table.texts("rlnTomoName"), _particle_names(table)
    copies = tell_copies(source, table, tomograms, names, [stack], poses.angles_deg)
    ids = copies.identities.to_pylist()
    refuse_duplicates(table, ids)
    positions = layout.box_centres(expansion) - poses.origins_angstrom
    images = image_table(
        ids,
        expansion.particle,
        files,
        stack[expansion.particle],
        {
            "tilt_index": expansion.tilt_index,
            "stack_index": _stack_index(expansion, files, stack),
            "source_row": expansion.particle,
            "optics_group": optics_group[expansion.particle],
            **_image_poses(expansion, poses, pixel),
            **_contrast(expansion, _depth(expansion, layout, positions)),
        },
    )
    counts = np.bincount(expansion.particle, minlength=len(ids))
    particles = particle_table(
        ids,
        {
            "tomogram": tomograms.to_pylist(),
            "particle": copies.names.to_pylist(),
            **{f"position_{axis}_angstrom": positions[:, i] for i, axis in enumerate("xyz")},
            **dict(zip(("rot_deg", "tilt_deg", "psi_deg"), poses.angles_deg.T, strict=True)),
            "tilts": counts,
        },
        copies.originals,
    )
    everything = ParticleSet(images, particles, optics, star)
    return everything if counts.all() else everything.take(counts > 0)


@dataclass(frozen=True, eq=False)
class _ParticlePoses:
    """Reference → specimen of each particle, as angles and matrix; origins in specimen axes."""

    angles_deg: FloatArray
    rotations: FloatArray
    origins_angstrom: FloatArray


def _particle_poses(source: StarInput, expansion: Expansion) -> _ParticlePoses:
    table, pixel = expansion.table, expansion.stated_pixel_angstrom
    angles = table.vectors(f"rlnAngle{name}" for name in ("Rot", "Tilt", "Psi"))
    within = table.vectors(SUBTOMOGRAM_COLUMNS, 0.0)
    source.remarks.extend(angle_remarks(np.concatenate([angles, within])))
    origin = {
        axis: Quantity(
            0.0, **{f"rlnOrigin{axis}Angst": np.ones_like(pixel), f"rlnOrigin{axis}": pixel}
        )
        for axis in "XYZ"
    }
    origins = np.stack(list(table.read(origin).values()), axis=1)
    rotations = euler_to_matrix(angles)
    if not within.any():
        return _ParticlePoses(angles, rotations, origins)
    subtomograms = euler_to_matrix(within)
    # The box was cut out turned: angles and origin are counted from its axes.
    whole = subtomograms @ rotations
    return _ParticlePoses(
        matrix_to_euler(whole), whole, np.einsum("nij,nj->ni", subtomograms, origins)
    )


def _image_poses(
    expansion: Expansion, poses: _ParticlePoses, pixel_size: FloatArray
) -> dict[str, FloatArray]:
    """Rotation and shift of each image: the tilt applied to those of its particle.

    ``pixel_size`` ``(particle,)`` in Å.
    """
    projections = expansion.tilts.projections[expansion.tilt_row]
    rotations = projections @ poses.rotations[expansion.particle]
    origins = (poses.origins_angstrom / pixel_size[:, None])[expansion.particle]
    shifts = np.einsum("nij,nj->ni", projections[:, :2], origins)
    rot, tilt, psi = matrix_to_euler(rotations).T
    return {
        "rot_deg": rot,
        "tilt_deg": tilt,
        "psi_deg": psi,
        "shift_x_px": shifts[:, 0],
        "shift_y_px": shifts[:, 1],
    }


def _contrast(expansion: Expansion, depth: FloatArray) -> dict[str, FloatArray]:
    """Defocus, phase, dose and stage tilt of each image; ``depth`` in Å adds to the defocus."""
    tilts, row = expansion.tilts, expansion.tilt_row
    same = ("defocus_angle_deg", "phase_shift_deg", "dose_e_per_angstrom2", "stage_tilt_deg")
    return {
        "defocus_u_angstrom": tilts.defocus_u_angstrom[row] + depth,
        "defocus_v_angstrom": tilts.defocus_v_angstrom[row] + depth,
        **{name: getattr(tilts, name)[row] for name in (*same, "ctf_scale")},
    }


def _depth(expansion: Expansion, layout: SetLayout, positions: FloatArray) -> FloatArray:
    """What the height of each image's particle in its tilted tomogram adds to the defocus, in Å."""
    centred = positions - expansion.extents_angstrom / 2.0
    axis = expansion.tilts.projections[expansion.tilt_row, 2]
    tilted = np.einsum("nj,nj->n", axis, centred[expansion.particle])
    return np.asarray(tilted * expansion.height_factors(layout.depth_sign)[expansion.particle])


def _stack_index(
    expansion: Expansion, files: list[Path], stack: NDArray[np.int64]
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
    return source.find_images(names), stack


def _particle_names(table: StarTable) -> pa.Array:
    """Name within the tomogram: what follows the last ``/`` of the name, else the id."""
    names = text_or_none(table, "rlnTomoParticleName")
    if names is not None:
        return pc.replace_substring_regex(names, "^.*/", "")
    return table.texts("rlnTomoParticleId")


def _optics(
    expansion: Expansion, pixel: FloatArray, boxes: NDArray[np.int64]
) -> tuple[Optics, NDArray[np.int64]]:
    """The optics, and the group of each particle; pixel size and box of each are given."""
    optics = expansion.optics
    b_factor = np.array([known.b_factor_per_dose_angstrom2 for known in expansion.geometry])
    beams = optics.split(BEAM_COLUMNS, pixel, boxes, b_factor[expansion.tomogram])
    multiplied = optics.flag("rlnCtfDataAreCtfPremultiplied")
    found = beams.optics(
        ctf_premultiplied=multiplied,
        # WarpTools and RELION weight by exposure where they multiply by the CTF, and only there;
        # `extract` says that it does not.
        dose_weighted=optics.flag("tomodrgnDoseWeighted", multiplied),
        ctf_phase_flipped=optics.flag("rlnCtfDataArePhaseFlipped"),
        ctf_corrected=optics.flag("rlnCtfDataAreCtfCorrected"),
    )
    return found, beams.group


def _pixel_size(optics: OpticsTable) -> FloatArray:
    """Pixel size in Å of the images of each particle ``(particle,)``, as the file states it."""
    binned = ("rlnTomoTiltSeriesPixelSize", "rlnTomoSubtomogramBinning")
    groups = optics.groups
    if "rlnImagePixelSize" not in groups and all(name in groups for name in binned):
        return optics.agreed(binned[0]) * optics.agreed(binned[1])
    return optics.agreed("rlnImagePixelSize")


def _refuse_volumes(source: StarInput) -> None:
    general = as_list(source.blocks.get("general", {}))
    optics = source.loop(("optics",))
    flag = general.get("rlnTomoSubTomosAre2DStacks", "")
    column = "rlnImageDimensionality"
    volumes = not flag and optics is not None and bool((optics.numbers(column, 2.0) == 3.0).any())
    if flag == "0" or volumes:
        raise volumes_error(source.path, "rlnTomoSubTomosAre2DStacks 0" if flag else f"{column} 3")
