"""Star files with one row per image: Warp v1 and M, nextPYP, cryoSRPNT, tomoDRGN's, RELION's.

All keep the pose, shift and defocus of each image in its own row. Dose and tilt hide in two CTF
columns: ``rlnCtfBfactor`` is -4 times the accumulated dose, ``rlnCtfScalefactor`` the cosine of the
stage tilt (its sign is lost). tomoDRGN writes dose and tilt (in radians) into columns of their own
beside those of its source; the flattened sets of RELION 5 have RELION's columns of a tilt. The pose
of the particle itself in the tomogram is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.common import (
    StarInput,
    angle_remarks,
    factorize,
    image_table,
    particle_table,
    refuse_hand,
)
from napari_tomodrgn.data.dialects.copies import tell_copies
from napari_tomodrgn.data.dialects.exposure import accumulated_dose
from napari_tomodrgn.data.dialects.image_identity import image_identity
from napari_tomodrgn.data.dialects.optics_table import BEAM_COLUMNS, PIXEL_COLUMNS, OpticsTable
from napari_tomodrgn.data.optics import Optics
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star_table import Quantity, StarTable
from napari_tomodrgn.errors import BadInputError

# Recognised by these, whatever else is there and in any order.
_IMAGE_COLUMNS = (
    "rlnImageName",
    "rlnAngleRot",
    "rlnAngleTilt",
    "rlnAnglePsi",
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
)
_DOSE_AND_TILT = ("rlnCtfBfactor", "rlnCtfScalefactor")
_TOMODRGN = ("tomodrgnTotalDose", "tomodrgnPseudoStageTilt")
_FLATTENED = ("rlnMicrographPreExposure", "rlnTomoNominalStageTiltAngle")
CRYOSRPNT_COLUMNS = (*_IMAGE_COLUMNS, "rlnGroupName", *_DOSE_AND_TILT)
WARP_COLUMNS = (*CRYOSRPNT_COLUMNS, "rlnMicrographName")
NEXTPYP_COLUMNS = (*_IMAGE_COLUMNS, "rlnGroupNumber", *_DOSE_AND_TILT, "rlnMicrographName")
TOMODRGN_COLUMNS = (*_IMAGE_COLUMNS, *_TOMODRGN)
FLATTENED_COLUMNS = (*_IMAGE_COLUMNS, "rlnGroupName", *_FLATTENED)

_DOSE_PER_B_FACTOR = -0.25  # rlnCtfBfactor is −4 times the dose in e/Å²

_STATED_DOSE = {
    "tomodrgn": Quantity(tomodrgnTotalDose=1.0),
    "relion5-images": Quantity(rlnMicrographPreExposure=1.0),
}
_DOSE = Quantity(rlnCtfBfactor=_DOSE_PER_B_FACTOR)
_STATED_TILT = {
    "tomodrgn": {"stage_tilt_deg": Quantity(tomodrgnPseudoStageTilt=180.0 / np.pi)},
    "relion5-images": {"stage_tilt_deg": Quantity(rlnTomoNominalStageTiltAngle=1.0)},
}


def read_warp(source: StarInput) -> ParticleSet:
    """Read a Warp v1 or M image series; a particle is ``rlnGroupName``."""
    return _read(source, WARP_COLUMNS, "rlnGroupName", "warp")


def read_cryosrpnt(source: StarInput) -> ParticleSet:
    """Read a cryoSRPNT image series; a name is ``<tomogram>_<particle>``."""
    return _read(source, CRYOSRPNT_COLUMNS, "rlnGroupName", "cryosrpnt")


def read_nextpyp(source: StarInput) -> ParticleSet:
    """Read a nextPYP export; a particle is ``rlnGroupNumber``, a number or a word."""
    return _read(source, NEXTPYP_COLUMNS, "rlnGroupNumber", "nextpyp")


def read_tomodrgn(source: StarInput) -> ParticleSet:
    """Read what tomoDRGN wrote of a Warp, cryoSRPNT or nextPYP series after filtering it."""
    table = source.particle_loop()
    group = "rlnGroupName" if "rlnGroupName" in table else "rlnGroupNumber"
    return _read(source, (*TOMODRGN_COLUMNS, group), group, "tomodrgn")


def read_flattened(source: StarInput) -> ParticleSet:
    """Read a RELION 5 set written as one row an image, as RECOVAR and others write it."""
    return _read(source, FLATTENED_COLUMNS, "rlnGroupName", "relion5-images")


def is_nextpyp(table: StarTable) -> bool:
    """Whether group numbers are nextPYP's, not those that a RELION refinement counts the groups by.

    nextPYP gives both a number and a name where a tilt has an index.
    """
    return "rlnGroupName" not in table or "rlnTiltIndex" in table


def _read(source: StarInput, columns: tuple[str, ...], group: str, dialect: str) -> ParticleSet:
    table = source.particle_loop()
    table.require(columns)
    refuse_hand(source)
    files, stack, stack_index = _image_files(source, table)
    tomograms, names = image_identity(table, group, files, stack, stack_index)
    optics, optics_group, pixels = _optics(source, table, (files, stack), dialect)
    _reject_scales(table)
    values = _with_stage_tilt(table.read(_quantities(pixels.used, dialect)))
    image = [stack, stack_index]
    copies = tell_copies(source, table, tomograms, names, image, _angles(source, values))
    particle, ids = factorize(copies.identities)
    _refuse_single_particles(source, table, values)
    dose = rebuilt_dose(source, tomograms, particle, values.pop("dose_e_per_angstrom2"))
    images = image_table(
        ids,
        particle,
        files,
        stack,
        {
            "stack_index": stack_index,
            "tilt_index": position_in_particle(particle),
            "source_row": np.arange(len(table)),
            "optics_group": optics_group,
            "dose_e_per_angstrom2": dose,
            **values,
        },
    )
    first = np.unique(particle, return_index=True)[1]
    particles = particle_table(
        ids,
        {
            "tomogram": tomograms.take(first).to_pylist(),
            "particle": copies.names.take(first).to_pylist(),
            "tilts": np.bincount(particle),
            **_positions(table, first, pixels.stated),
        },
        None if copies.originals is None else copies.originals.take(first),
    )
    star = source.image_star(dialect, table, source.column("rlnImageName"))
    return ParticleSet(images, particles, optics, star)


def _angles(source: StarInput, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Angles rot, tilt, psi of each row, ``(row, 3)`` in degrees; odd ones are remarked on."""
    angles = np.stack([values[f"{name}_deg"] for name in ("rot", "tilt", "psi")], axis=1)
    source.remarks.extend(angle_remarks(angles))
    return angles


