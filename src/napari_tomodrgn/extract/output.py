"""What is written: 2-D stacks of visible images, and stars that RELION 5 and this package read.

::

    OUT/optimisation_set.star           open this one
    OUT/particles.star, tomograms.star, tilt_series/NAME.star
    OUT/image_series.star               one row an image, on request
    OUT/Particles/NAME/000001.mrcs      the visible images of one particle, in the tilts' order
    OUT/extraction.json                 where everything came from

Images are as recorded, each tilt with its mean taken away and divided by its standard deviation:
not multiplied by the CTF, not weighted by dose, and the optics say so.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import mrcfile.dtypes
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.data.star import StarBlocks, write_star
from napari_tomodrgn.extract.cut import CropPlan
from napari_tomodrgn.extract.geometry import centre_index, tilt_angles
from napari_tomodrgn.extract.series import Series
from napari_tomodrgn.geometry import matrix_to_euler

FloatArray = NDArray[np.float64]
OPTIMISATION_SET = "optimisation_set.star"  # the file to open
_MODES = {"float32": 2, "float16": 12}
_LABEL = b"extracted by napari-tomodrgn"
# An own column: no program's optics say whether images were weighted by dose.
DOSE_WEIGHTED = "tomodrgnDoseWeighted"
LIST_ROW = "tomodrgnListRow"


@dataclass(frozen=True)
class ExtractedOptics:
    """Of the microscope, for all images."""

    voltage_kv: float
    spherical_aberration_mm: float
    amplitude_contrast: float


@dataclass(frozen=True, eq=False)
class PlacedSeries:
    """One tomogram's particles as they are written; rows of the arrays are kept particles.

    Attributes
    ----------
    series
        The tomogram.
    rows
        Rows in the list.
    names
        Of the particles within the tomogram.
    stacks
        Of the image files, from the output folder.
    centred_angstrom, rotations
        Places from the middle of the specimen, and poses.
    xy_px, depth_angstrom
        Where they are in each tilt, ``(tilt, particle, …)``.
    visible
        ``(tilt, particle)``.
    left_out
        Names of particles with too few visible images.
    hand
        Sign of the depth in the defocus.
    """

    series: Series
    rows: NDArray[np.int64]
    names: tuple[str, ...]
    stacks: tuple[str, ...]
    centred_angstrom: FloatArray
    rotations: FloatArray
    xy_px: FloatArray
    depth_angstrom: FloatArray
    visible: NDArray[np.bool_]
    left_out: tuple[str, ...]
    hand: float

    def __len__(self) -> int:
        """Return the number of kept particles."""
        return len(self.rows)


def stack_name(series: str, particle: str, row: int) -> str:
    """File of a particle's images, from the output folder."""
    safe = particle if re.fullmatch(r"[\w+-][\w.+-]{0,60}", particle) else f"row_{row + 1:06d}"
    number = f"{int(safe):06d}" if safe.isdigit() and len(safe) < 7 else safe
    return f"Particles/{series}/{number}.mrcs"


def mrc_stack_header(
    count: int, box_px: int, pixel_size_angstrom: float, dtype: str, statistics: FloatArray
) -> bytes:
    """The header of a stack of images, the same whenever it is written.

    ``statistics`` are least, largest, mean and standard deviation of the pixels.
    """
    header = np.zeros(1, mrcfile.dtypes.HEADER_DTYPE)
    header["nx"], header["ny"], header["nz"] = box_px, box_px, count
    header["mx"], header["my"], header["mz"] = box_px, box_px, 1
    header["mode"] = _MODES[dtype]
    edge = box_px * pixel_size_angstrom
    header["cella"] = (edge, edge, pixel_size_angstrom)
    header["cellb"] = (90.0, 90.0, 90.0)
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    header["dmin"], header["dmax"], header["dmean"], header["rms"] = statistics
    header["exttyp"], header["nversion"], header["map"] = b"MRCO", 20140, b"MAP "
    header["machst"] = (0x44, 0x44, 0, 0)
    header["nlabl"] = 1
    header["label"][0, 0] = _LABEL
    return header.tobytes()


def write_image_stack(
    path: Path, images: NDArray[np.float32], pixel_size_angstrom: float, dtype: str
) -> BinaryIO:
    """Write a particle's images ``(image, box, box)``; the file is left open to be synced."""
    values = np.ascontiguousarray(images).astype(dtype, copy=False)
    mean = images.mean(dtype=np.float64)
    squares = np.square(images).mean(dtype=np.float64)
    sd = max(squares - mean**2, 0.0) ** 0.5
    statistics = np.array([values.min(), values.max(), mean, sd])
    header = mrc_stack_header(len(images), images.shape[1], pixel_size_angstrom, dtype, statistics)
    handle = open(path, "wb")
    try:
        handle.write(header)
        handle.write(values.data)
        handle.flush()
    except BaseException:
        close_quietly(handle)
        raise
    return handle


