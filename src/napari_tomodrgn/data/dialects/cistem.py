"""cisTEM star files of tilt images, also as emClarity writes them: one row per image.

``cisTEMParticleGroup`` joins the images of a particle. Angles are RELION's, under other names
(phi, theta, psi = rot, tilt, psi). Shifts are in Å and say where the particle is, not how to bring
it back, so they have the opposite sign of ``rlnOrigin``. The phase shift is in radians; angles are
in degrees, defocus in Å, doses in e/Å². The tilt of the stage is not there: it is taken as the
angle between the beam in this image and in the particle's least exposed one, and has no sign.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.common import (
    StarInput,
    angle_remarks,
    factorize,
    image_table,
    joined_names,
    particle_table,
    refuse_hand,
)
from napari_tomodrgn.data.dialects.image_identity import joins_images, stack_names
from napari_tomodrgn.data.dialects.optics_table import OpticsTable
from napari_tomodrgn.data.dialects.per_image_rows import position_in_particle, rebuilt_dose
from napari_tomodrgn.data.optics import Optics
from napari_tomodrgn.data.particles import ParticleSet, Remark
from napari_tomodrgn.data.star_table import Quantity, StarTable
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import FloatArray, euler_to_matrix

if TYPE_CHECKING:
    import pyarrow as pa

STACK_COLUMN = "cisTEMStackFilename"
_ANGLES = ("cisTEMAnglePhi", "cisTEMAngleTheta", "cisTEMAnglePsi")
_TOMOGRAM_COLUMN = "cisTEMOriginalImageFilename"
CISTEM_COLUMNS = (
    "cisTEMPositionInStack",
    *_ANGLES,
    "cisTEMXShift",
    "cisTEMYShift",
    "cisTEMDefocus1",
    "cisTEMDefocus2",
    "cisTEMDefocusAngle",
    "cisTEMParticleGroup",
    "cisTEMPreExposure",
    "cisTEMPixelSize",
)
_SUFFIXES = (".mrc", ".mrcs", ".st")


_BEAM = ("cisTEMMicroscopeVoltagekV", "cisTEMMicroscopeCsMM", "cisTEMAmplitudeContrast")
# cisTEM leaves out images of an activity below 0; emClarity sets the occupancy to 0.
_SWITCHES = {"cisTEMImageActivity": 0.0, "cisTEMOccupancy": 1e-6}


def read_cistem(source: StarInput) -> ParticleSet:
    """Read a cisTEM star whose particle groups are the tilt images of one particle each."""
    everything = source.particle_loop()
    everything.require(CISTEM_COLUMNS)
    refuse_hand(source)
    _refuse_single_images(everything)
    table, source_row = _active_rows(source, everything)
    files, stack = _stacks(source, table)
    tomograms, names = _tomograms(table, files, stack), table.texts("cisTEMParticleGroup")
    particle, ids = factorize(joined_names(tomograms, names))
    known = OpticsTable(table, table, np.arange(len(table)))
    pixel = source.pixel_size(known.agreed("cisTEMPixelSize"))
    optics, optics_group = _optics(known, pixel, source.boxes(known, files, stack, pixel))
    values = table.read(_quantities(pixel))
    angles = np.stack([values[f"{name}_deg"] for name in ("rot", "tilt", "psi")], axis=1)
    source.remarks.extend(angle_remarks(angles))
    dose = rebuilt_dose(source, tomograms, particle, values.pop("dose_e_per_angstrom2"))
    stage_tilt = tilt_from_first_exposed(angles, dose, particle)
    columns = {
        **values,
        "stack_index": _stack_index(table),
        "tilt_index": position_in_particle(particle),
        "source_row": source_row,
        "dose_e_per_angstrom2": dose,
        "stage_tilt_deg": stage_tilt,
        # cisTEM writes no scale factor: what the others write is the cosine.
        "ctf_scale": np.cos(np.deg2rad(stage_tilt)),
        "optics_group": optics_group,
    }
    images = image_table(ids, particle, files, stack, columns)
    first = np.unique(particle, return_index=True)[1]
    particles = particle_table(
        ids,
        {
            "tomogram": tomograms.take(first).to_pylist(),
            "particle": names.take(first).to_pylist(),
            "tilts": np.bincount(particle),
        },
    )
    image_column = source.column(STACK_COLUMN) if STACK_COLUMN in table else ""
    star = source.image_star("cistem", table, image_column)
    return ParticleSet(images, particles, optics, star)


def _active_rows(source: StarInput, table: StarTable) -> tuple[StarTable, NDArray[np.int64]]:
    """The rows that are switched on, and their places; a remark says how many are not.

    Raises
    ------
    BadInputError
        If none is.
    """
    on = np.ones(len(table), np.bool_)
    for column, least in _SWITCHES.items():
        on &= table.numbers(column, least) >= least
    if not on.any():
        raise BadInputError(
            f"{table.path}: all {len(table)} images are switched off (occupancy or activity).",
            remedy="Name a star with active images.",
            code="no-particles",
        )
    off = int((~on).sum())
    if off:
        message = f"{off} of {len(table)} images are switched off in the star file and left out."
        remedy = "Nothing to do if this is meant (occupancy 0, or activity below 0)."
        source.remarks.append(Remark("inactive-images", "info", message, remedy, off))
    rows = np.flatnonzero(on)
    return StarTable(table.path, table.block, table.frame.iloc[rows], table.asked), rows


def _refuse_single_images(table: StarTable) -> None:
    """Raise `BadInputError` where the groups say nothing, as in single-particle sets."""
    groups = table.texts("cisTEMParticleGroup")
    exposures = table.numbers("cisTEMPreExposure")
    if len(table) > 1 and len(groups.unique()) == 1 and not np.ptp(exposures):
        raise BadInputError(
            f"{table.path}: all {len(table)} rows have one cisTEMParticleGroup and one exposure, "
            "so nothing says which images are tilts of one particle.",
            remedy="Give each particle a group of its own.",
            code="no-particle-groups",
        )


def _quantities(pixel_size: FloatArray) -> dict[str, Quantity]:
    """What is read of each image, by our names; ``pixel_size`` ``(row,)`` in Å."""
    return {
        "rot_deg": Quantity(cisTEMAnglePhi=1.0),
        "tilt_deg": Quantity(cisTEMAngleTheta=1.0),
        "psi_deg": Quantity(cisTEMAnglePsi=1.0),
        # Where the particle is: minus the shift that would centre it.
        "shift_x_px": Quantity(cisTEMXShift=-1.0 / pixel_size),
        "shift_y_px": Quantity(cisTEMYShift=-1.0 / pixel_size),
        "defocus_u_angstrom": Quantity(cisTEMDefocus1=1.0),
        "defocus_v_angstrom": Quantity(cisTEMDefocus2=1.0),
        "defocus_angle_deg": Quantity(cisTEMDefocusAngle=1.0),
        "phase_shift_deg": Quantity(cisTEMPhaseShift=180.0 / np.pi, default=0.0),
        "dose_e_per_angstrom2": Quantity(cisTEMPreExposure=1.0),
    }


def tilt_from_first_exposed(
    angles_deg: FloatArray, dose: FloatArray, particle: NDArray[np.int64]
) -> FloatArray:
    """Angle in ° between the beam in each image and in its particle's least exposed image.

    Parameters
    ----------
    angles_deg
        rot, tilt, psi of each image, ``(image, 3)``.
    dose
        Exposure before each image.
    particle
        Number of each image's particle, from 0.
    """
    beams = euler_to_matrix(angles_deg)[:, 2]  # in the axes of the reference
    by_dose = np.lexsort((dose, particle))
    firsts = by_dose[np.unique(particle[by_dose], return_index=True)[1]]
    cosines = np.einsum("ni,ni->n", beams, beams[firsts][particle])
    return np.asarray(np.rad2deg(np.arccos(np.clip(cosines, -1.0, 1.0))))


def _optics(
    table: OpticsTable, pixel: FloatArray, boxes: NDArray[np.int64]
) -> tuple[Optics, NDArray[np.int64]]:
    """The optics, and the group of each image; pixel size and box of each image are given."""
    beams = table.split(_BEAM, pixel, boxes)
    return beams.optics(ctf_premultiplied=False, dose_weighted=False), beams.group


def _tomograms(table: StarTable, files: list[Path], stack: NDArray[np.int64]) -> pa.Array:
    """Tomogram of each image: the micrograph that the star names, else its stack.

    Never the star itself: a particle has to keep its name when it is written to another file.
    """
    if _TOMOGRAM_COLUMN in table:
        names = table.texts(_TOMOGRAM_COLUMN)
        if joins_images(names, table.texts("cisTEMParticleGroup")):
            return names
    return stack_names(files, stack)


def _stack_index(table: StarTable) -> NDArray[np.int64]:
    positions = table.numbers("cisTEMPositionInStack")
    wrong = np.flatnonzero((positions < 1) | (positions != np.rint(positions)))
    if wrong.size:
        row = int(wrong[0])
        raise table.problem("cisTEMPositionInStack", row, f"is {positions[row]:g}, not 1 or more")
    return np.asarray(positions, dtype=np.int64) - 1


def _stacks(source: StarInput, table: StarTable) -> tuple[list[Path], NDArray[np.int64]]:
    """The files, and for each image the position of its file among them."""
    given = source.images
    if given is not None and given.is_file():
        return [given.absolute()], np.zeros(len(table), np.int64)
    if STACK_COLUMN in table:
        stack, names = factorize(table.texts(STACK_COLUMN))
        return source.find_images(names), stack
    folder = given or source.path.absolute().parent
    return [_only_stack(source.path, folder).absolute()], np.zeros(len(table), np.int64)


def _only_stack(star: Path, folder: Path) -> Path:
    """The stack called like the star file, or the only one in the folder."""
    if not folder.is_dir():
        raise BadInputError(f"{folder}: does not exist.", code="no-images-folder")
    for suffix in _SUFFIXES:
        if (folder / f"{star.stem}{suffix}").is_file():
            return folder / f"{star.stem}{suffix}"
    found = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if len(found) == 1:
        return found[0]
    raise BadInputError(
        f"{star}: does not name its image stack ({STACK_COLUMN}), and {folder} holds "
        f"{len(found)} stacks, none of them called {star.stem}.mrc.",
        remedy="Pass the stack with --images FILE.",
        code="missing-images",
    )