def _quantities(pixel_size: NDArray[np.float64], dialect: str) -> Mapping[str, Quantity]:
    """What is read of each image, by our names; ``pixel_size`` ``(row,)`` in Å."""
    return {
        "rot_deg": Quantity(rlnAngleRot=1.0),
        "tilt_deg": Quantity(rlnAngleTilt=1.0),
        "psi_deg": Quantity(rlnAnglePsi=1.0),
        "shift_x_px": Quantity(rlnOriginXAngst=1.0 / pixel_size, rlnOriginX=1.0, default=0.0),
        "shift_y_px": Quantity(rlnOriginYAngst=1.0 / pixel_size, rlnOriginY=1.0, default=0.0),
        "defocus_u_angstrom": Quantity(rlnDefocusU=1.0),
        "defocus_v_angstrom": Quantity(rlnDefocusV=1.0),
        "defocus_angle_deg": Quantity(rlnDefocusAngle=1.0),
        "phase_shift_deg": Quantity(rlnPhaseShift=1.0, default=0.0),
        "dose_e_per_angstrom2": _STATED_DOSE.get(dialect, _DOSE),
        "ctf_scale": Quantity(rlnCtfScalefactor=1.0, default=np.nan),
        **_STATED_TILT.get(dialect, {}),
    }


def _reject_scales(table: StarTable) -> None:
    """Raise where a scale factor is the cosine of no tilt: it may exceed 1 by rounding."""
    table.require_where(("rlnCtfScalefactor",), lambda v: (v >= -0.01) & (v <= 1.01), "0 to 1")


