"""cisTEM star files of tilt images, also as emClarity writes them: one row per image.

``cisTEMParticleGroup`` joins the images of a particle. Angles are RELION's, under other names
(phi, theta, psi = rot, tilt, psi). Shifts are in Å and say where the particle is, not how to bring
it back, so they have the opposite sign of ``rlnOrigin``. The phase shift is in radians; angles are
in degrees, defocus in Å, doses in e/Å². The tilt of the stage is not there: it is taken as the
angle between the beam in this image and in the particle's least exposed one, and has no sign.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.common import (
    StarInput,
    factorize,
    image_table,
    joined_names,
    particle_table,
    refuse_hand,
    with_pixel_size,
)
from napari_tomodrgn.data.dialects.per_image_rows import position_in_particle, rebuilt_dose
from napari_tomodrgn.data.particles import Optics, ParticleSet, StarSource
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import FloatArray, euler_to_matrix

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


def read_cistem(source: StarInput) -> ParticleSet:
    """Read a cisTEM star whose particle groups are the tilt images of one particle each."""
    table = source.particle_loop()
    table.require(CISTEM_COLUMNS)
    refuse_hand(source)
    _refuse_single_images(table)
    files, stack = _stacks(source, table)
    tomograms, names = _tomograms(table, files, stack), table.texts("cisTEMParticleGroup")
    particle, ids = factorize(joined_names(tomograms, names))
    optics = with_pixel_size(_optics(table, source.box_of(files)), source.overrides)
    dose = rebuilt_dose(source, tomograms, particle, table.numbers("cisTEMPreExposure"))
    columns = {
        "stack_index": _stack_index(table),
        "tilt_index": position_in_particle(particle),
        "source_row": np.arange(len(table)),
        **_image_columns(table, optics.pixel_size_angstrom),
        "dose_e_per_angstrom2": dose,
        "stage_tilt_deg": tilt_from_first_exposed(_angles(table), dose, particle),
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
    star = StarSource(
        source.path,
        "cistem",
        source.blocks,
        table.block,
        rows_are_images=True,
        overrides=source.overrides,
        image_column=source.column(STACK_COLUMN) if STACK_COLUMN in table else "",
    )
    return ParticleSet(images, particles, optics, star)


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


def _angles(table: StarTable) -> FloatArray:
    return np.stack([table.numbers(name) for name in _ANGLES], axis=1)


def _image_columns(table: StarTable, pixel_size: float) -> dict[str, FloatArray]:
    angles = _angles(table)
    return {
        "rot_deg": angles[:, 0],
        "tilt_deg": angles[:, 1],
        "psi_deg": angles[:, 2],
        # Adding zero turns -0.0 into 0.0.
        "shift_x_px": table.numbers("cisTEMXShift") / -pixel_size + 0.0,
        "shift_y_px": table.numbers("cisTEMYShift") / -pixel_size + 0.0,
        "defocus_u_angstrom": table.numbers("cisTEMDefocus1"),
        "defocus_v_angstrom": table.numbers("cisTEMDefocus2"),
        "defocus_angle_deg": table.numbers("cisTEMDefocusAngle"),
        "phase_shift_deg": np.rad2deg(table.numbers("cisTEMPhaseShift", 0.0)),
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


def _optics(table: StarTable, box_size_px: int) -> Optics:
    return Optics(
        pixel_size_angstrom=table.positive("cisTEMPixelSize"),
        voltage_kv=table.positive("cisTEMMicroscopeVoltagekV"),
        spherical_aberration_mm=table.constant("cisTEMMicroscopeCsMM"),
        amplitude_contrast=table.constant("cisTEMAmplitudeContrast"),
        box_size_px=box_size_px,
        ctf_premultiplied=False,
        dose_weighted=False,
    )


def _tomograms(table: StarTable, files: list[Path], stack: NDArray[np.int64]) -> pa.Array:
    """Tomogram of each image: the micrograph that the star names, else its stack.

    Never the star itself: a particle has to keep its name when it is written to another file.
    """
    if _TOMOGRAM_COLUMN in table:
        names = table.texts(_TOMOGRAM_COLUMN)
        groups = table.texts("cisTEMParticleGroup").to_pylist()
        pairs = pd.DataFrame({"name": names.to_pylist(), "group": groups})
        # A name for each tilt image would tear the particles apart.
        if len(pairs.drop_duplicates()) < len(pairs):
            return names
    stems = [path.stem for path in files]
    if len(set(stems)) < len(set(files)):
        stems = [f"{path.parent.name}_{path.stem}" for path in files]
    return pa.array(stems, pa.large_string()).take(pa.array(stack))


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
