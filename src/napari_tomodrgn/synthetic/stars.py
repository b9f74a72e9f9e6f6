"""The star files of both exports and the table of the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from napari_tomodrgn.files import write_text
from napari_tomodrgn.geometry import FloatArray, matrix_to_euler, rotation_angles_deg
from napari_tomodrgn.synthetic.layout import (
    Layout,
    tomogram_name,
    warp_group,
    warp_stack,
    warptools_stack,
)
from napari_tomodrgn.synthetic.nuisances import MEMBRANE
from napari_tomodrgn.synthetic.scene import (
    AMPLITUDE_CONTRAST,
    SPHERICAL_ABERRATION_MM,
    VOLTAGE_KV,
    Scene,
    TiltSeries,
)
from napari_tomodrgn.synthetic.settings import SimulationConfig

# Pixel size of the tilt series, of which the particles are a binned extract.
_SERIES_PIXEL_ANGSTROM = 1.5
# Warp v1 gives the pixel size as a detector pixel in µm under a magnification of this.
_MAGNIFICATION = 10_000.0


def write_stars(layout: Layout, scene: Scene, config: SimulationConfig) -> None:
    """Write the three star files of WarpTools and the one of Warp, or those that were asked for."""
    if config.export != "warptools":
        _write(layout.warp, {"": _warp_rows(scene, config)})
    if config.export != "warp":
        _write_warptools(layout, scene, config)


def _write_warptools(layout: Layout, scene: Scene, config: SimulationConfig) -> None:
    _write(layout.warptools_tomograms, _tomogram_blocks(scene, config))
    particles: dict[str, pd.DataFrame | dict[str, int]] = {
        "general": {"rlnTomoSubTomosAre2DStacks": 1},
        "optics": _optics(scene, config),
        "particles": _warptools_rows(scene),
    }
    _write(layout.warptools_particles, particles)
    files = {
        "rlnTomoParticlesFile": layout.warptools_particles.name,
        "rlnTomoTomogramsFile": layout.warptools_tomograms.name,
    }
    _write(layout.warptools, {"": files})


def _write(path: Path, blocks: Mapping[str, pd.DataFrame | Mapping[str, object]]) -> None:
    # The first line that starfile writes holds the time of day.
    text = starfile.to_string(blocks).split("\n", 1)[1]
    write_text(path, "# simulated by napari-tomodrgn\n" + text)


def _optics(scene: Scene, config: SimulationConfig) -> pd.DataFrame:
    groups = np.arange(len(scene.series)) + 1
    return pd.DataFrame(
        {
            "rlnOpticsGroup": groups,
            "rlnOpticsGroupName": [f"opticsGroup{group}" for group in groups],
            "rlnSphericalAberration": SPHERICAL_ABERRATION_MM,
            "rlnVoltage": VOLTAGE_KV,
            "rlnTomoTiltSeriesPixelSize": _SERIES_PIXEL_ANGSTROM,
            "rlnCtfDataAreCtfPremultiplied": 1,
            "rlnImageDimensionality": 2,
            "rlnTomoSubtomogramBinning": scene.pixel_size_angstrom / _SERIES_PIXEL_ANGSTROM,
            "rlnImagePixelSize": scene.pixel_size_angstrom,
            "rlnImageSize": config.box_size_px,
            "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        }
    )


def _warptools_rows(scene: Scene) -> pd.DataFrame:
    crowd = scene.crowd
    names = [scene.series[row].name for row in crowd.series]
    visible = [_list_text(series.visible.astype(int), "d") for series in scene.series]
    pairs = list(zip(names, crowd.number, strict=True))
    pixel = scene.pixel_size_angstrom
    boxes = crowd.positions_angstrom + crowd.origins_angstrom
    columns: dict[str, object] = {
        "rlnTomoName": [tomogram_name(name) for name in names],
        "rlnTomoParticleId": crowd.number,
        **_columns("rlnCoordinate", "XYZ", boxes / pixel),
        **_columns("rlnAngle", ("Rot", "Tilt", "Psi"), crowd.angles_deg),
        "rlnTomoParticleName": [f"{name}/{number}" for name, number in pairs],
        "rlnOpticsGroup": crowd.series + 1,
        "rlnImageName": [warptools_stack(name, number, pixel) for name, number in pairs],
        **_columns("rlnOrigin", ("XAngst", "YAngst", "ZAngst"), crowd.origins_angstrom),
        "rlnTomoVisibleFrames": [visible[row] for row in crowd.series],
    }
    return pd.DataFrame(columns)


def _tomogram_blocks(scene: Scene, config: SimulationConfig) -> dict[str, pd.DataFrame]:
    extents = np.array([series.extent_xyz_angstrom for series in scene.series])
    sizes = np.rint(extents / _SERIES_PIXEL_ANGSTROM).astype(int)
    names = [tomogram_name(series.name) for series in scene.series]
    overview = {
        "rlnTomoName": names,
        "rlnTomoTiltSeriesName": [f"{series.name}.st" for series in scene.series],
        "rlnTomoFrameCount": config.tilts,
        **_columns("rlnTomoSize", "XYZ", sizes),
        "rlnTomoHand": -1.0,
        "rlnOpticsGroupName": [f"opticsGroup{n + 1}" for n in range(len(names))],
        "rlnTomoTiltSeriesPixelSize": _SERIES_PIXEL_ANGSTROM,
        "rlnVoltage": VOLTAGE_KV,
        "rlnSphericalAberration": SPHERICAL_ABERRATION_MM,
        "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        "rlnTomoImportFractionalDose": config.dose_per_tilt,
    }
    blocks = {"global": pd.DataFrame(overview)}
    for name, series in zip(names, scene.series, strict=True):
        blocks[name] = _tilt_rows(scene, series)
    return blocks


def _tilt_rows(scene: Scene, series: TiltSeries) -> pd.DataFrame:
    matrices = scene.scheme.rotations
    cosines = scene.scheme.ctf_scale
    projection = {
        f"rlnTomoProj{axis}": [_list_text([*matrix[row], 0], ".9g") for matrix in matrices]
        for row, axis in enumerate("XYZ")
    }
    return pd.DataFrame(
        {
            **projection,
            "rlnTomoProjW": "[0,0,0,1]",
            "rlnDefocusU": series.defocus_u_angstrom,
            "rlnDefocusV": series.defocus_v_angstrom,
            "rlnDefocusAngle": series.defocus_angle_deg,
            # WarpTools marks tilts that are not usable with a zero.
            "rlnCtfScalefactor": np.where(series.visible, cosines, 0.0),
            "rlnMicrographPreExposure": scene.scheme.dose_e_per_angstrom2,
        }
    )


def _warp_rows(scene: Scene, config: SimulationConfig) -> pd.DataFrame:
    frames = []
    written = [0] * len(scene.series)
    for particle in range(len(scene)):
        row = int(scene.crowd.series[particle])
        rows = _warp_images(scene, particle)
        first = written[row] + 1
        written[row] += len(rows)
        numbers = range(first, written[row] + 1)
        stack = warp_stack(scene.series[row].name)
        rows["rlnImageName"] = [f"{number:06d}@{stack}" for number in numbers]
        frames.append(rows)
    table = pd.concat(frames, ignore_index=True)
    # Images that were exported at their refined place are centred: Warp has no such columns then.
    return table if config.shifts_px else table.drop(columns=["rlnOriginX", "rlnOriginY"])


def _warp_images(scene: Scene, particle: int) -> pd.DataFrame:
    """Rows of the visible images of one particle."""
    crowd = scene.crowd
    row, number = int(crowd.series[particle]), int(crowd.number[particle])
    series, poses = scene.series[row], scene.poses(particle)
    pixel = scene.pixel_size_angstrom
    corner = (poses.positions_angstrom + series.extent_xyz_angstrom / 2)[:, :2]
    columns: dict[str, object] = {
        "rlnMagnification": _MAGNIFICATION,
        "rlnDetectorPixelSize": pixel,
        "rlnVoltage": VOLTAGE_KV,
        "rlnSphericalAberration": SPHERICAL_ABERRATION_MM,
        "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        "rlnPhaseShift": np.zeros(len(series.visible)),
        "rlnDefocusU": poses.defocus_u_angstrom,
        "rlnDefocusV": poses.defocus_v_angstrom,
        "rlnDefocusAngle": series.defocus_angle_deg,
        "rlnImageName": "",
        "rlnMicrographName": tomogram_name(series.name),
        **_columns("rlnCoordinate", "XY", corner / pixel),
        **_columns("rlnAngle", ("Rot", "Tilt", "Psi"), matrix_to_euler(poses.rotations)),
        "rlnCtfBfactor": -4.0 * scene.scheme.dose_e_per_angstrom2,
        "rlnCtfScalefactor": scene.scheme.ctf_scale,
        "rlnRandomSubset": particle % 2 + 1,
        "rlnGroupName": warp_group(row, number),
        **_columns("rlnOrigin", "XY", poses.shifts_px),
    }
    return pd.DataFrame(columns)[series.visible].reset_index(drop=True)


def write_truth(layout: Layout, scene: Scene, structures: tuple[str, ...], motion: bool) -> None:
    """Write the table of the truth, one row a particle, in the order of both exports.

    Columns: the particle's identity in each export, its tomogram; ``state`` and ``state_name``, or
    for a motion ``coordinate`` in [0, 1]; Euler angles (°), position from the tomogram's corner and
    how far beyond where the star has it the box was centred (Å); then what the star files do not
    know: by how much pose, place and defocus are off, neighbours, membrane, false picks.
    """
    crowd = scene.crowd
    tomograms = [tomogram_name(scene.series[row].name) for row in crowd.series]
    axes = [f"{axis}_angstrom" for axis in "xyz"]
    pairs = list(zip(crowd.series, crowd.number, strict=True))
    groups = [warp_group(int(row), int(number)) for row, number in pairs]
    if motion:
        states: dict[str, object] = {"coordinate": crowd.place / (len(structures) - 1)}
    else:
        numbers = crowd.place.astype(int)
        states = {"state": numbers, "state_name": [structures[number] for number in numbers]}
    table = {
        "particle_id": [f"{name}/{n}" for name, n in zip(tomograms, crowd.number, strict=True)],
        "warp_particle_id": [f"{name}/{n}" for name, n in zip(tomograms, groups, strict=True)],
        "tomogram": tomograms,
        **states,
        **_columns("", ("rot_deg", "tilt_deg", "psi_deg"), scene.true_angles_deg()),
        **_columns(
            "position_", [f"{axis}_angstrom" for axis in "xyz"], scene.true_positions_angstrom()
        ),
        **_columns("origin_", axes, crowd.origins_angstrom),
        **_nuisance_columns(scene),
    }
    write_text(layout.truth, pd.DataFrame(table).to_csv(index=False, float_format="%.6f"))


def _nuisance_columns(scene: Scene) -> dict[str, np.ndarray]:
    """What is wrong with each particle, true minus recorded."""
    wrong, count = scene.nuisances, len(scene)
    owners, membrane = wrong.neighbors.owner, wrong.neighbors.kind == MEMBRANE
    names = [f"{axis}_angstrom" for axis in "xyz"]
    return {
        "pose_error_deg": rotation_angles_deg(wrong.turns),
        **_columns("shift_error_", names, wrong.shifts_angstrom),
        "defocus_error_angstrom": wrong.defocus_angstrom,
        "neighbors": np.bincount(owners[~membrane], minlength=count),
        "membrane": np.bincount(owners[membrane], minlength=count),
        "false_pick": wrong.false_picks.astype(int),
    }


def write_true_tilts(layout: Layout, scene: Scene) -> None:
    """Write what is true of each tilt image: tilt and dose over those of the star files.

    Columns: tomogram, tilt index, recorded stage tilt (°), true minus recorded tilt (°), true over
    recorded dose, and the amplitude of the signal that thick ice leaves.
    """
    wrong, scheme = scene.nuisances, scene.scheme
    tables = [
        pd.DataFrame(
            {
                "tomogram": tomogram_name(series.name),
                "tilt_index": np.arange(len(scheme.stage_tilt_deg)),
                "stage_tilt_deg": scheme.stage_tilt_deg,
                "tilt_error_deg": wrong.tilt_deg[row],
                "dose_factor": wrong.dose_factors[row],
                "thickness_factor": wrong.thickness_factors,
            }
        )
        for row, series in enumerate(scene.series)
    ]
    text = pd.concat(tables).to_csv(index=False, float_format="%.6f")
    write_text(layout.true_tilts, text)


def _columns(stem: str, ends: Iterable[str], values: FloatArray) -> dict[str, np.ndarray]:
    return {f"{stem}{end}": values[:, column] for column, end in enumerate(ends)}


def _list_text(values: Iterable[object], form: str) -> str:
    return "[" + ",".join(format(value, form) for value in values) + "]"
