"""Star files with one row per image: Warp v1 and M, nextPYP, cryoSRPNT, and tomoDRGN's own.

All keep the pose, shift and defocus of each image in its own row, and hide dose and tilt in two
CTF columns: ``rlnCtfBfactor`` is -4 times the accumulated dose, ``rlnCtfScalefactor`` the cosine of
the stage tilt (its sign is lost). tomoDRGN writes dose and tilt (in radians) into columns of their
own beside those of its source. The pose of the particle itself in the tomogram is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    refuse_hand,
    with_pixel_size,
)
from napari_tomodrgn.data.dialects.exposure import accumulated_dose
from napari_tomodrgn.data.particles import Optics, ParticleSet, StarSource
from napari_tomodrgn.data.star_table import StarTable

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
_TOMODRGN_DOSE, _TOMODRGN_TILT = "tomodrgnTotalDose", "tomodrgnPseudoStageTilt"
CRYOSRPNT_COLUMNS = (*_IMAGE_COLUMNS, "rlnGroupName", *_DOSE_AND_TILT)
WARP_COLUMNS = (*CRYOSRPNT_COLUMNS, "rlnMicrographName")
NEXTPYP_COLUMNS = (*_IMAGE_COLUMNS, "rlnGroupNumber", *_DOSE_AND_TILT, "rlnMicrographName")
TOMODRGN_COLUMNS = (*_IMAGE_COLUMNS, _TOMODRGN_DOSE, _TOMODRGN_TILT)

_PIXEL_COLUMNS = ("rlnImagePixelSize", "rlnPixelSize", "rlnDetectorPixelSize")
_DOSE_PER_B_FACTOR = -0.25


def read_warp(source: StarInput) -> ParticleSet:
    """Read a Warp v1 or M image series; the tomogram is ``rlnMicrographName``."""
    table = source.particle_loop()
    table.require(WARP_COLUMNS)
    names = table.texts("rlnGroupName")
    return _read(source, table, (table.texts("rlnMicrographName"), names), "warp")


def read_cryosrpnt(source: StarInput) -> ParticleSet:
    """Read a cryoSRPNT image series; a name is ``<tomogram>_<particle>``."""
    table = source.particle_loop()
    table.require(CRYOSRPNT_COLUMNS)
    return _read(source, table, _split_names(table), "cryosrpnt")


def read_nextpyp(source: StarInput) -> ParticleSet:
    """Read a nextPYP export; a particle is ``rlnGroupNumber``, a number or a word."""
    table = source.particle_loop()
    table.require(NEXTPYP_COLUMNS)
    names = table.texts("rlnGroupNumber")
    return _read(source, table, (table.texts("rlnMicrographName"), names), "nextpyp")


def read_tomodrgn(source: StarInput) -> ParticleSet:
    """Read what tomoDRGN wrote of a Warp, cryoSRPNT or nextPYP series after filtering it."""
    table = source.particle_loop()
    column = "rlnGroupName" if "rlnGroupName" in table else "rlnGroupNumber"
    table.require((*TOMODRGN_COLUMNS, column))
    if "rlnMicrographName" not in table:
        return _read(source, table, _split_names(table), "tomodrgn")
    names = (table.texts("rlnMicrographName"), table.texts(column))
    return _read(source, table, names, "tomodrgn")


def _split_names(table: StarTable) -> tuple[pa.Array, pa.Array]:
    """Tomogram and particle of each image, where one name holds both."""
    names = table.texts("rlnGroupName")
    return pc.replace_substring_regex(names, "_[^_]*$", ""), names


def _read(
    source: StarInput, table: StarTable, identity: tuple[pa.Array, pa.Array], dialect: str
) -> ParticleSet:
    tomograms, names = identity
    refuse_hand(source)
    particle, ids = factorize(joined_names(tomograms, names))
    files, stack, stack_index = _image_files(source, table)
    stated = _optics(source, table, source.box_of(files))
    optics = with_pixel_size(stated, source.overrides)
    images = image_table(
        ids,
        particle,
        files,
        stack,
        {
            "stack_index": stack_index,
            "tilt_index": position_in_particle(particle),
            "source_row": np.arange(len(table)),
            **_image_columns(table, optics.pixel_size_angstrom),
            "dose_e_per_angstrom2": rebuilt_dose(source, tomograms, particle, _dose(table)),
        },
    )
    first = np.unique(particle, return_index=True)[1]
    particles = particle_table(
        ids,
        {
            "tomogram": tomograms.take(first).to_pylist(),
            "particle": names.take(first).to_pylist(),
            "tilts": np.bincount(particle),
            **_positions(table, first, stated.pixel_size_angstrom),
        },
    )
    star = StarSource(
        source.path,
        dialect,
        source.blocks,
        table.block,
        rows_are_images=True,
        overrides=source.overrides,
        image_column=source.column("rlnImageName"),
    )
    return ParticleSet(images, particles, optics, star)


def _image_columns(table: StarTable, pixel_size: float) -> dict[str, NDArray[np.float64]]:
    return {
        "rot_deg": table.numbers("rlnAngleRot"),
        "tilt_deg": table.numbers("rlnAngleTilt"),
        "psi_deg": table.numbers("rlnAnglePsi"),
        "shift_x_px": _shift(table, "rlnOriginX", pixel_size),
        "shift_y_px": _shift(table, "rlnOriginY", pixel_size),
        "defocus_u_angstrom": table.numbers("rlnDefocusU"),
        "defocus_v_angstrom": table.numbers("rlnDefocusV"),
        "defocus_angle_deg": table.numbers("rlnDefocusAngle"),
        "phase_shift_deg": table.numbers("rlnPhaseShift", 0.0),
        "stage_tilt_deg": _stage_tilt(table),
    }


def _dose(table: StarTable) -> NDArray[np.float64]:
    if _TOMODRGN_DOSE in table:
        return table.numbers(_TOMODRGN_DOSE)
    # Adding zero turns the -0.0 of the first image into 0.0.
    return table.numbers("rlnCtfBfactor") * _DOSE_PER_B_FACTOR + 0.0


def _stage_tilt(table: StarTable) -> NDArray[np.float64]:
    if _TOMODRGN_TILT in table:
        return np.rad2deg(table.numbers(_TOMODRGN_TILT))
    # CtfScalefactor may exceed 1 by rounding.
    cosine = np.clip(table.numbers("rlnCtfScalefactor"), -1.0, 1.0)
    return np.rad2deg(np.arccos(cosine))


def _shift(table: StarTable, column: str, pixel_size: float) -> NDArray[np.float64]:
    if f"{column}Angst" in table:
        return table.numbers(f"{column}Angst") / pixel_size
    return table.numbers(column, 0.0)


def rebuilt_dose(
    source: StarInput,
    tomograms: pa.Array,
    particle: NDArray[np.int64],
    stated: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Dose of each image: as stated, or anew from the dose of one tilt if the user gave it.

    Tilts are told by the stated doses of all particles of the tomogram, so that a tilt which a
    particle lacks still counts; where there are none, by the place of an image in its particle.
    """
    per_tilt = source.overrides.dose_per_tilt_e_per_angstrom2
    if per_tilt is None:
        return stated
    series, _ = factorize(tomograms)
    places = position_in_particle(particle).astype(np.float64)
    return accumulated_dose(per_tilt, series, stated, places)