def _with_stage_tilt(values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """The values, with stage tilt from its cosine, or the cosine from it, where one is absent."""
    tilt, scale = values.get("stage_tilt_deg"), values["ctf_scale"]
    if tilt is None:
        # A cosine has lost the sign of its tilt: all of these are positive.
        tilt = np.rad2deg(np.arccos(np.clip(scale, -1.0, 1.0)))
    if np.isnan(scale).any():
        scale = np.cos(np.deg2rad(tilt))
    return {**values, "stage_tilt_deg": tilt, "ctf_scale": scale}


def _refuse_single_particles(
    source: StarInput, table: StarTable, values: Mapping[str, NDArray[np.float64]]
) -> None:
    """Raise `BadInputError` where no image has a dose or a tilt, as in single-particle sets."""
    if source.overrides.dose_per_tilt_e_per_angstrom2 is not None or len(table) < 2:
        return
    tilted = values["stage_tilt_deg"].any()
    if not tilted and not values["dose_e_per_angstrom2"].any():
        raise BadInputError(
            f"{table.path}: dose and tilt are 0 in all {len(table)} rows of block "
            f"data_{table.block}, as in a single-particle set: its groups are micrographs, not the "
            "tilt images of one particle.",
            remedy="Name the star of a tilt series; if this is one, give the dose of a tilt "
            "(--dose-per-tilt).",
            code="no-particle-groups",
        )


def rebuilt_dose(
    source: StarInput,
    tomograms: pa.Array,
    particle: NDArray[np.int64],
    stated: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Dose before each image, ``(image,)`` e/Å²: as stated, or anew from the dose of one tilt.

    Anew if the user gave that. Tilts are told by the stated doses of all particles of the tomogram,
    so that a tilt which a particle lacks still counts; where there are none, by the place of an
    image in its particle.

    Parameters
    ----------
    source
        The star file, and what the user knows better.
    tomograms, particle
        ``(image,)`` name of the tomogram, and number of the particle, of each image.
    stated
        ``(image,)`` dose of the file in e/Å².
    """
    per_tilt = source.overrides.dose_per_tilt_e_per_angstrom2
    if per_tilt is None:
        return stated
    series, _ = factorize(tomograms)
    places = position_in_particle(particle).astype(np.float64)
    return accumulated_dose(per_tilt, series, stated, places)


def position_in_particle(particle: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the images of the same particle before each image: ``(image,)`` → ``(image,)``."""
    return np.asarray(pd.Series(particle).groupby(particle).cumcount(), dtype=np.int64)


def _positions(
    table: StarTable, rows: NDArray[np.int64], pixel_size: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Positions in Å where all three coordinates are given; Warp v1 gives those of each image."""
    axes = {axis: f"rlnCoordinate{axis.upper()}" for axis in "xyz"}
    if not all(column in table for column in axes.values()):
        return {}
    return {
        f"position_{axis}_angstrom": table.numbers(column)[rows] * pixel_size[rows]
        for axis, column in axes.items()
    }


class _PixelSizes(NamedTuple):
    """Pixel size in Å of each image ``(row,)``: as the file states it, and as it is used."""

    stated: NDArray[np.float64]
    used: NDArray[np.float64]


def _optics(
    source: StarInput,
    table: StarTable,
    stacks: tuple[list[Path], NDArray[np.int64]],
    dialect: str,
) -> tuple[Optics, NDArray[np.int64], _PixelSizes]:
    """The optics, and the group and the pixel sizes of each image."""
    optics = source.optics_of(table)
    stated = _pixel_size(optics)
    pixel = source.pixel_size(stated)
    boxes = source.boxes(optics, *stacks, pixel)
    multiplied = optics.flag("rlnCtfDataAreCtfPremultiplied")
    b_factor = optics.numbers("rlnCtfBfactorPerElectronDose", 0.0)
    beams = optics.split(BEAM_COLUMNS, pixel, boxes, b_factor)
    found = beams.optics(
        ctf_premultiplied=multiplied,
        # RELION multiplies by the CTF and weights by the dose in one go.
        dose_weighted=multiplied and dialect == "relion5-images",
        ctf_phase_flipped=optics.flag("rlnCtfDataArePhaseFlipped"),
        ctf_corrected=optics.flag("rlnCtfDataAreCtfCorrected"),
    )
    return found, beams.group, _PixelSizes(stated, pixel)


def _pixel_size(optics: OpticsTable) -> NDArray[np.float64]:
    """Pixel size in Å of each image ``(row,)``, as the file states it."""
    both = (optics.groups, optics.rows)
    column = next((c for c in PIXEL_COLUMNS if any(c in t for t in both)), PIXEL_COLUMNS[-1])
    pixel = optics.agreed(column)
    if column == "rlnDetectorPixelSize" and "rlnMagnification" in optics.table_of(column):
        # In RELION 3.0 the detector's pixel is in micrometres, before magnification.
        return pixel * 1e4 / optics.agreed("rlnMagnification")
    return pixel


def _image_files(
    source: StarInput, table: StarTable
) -> tuple[list[Path], NDArray[np.int64], NDArray[np.int64]]:
    """Files, and for each row the file's position among them and the 0-based image in it."""
    texts = table.texts("rlnImageName")
    parts = pc.extract_regex(texts, r"^(?P<index>\d{1,9})@(?P<stack>.+)$")
    bad = np.flatnonzero(parts.is_null().to_numpy(zero_copy_only=False))
    if bad.size:
        found = f"is {texts[int(bad[0])].as_py()!r}, not of the form 12@stack.mrcs"
        raise table.problem("rlnImageName", int(bad[0]), found)
    index = pc.cast(parts.field("index"), pa.int64()).to_numpy(zero_copy_only=False) - 1
    if (index < 0).any():
        raise table.problem("rlnImageName", int(np.argmin(index)), "counts images from 0, not 1")
    stack, names = factorize(parts.field("stack"))
    return source.find_images(names), stack, index
