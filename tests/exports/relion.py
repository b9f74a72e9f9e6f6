"""The scene as RELION 4 and 5 write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import starfile

from exports.world import (
    SERIES_PIXEL,
    Columns,
    Exported,
    World,
    flags,
    write_blocks,
    write_stack,
    xyz,
)
from napari_tomodrgn.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from napari_tomodrgn.synthetic.scene import (
    AMPLITUDE_CONTRAST,
    SPHERICAL_ABERRATION_MM,
    TILT_AXIS_DEG,
    VOLTAGE_KV,
)


def relion_particles(world: World, folder: Path, *, only_visible: bool) -> Columns:
    """Columns that RELION 4 and 5 share: subtomogram angles, origins in its axes, 2-D stacks."""
    scene, crowd = world.scene, world.scene.crowd
    within = random_rotations(len(scene), np.random.default_rng(8))
    whole = euler_to_matrix(crowd.angles_deg)
    origins = np.einsum("nji,nj->ni", within, crowd.origins_angstrom)
    names, visible = [], []
    for particle in range(len(scene)):
        seen = scene.series[crowd.series[particle]].visible
        stack = world.stack_of(particle)
        name = f"Subtomograms/{world.series_of(particle)}/{crowd.number[particle]}_stack2d.mrcs"
        images = stack[seen] if only_visible else stack
        write_stack(folder / name, images, scene.pixel_size_angstrom)
        names.append(name)
        visible.append(flags(seen))
    return {
        "rlnTomoName": [world.series_of(particle) for particle in range(len(scene))],
        **xyz("rlnTomoSubtomogram", ("Rot", "Tilt", "Psi"), matrix_to_euler(within)),
        **xyz("rlnAngle", ("Rot", "Tilt", "Psi"), matrix_to_euler(within.mT @ whole)),
        "rlnOpticsGroup": crowd.series + 1,
        "rlnTomoParticleName": [
            f"{world.series_of(i)}/{number}" for i, number in enumerate(crowd.number)
        ],
        "rlnTomoVisibleFrames": visible,
        "rlnImageName": names,
        **xyz("rlnOrigin", ("XAngst", "YAngst", "ZAngst"), origins),
        "rlnRandomSubset": np.arange(len(scene)) % 2 + 1,
    }


def relion_optics(world: World) -> Columns:
    groups = np.arange(len(world.scene.series)) + 1
    pixel = world.scene.pixel_size_angstrom
    return {
        "rlnVoltage": np.full(len(groups), VOLTAGE_KV),
        "rlnSphericalAberration": SPHERICAL_ABERRATION_MM,
        "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        "rlnTomoTiltSeriesPixelSize": SERIES_PIXEL,
        "rlnOpticsGroup": groups,
        "rlnOpticsGroupName": [f"optics{group}" for group in groups],
        "rlnCtfDataAreCtfPremultiplied": 1,
        "rlnImageDimensionality": 2,
        "rlnTomoSubtomogramBinning": pixel / SERIES_PIXEL,
        "rlnImagePixelSize": pixel,
        "rlnImageSize": world.config.box_size_px,
    }


def relion_overview(world: World, hand: float = 1.0) -> Columns:
    extents = np.array([series.extent_xyz_angstrom for series in world.scene.series])
    return {
        "rlnTomoName": [series.name for series in world.scene.series],
        "rlnVoltage": VOLTAGE_KV,
        "rlnSphericalAberration": SPHERICAL_ABERRATION_MM,
        "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        "rlnTomoHand": hand,
        "rlnTomoTiltSeriesPixelSize": SERIES_PIXEL,
        **xyz("rlnTomoSize", "XYZ", np.rint(extents / SERIES_PIXEL).astype(int)),
    }


def relion_tilts(world: World, series: int) -> Columns:
    known, scheme = world.scene.series[series], world.scene.scheme
    return {
        "rlnMicrographPreExposure": scheme.dose_e_per_angstrom2,
        "rlnDefocusU": known.defocus_u_angstrom,
        "rlnDefocusV": known.defocus_v_angstrom,
        "rlnDefocusAngle": known.defocus_angle_deg,
        "rlnCtfScalefactor": np.cos(np.deg2rad(scheme.stage_tilt_deg)),
    }


def finish_relion(world: World, folder: Path, rows: Columns, tomograms: str) -> Exported:
    blocks = {
        "general": {"rlnTomoSubTomosAre2DStacks": 1},
        "optics": pd.DataFrame(relion_optics(world)),
        "particles": pd.DataFrame(rows),
    }
    write_blocks(folder / "particles.star", blocks)
    entries = {"rlnTomoParticlesFile": "particles.star", "rlnTomoTomogramsFile": tomograms}
    write_blocks(folder / "optimisation_set.star", {"": entries})
    names = [f"{world.series_of(i)}/{number}" for i, number in enumerate(world.scene.crowd.number)]
    return Exported(folder / "optimisation_set.star", folder / "particles.star", names, False)


def write_relion5(world: World, folder: Path) -> Exported:
    crowd = world.scene.crowd
    rows = relion_particles(world, folder, only_visible=True)
    extents = np.array([world.scene.series[row].extent_xyz_angstrom for row in crowd.series])
    centred = crowd.positions_angstrom + crowd.origins_angstrom - extents / 2
    rows |= xyz("rlnCenteredCoordinate", ("XAngst", "YAngst", "ZAngst"), centred)
    overview = relion_overview(world)
    overview["rlnTomoTiltSeriesStarFile"] = [
        f"Tilts/job7/tilt_series/{series.name}.star" for series in world.scene.series
    ]
    for row, series in enumerate(world.scene.series):
        tilts = {
            "rlnMicrographName": [f"{series.name}_{i}.mrc" for i in range(world.config.tilts)],
            **relion_tilts(world, row),
            "rlnTomoXTilt": 0.0,
            "rlnTomoYTilt": world.scene.scheme.stage_tilt_deg,
            "rlnTomoZRot": TILT_AXIS_DEG,
            "rlnTomoXShiftAngst": np.linspace(-40.0, 60.0, world.config.tilts),
            "rlnTomoYShiftAngst": np.linspace(10.0, -20.0, world.config.tilts),
        }
        path = folder / "Tilts" / "job7" / "tilt_series" / f"{series.name}.star"
        write_blocks(path, {series.name: pd.DataFrame(tilts)})
    path = folder / "Tilts" / "job7" / "tomograms.star"
    write_blocks(path, {"global": pd.DataFrame(overview)})
    return finish_relion(world, folder, rows, "Tilts/job7/tomograms.star")


def write_relion4(world: World, folder: Path) -> Exported:
    crowd = world.scene.crowd
    rows = relion_particles(world, folder, only_visible=False)
    boxes = crowd.positions_angstrom + crowd.origins_angstrom
    rows |= xyz("rlnCoordinate", "XYZ", boxes / SERIES_PIXEL)
    rows["rlnTomoManifoldIndex"] = 1
    overview = relion_overview(world)
    overview["rlnTomoTiltSeriesName"] = [f"{series.name}.mrc" for series in world.scene.series]
    overview["rlnTomoFrameCount"] = world.config.tilts
    blocks: dict[str, Any] = {"global": pd.DataFrame(overview)}
    matrices = world.scene.scheme.rotations
    for row, series in enumerate(world.scene.series):
        tilts = relion_tilts(world, row)
        for i, axis in enumerate("XYZ"):
            tilts[f"rlnTomoProj{axis}"] = [
                "[" + ",".join(f"{value:.9g}" for value in (*matrix[i], 123.4)) + "]"
                for matrix in matrices
            ]
        tilts["rlnTomoProjW"] = "[0,0,0,1]"
        blocks[series.name] = pd.DataFrame(tilts)
    write_blocks(folder / "tomograms.star", blocks)
    return finish_relion(world, folder, rows, "tomograms.star")


def write_relion_matrices(world: World, folder: Path) -> Exported:
    """RELION's matrices, no angles of subtomograms, coordinates in pixels of the images."""
    exported = write_relion4(world, folder)
    crowd, pixel = world.scene.crowd, world.scene.pixel_size_angstrom
    blocks = starfile.read(exported.particles, always_dict=True)
    rows = blocks["particles"].drop(
        columns=[f"rlnTomoSubtomogram{name}" for name in ("Rot", "Tilt", "Psi")]
    )
    boxes = crowd.positions_angstrom + crowd.origins_angstrom
    rows = rows.assign(
        **xyz("rlnAngle", ("Rot", "Tilt", "Psi"), crowd.angles_deg),
        **xyz("rlnOrigin", ("XAngst", "YAngst", "ZAngst"), crowd.origins_angstrom),
        **xyz("rlnCoordinate", "XYZ", boxes / pixel),
    )
    write_blocks(exported.particles, {**blocks, "particles": rows})
    return exported