def position_in_particle(particle: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many images of the same particle stand before each image."""
    return np.asarray(pd.Series(particle).groupby(particle).cumcount(), dtype=np.int64)


def _positions(
    table: StarTable, rows: NDArray[np.int64], pixel_size: float
) -> dict[str, NDArray[np.float64]]:
    """Positions in Å where all three coordinates are given; Warp v1 gives those of each image."""
    axes = {axis: f"rlnCoordinate{axis.upper()}" for axis in "xyz"}
    if not all(column in table for column in axes.values()):
        return {}
    return {
        f"position_{axis}_angstrom": table.numbers(column)[rows] * pixel_size
        for axis, column in axes.items()
    }


def _optics(source: StarInput, table: StarTable, box_size_px: int) -> Optics:
    optics = source.optics_of(table)

    def value(column: str, default: float | None = None) -> float:
        return (optics if column in optics else table).constant(column, default)

    return Optics(
        pixel_size_angstrom=_pixel_size(optics, table),
        voltage_kv=(optics if "rlnVoltage" in optics else table).positive("rlnVoltage"),
        spherical_aberration_mm=value("rlnSphericalAberration"),
        amplitude_contrast=value("rlnAmplitudeContrast"),
        box_size_px=int(value("rlnImageSize", box_size_px)),
        ctf_premultiplied=bool(value("rlnCtfDataAreCtfPremultiplied", 0.0)),
        dose_weighted=False,
    )


@dataclass(frozen=True)
class _Found:
    table: StarTable
    column: str


def _pixel_size(optics: StarTable, table: StarTable) -> float:
    found = [_Found(t, c) for c in _PIXEL_COLUMNS for t in (optics, table) if c in t]
    if not found:
        table.require([_PIXEL_COLUMNS[-1]])
    pixel = found[0].table.positive(found[0].column)
    if found[0].column == "rlnDetectorPixelSize" and "rlnMagnification" in found[0].table:
        # In RELION 3.0 the detector's pixel is in micrometres, before magnification.
        return pixel * 1e4 / found[0].table.positive("rlnMagnification")
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