def close_quietly(handle: BinaryIO) -> None:
    """Close a file that is given up: what it cannot write any more is not missed."""
    with suppress(OSError):
        handle.close()


def synced(handle: BinaryIO) -> None:
    """Bring a written file to the disk and close it."""
    with handle:
        os.fsync(handle.fileno())


def write_extraction_stars(
    out: Path,
    placed: list[PlacedSeries],
    plan: CropPlan,
    optics: ExtractedOptics,
    image_series: bool,
) -> Path:
    """Write all stars of an extraction; the optimisation set, written last, is returned."""
    for one in placed:
        write_star(out / "tilt_series" / f"{one.series.name}.star", _tilt_series(one))
    write_star(out / "tomograms.star", {"global": _tomograms(placed, optics)})
    write_star(out / "particles.star", _particles(placed, plan, optics))
    if image_series:
        write_star(out / "image_series.star", _image_series(placed, plan, optics))
    entries = {
        "rlnTomoParticlesFile": "particles.star",
        "rlnTomoTomogramsFile": "tomograms.star",
    }
    path = out / OPTIMISATION_SET
    write_star(path, {"": entries})
    return path


def _texts(columns: dict[str, object]) -> pd.DataFrame:
    """Columns as text: numbers with as many digits as they need."""
    made = {}
    for name, values in columns.items():
        items = list(values)  # type: ignore[call-overload]
        made[name] = [f"{item:.6f}" if isinstance(item, float) else str(item) for item in items]
    return pd.DataFrame(made, dtype="str")


def _floats(values: FloatArray) -> list[float]:
    # No minus before a zero: it would tell two equal extractions apart.
    return [float(value) for value in (np.round(values, 6) + 0.0)]


def _tilt_series(one: PlacedSeries) -> StarBlocks:
    series, geometry = one.series, one.series.geometry
    sections = geometry.sections
    angles = tilt_angles(geometry.views)
    pixel = geometry.pixel_size_angstrom
    shifts = (geometry.middle_px - centre_index(geometry.image_size_px, "n//2")) * pixel
    contrast = series.contrast
    tilt = geometry.stage_tilt_deg
    columns: dict[str, object] = {
        "rlnMicrographName": [f"{section + 1}@{series.stack.path.name}" for section in sections],
        "rlnTomoNominalStageTiltAngle": _floats(tilt),
        "rlnTomoXTilt": _floats(angles[:, 2]),
        "rlnTomoYTilt": _floats(angles[:, 1]),
        "rlnTomoZRot": _floats(angles[:, 0]),
        "rlnTomoXShiftAngst": _floats(shifts[:, 0]),
        "rlnTomoYShiftAngst": _floats(shifts[:, 1]),
        "rlnDefocusU": _floats(contrast.defocus_u_angstrom[sections]),
        "rlnDefocusV": _floats(contrast.defocus_v_angstrom[sections]),
        "rlnDefocusAngle": _floats(contrast.defocus_angle_deg[sections]),
        "rlnPhaseShift": _floats(contrast.phase_shift_deg[sections]),
        "rlnMicrographPreExposure": _floats(series.doses[sections]),
        "rlnCtfScalefactor": _floats(np.cos(np.deg2rad(tilt))),
    }
    return StarBlocks({series.name: _texts(columns)})


def _tomograms(placed: list[PlacedSeries], optics: ExtractedOptics) -> pd.DataFrame:
    sizes = np.array([one.series.size_px for one in placed])
    count = len(placed)
    columns: dict[str, object] = {
        "rlnTomoName": [one.series.name for one in placed],
        "rlnVoltage": [optics.voltage_kv] * count,
        "rlnSphericalAberration": [optics.spherical_aberration_mm] * count,
        "rlnAmplitudeContrast": [optics.amplitude_contrast] * count,
        "rlnMicrographOriginalPixelSize": _floats(_pixels(placed)),
        "rlnTomoHand": [float(one.hand) for one in placed],
        "rlnOpticsGroupName": ["opticsGroup1"] * count,
        "rlnTomoTiltSeriesPixelSize": _floats(_pixels(placed)),
        "rlnTomoTiltSeriesStarFile": [f"tilt_series/{one.series.name}.star" for one in placed],
        **{f"rlnTomoSize{axis}": sizes[:, i].tolist() for i, axis in enumerate("XYZ")},
    }
    return _texts(columns)


def _pixels(placed: list[PlacedSeries]) -> FloatArray:
    return np.array([one.series.stack.pixel_size_angstrom for one in placed])