def write_relion5_lists(world: World, folder: Path) -> Exported:
    """RELION 5, each table of one row as a list: optics, and the one tomogram of each set star."""
    exported = write_relion5(world, folder)
    blocks = starfile.read(exported.particles, always_dict=True)
    blocks["optics"] = {name: values.iloc[0] for name, values in blocks["optics"].items()}
    blocks["particles"] = blocks["particles"].assign(rlnOpticsGroup=1)
    write_blocks(exported.particles, blocks)
    assert "loop_" not in exported.particles.read_text().split("data_optics")[1].split("data_")[0]
    entries = starfile.read(exported.star, always_dict=True)[""]
    write_blocks(exported.star, {"": pd.DataFrame([entries])})
    assert "loop_" in exported.star.read_text()
    return exported


def warptools(world: World, folder: Path) -> Exported:
    star = world.out / "warptools" / "particles_optimisation_set.star"
    names = [
        f"{world.series_of(i)}.tomostar/{number}"
        for i, number in enumerate(world.scene.crowd.number)
    ]
    return Exported(star, star.with_name("particles.star"), names, False)


def write_refined(world: World, folder: Path) -> Exported:
    """The WarpTools set after a refinement in RELION 5: more columns, in another order."""
    before = warptools(world, folder)
    blocks = starfile.read(before.particles, always_dict=True)
    rows = blocks["particles"]
    rows["rlnImageName"] = str(before.particles.parent) + "/" + rows["rlnImageName"]
    refined = {
        "rlnGroupNumber": 1,
        "rlnClassNumber": 1,
        "rlnNormCorrection": 0.98,
        "rlnRandomSubset": np.arange(len(rows)) % 2 + 1,
        "rlnLogLikeliContribution": -1.5e5,
        "rlnMaxValueProbDistribution": 0.4,
        "rlnNrOfSignificantSamples": 3,
    }
    rows = rows.assign(**refined)
    blocks["particles"] = rows[sorted(rows)]
    write_blocks(folder / "run_data.star", blocks)
    tomograms = before.particles.with_name("particles_tomograms.star")
    entries = {
        "rlnTomoParticlesFile": "run_data.star",
        "rlnTomoTomogramsFile": str(tomograms),
        "rlnTomoTrajectoriesFile": "None",
    }
    write_blocks(folder / "run_optimisation_set.star", {"": entries})
    star = folder / "run_optimisation_set.star"
    return Exported(star, folder / "run_data.star", before.names, False)