def _optics_table(plan: CropPlan, optics: ExtractedOptics, series_pixel: float) -> pd.DataFrame:
    return _texts(
        {
            "rlnOpticsGroup": [1],
            "rlnOpticsGroupName": ["opticsGroup1"],
            "rlnSphericalAberration": [optics.spherical_aberration_mm],
            "rlnVoltage": [optics.voltage_kv],
            "rlnAmplitudeContrast": [optics.amplitude_contrast],
            "rlnTomoTiltSeriesPixelSize": [float(series_pixel)],
            "rlnCtfDataAreCtfPremultiplied": [0],
            DOSE_WEIGHTED: [0],
            "rlnImageDimensionality": [2],
            "rlnTomoSubtomogramBinning": [float(plan.binning)],
            "rlnImagePixelSize": [float(plan.pixel_size_angstrom)],
            "rlnImageSize": [plan.box_px],
        }
    )


def _particles(placed: list[PlacedSeries], plan: CropPlan, optics: ExtractedOptics) -> StarBlocks:
    tomograms = [one.series.name for one in placed for _ in one.names]
    names = [name for one in placed for name in one.names]
    centred = np.concatenate([one.centred_angstrom for one in placed])
    angles = matrix_to_euler(np.concatenate([one.rotations for one in placed]))
    visible = [_list_text(one.visible[:, row]) for one in placed for row in range(len(one))]
    columns: dict[str, object] = {
        "rlnTomoName": tomograms,
        "rlnTomoParticleName": [f"{t}/{n}" for t, n in zip(tomograms, names, strict=True)],
        **{
            f"rlnCenteredCoordinate{axis}Angst": _floats(centred[:, i])
            for i, axis in enumerate("XYZ")
        },
        **{
            f"rlnAngle{name}": _floats(angles[:, i])
            for i, name in enumerate(("Rot", "Tilt", "Psi"))
        },
        **{f"rlnOrigin{axis}Angst": [0] * len(names) for axis in "XYZ"},
        "rlnOpticsGroup": [1] * len(names),
        "rlnImageName": [name for one in placed for name in one.stacks],
        "rlnTomoVisibleFrames": visible,
        LIST_ROW: [int(row) + 1 for one in placed for row in one.rows],
    }
    series_pixel = placed[0].series.stack.pixel_size_angstrom
    return StarBlocks(
        {
            "general": {"rlnTomoSubTomosAre2DStacks": "1"},
            "optics": _optics_table(plan, optics, series_pixel),
            "particles": _texts(columns),
        }
    )


def _list_text(flags: NDArray[np.bool_]) -> str:
    return "[" + ",".join("1" if flag else "0" for flag in flags) + "]"


def _image_series(
    placed: list[PlacedSeries], plan: CropPlan, optics: ExtractedOptics
) -> StarBlocks:
    """One row an image, as Warp writes them; the dose in the B factor."""
    return StarBlocks({"": pd.concat([_image_rows(one, plan, optics) for one in placed])})


def _image_rows(one: PlacedSeries, plan: CropPlan, optics: ExtractedOptics) -> pd.DataFrame:
    series, geometry = one.series, one.series.geometry
    tilts, owner = np.nonzero(one.visible)
    order = np.lexsort((tilts, owner))
    tilts, owner = tilts[order], owner[order]
    within = np.arange(len(owner)) - np.searchsorted(owner, owner)
    section = geometry.sections[tilts]
    depth = one.hand * one.depth_angstrom[tilts, owner]
    angles = matrix_to_euler(geometry.views[tilts] @ one.rotations[owner])
    contrast = series.contrast
    columns: dict[str, object] = {
        "rlnMagnification": [10_000.0] * len(tilts),
        "rlnDetectorPixelSize": [float(plan.pixel_size_angstrom)] * len(tilts),
        "rlnVoltage": [optics.voltage_kv] * len(tilts),
        "rlnSphericalAberration": [optics.spherical_aberration_mm] * len(tilts),
        "rlnAmplitudeContrast": [optics.amplitude_contrast] * len(tilts),
        "rlnPhaseShift": _floats(contrast.phase_shift_deg[section]),
        "rlnDefocusU": _floats(contrast.defocus_u_angstrom[section] + depth),
        "rlnDefocusV": _floats(contrast.defocus_v_angstrom[section] + depth),
        "rlnDefocusAngle": _floats(contrast.defocus_angle_deg[section]),
        "rlnImageName": [
            f"{n + 1:06d}@{one.stacks[row]}" for n, row in zip(within, owner, strict=True)
        ],
        "rlnMicrographName": [series.name] * len(tilts),
        "rlnCoordinateX": _floats(one.xy_px[tilts, owner, 0]),
        "rlnCoordinateY": _floats(one.xy_px[tilts, owner, 1]),
        **{
            f"rlnAngle{name}": _floats(angles[:, i])
            for i, name in enumerate(("Rot", "Tilt", "Psi"))
        },
        "rlnCtfBfactor": _floats(-4.0 * series.doses[section]),
        "rlnCtfScalefactor": _floats(np.cos(np.deg2rad(geometry.stage_tilt_deg[tilts]))),
        "rlnGroupName": [f"{series.name}_{one.names[row]}" for row in owner],
    }
    return _texts(columns)
