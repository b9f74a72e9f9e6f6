"""The same simulated particles written in every dialect, from the scene and not by our readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile
from numpy.typing import NDArray

from napari_tomodrgn.geometry import euler_to_matrix, matrix_to_euler, random_rotations
from napari_tomodrgn.synthetic import SimulationConfig, simulate
from napari_tomodrgn.synthetic.scene import (
    AMPLITUDE_CONTRAST,
    SPHERICAL_ABERRATION_MM,
    TILT_AXIS_DEG,
    VOLTAGE_KV,
    Scene,
    make_scene,
)
from napari_tomodrgn.synthetic.structures import load_structures

SERIES_PIXEL = 1.5
CONFIG = SimulationConfig(
    particles=24, tilts=11, box_size_px=32, states=1, snr=1000.0, hidden_tilts=2, seed=3
)
Columns = dict[str, Any]


@dataclass(frozen=True)
class Exported:
    """What a generator wrote.

    ``star`` is the file to open, ``particles`` the one that lists particles or images. Particle
    ``i`` of the scene is called ``names[i]``.
    """

    star: Path
    particles: Path
    names: list[str]
    rows_are_images: bool


@dataclass(frozen=True)
class World:
    """The folder of a simulation and the truth behind it."""

    out: Path
    config: SimulationConfig
    scene: Scene

    def series_of(self, particle: int) -> str:
        return self.scene.series[self.scene.crowd.series[particle]].name

    def stack_of(self, particle: int) -> NDArray[np.float16]:
        """All frames of a particle, pre-multiplied and weighted."""
        number = self.scene.crowd.number[particle]
        pixel = self.scene.pixel_size_angstrom
        series = self.series_of(particle)
        folder = self.out / "warptools" / "particles" / series
        return mrcfile.read(folder / f"{series}_{pixel:.2f}A_{number:06d}.mrcs")

    def images_of(self, series: int) -> NDArray[np.float32]:
        """All visible images of a series as recorded, a particle after the other."""
        name = self.scene.series[series].name
        return mrcfile.read(self.out / "warp" / "particles" / f"{name}.mrcs")


def xyz(stem: str, ends: Any, values: NDArray[np.float64]) -> Columns:
    return {f"{stem}{end}": values[:, i] for i, end in enumerate(ends)}


def write_stack(path: Path, images: NDArray[Any], pixel: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as stack:
        stack.set_data(np.ascontiguousarray(images))
        stack.set_image_stack()
        stack.voxel_size = pixel


def write_blocks(path: Path, blocks: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    starfile.write(blocks, path, float_format="%.6f", overwrite=True)


def flags(visible: NDArray[np.bool_]) -> str:
    return "[" + ",".join(str(int(flag)) for flag in visible) + "]"


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


def image_truth(world: World, particle: int) -> Columns:
    """Values of the visible images of a particle, by plain names."""
    series = world.scene.series[world.scene.crowd.series[particle]]
    poses, scheme = world.scene.poses(particle), world.scene.scheme
    angles = matrix_to_euler(poses.rotations)
    columns = {
        **{name: angles[:, i] for i, name in enumerate(("rot", "tilt", "psi"))},
        "x": poses.shifts_px[:, 0],
        "y": poses.shifts_px[:, 1],
        "u": poses.defocus_u_angstrom,
        "v": poses.defocus_v_angstrom,
        "angle": series.defocus_angle_deg,
        "dose": scheme.dose_e_per_angstrom2,
        "stage": scheme.stage_tilt_deg,
        "frame": np.arange(world.config.tilts),
    }
    return {name: values[series.visible] for name, values in columns.items()}


def in_series_order(world: World, columns: Callable[[int], Columns]) -> pd.DataFrame:
    frames = [pd.DataFrame(columns(particle)) for particle in range(len(world.scene))]
    return pd.concat(frames, ignore_index=True)


def numbered(world: World, folder: Path) -> list[str]:
    """``12@stack`` of every image, stacks as recorded and one a tomogram."""
    names = []
    for row, series in enumerate(world.scene.series):
        images = world.images_of(row)
        write_stack(folder / f"{series.name}_stack.mrcs", images, world.scene.pixel_size_angstrom)
        names += [f"{i:07d}@{series.name}_stack.mrcs" for i in range(1, len(images) + 1)]
    return names


def pyp_rows(world: World, folder: Path, group: Callable[[int], object]) -> pd.DataFrame:
    pixel = world.scene.pixel_size_angstrom

    def columns(particle: int) -> Columns:
        truth = image_truth(world, particle)
        return {
            "rlnMicrographName": f"{world.series_of(particle)}.mrc",
            "rlnCoordinateX": 10.0,
            "rlnCoordinateY": 20.0,
            "rlnAnglePsi": truth["psi"],
            "rlnAngleTilt": truth["tilt"],
            "rlnAngleRot": truth["rot"],
            "rlnOriginXAngst": truth["x"] * pixel,
            "rlnOriginYAngst": truth["y"] * pixel,
            "rlnDefocusU": truth["u"],
            "rlnDefocusV": truth["v"],
            "rlnDefocusAngle": truth["angle"],
            "rlnPhaseShift": 0.0,
            "rlnOpticsGroup": 1,
            "rlnGroupNumber": group(particle),
            "rlnCtfBfactor": -4.0 * truth["dose"],
            "rlnCtfScalefactor": np.cos(np.deg2rad(truth["stage"])),
            "rlnLogLikeliContribution": -1.5,
            "rlnRandomSubset": particle % 2 + 1,
            "rlnTiltIndex": truth["frame"],
        }

    rows = in_series_order(world, columns)
    rows.insert(0, "rlnImageName", numbered(world, folder))
    return rows


def finish_pyp(world: World, folder: Path, rows: pd.DataFrame) -> Exported:
    optics = {
        "rlnOpticsGroupName": ["opticsGroup1", "unused"],
        "rlnOpticsGroup": [1, 2],
        "rlnMicrographOriginalPixelSize": SERIES_PIXEL,
        "rlnVoltage": [VOLTAGE_KV, 200.0],
        "rlnSphericalAberration": SPHERICAL_ABERRATION_MM,
        "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        "rlnImagePixelSize": world.scene.pixel_size_angstrom,
        "rlnImageSize": world.config.box_size_px,
        "rlnImageDimensionality": 2,
    }
    path = folder / "particles.star"
    write_blocks(path, {"optics": pd.DataFrame(optics), "particles": rows})
    pairs = rows["rlnMicrographName"] + "/" + rows["rlnGroupNumber"].astype(str)
    return Exported(path, path, list(dict.fromkeys(pairs)), True)


def write_nextpyp(world: World, folder: Path) -> Exported:
    return finish_pyp(world, folder, pyp_rows(world, folder, lambda particle: particle))


def write_nextpyp_text(world: World, folder: Path) -> Exported:
    def group(particle: int) -> str:
        return f"T{particle % 3}_P{particle:04d}"

    return finish_pyp(world, folder, pyp_rows(world, folder, group))


def write_tomodrgn(world: World, folder: Path) -> Exported:
    """The nextPYP star as tomoDRGN filters it: dose and tilt (radians) worked out once."""
    rows = pyp_rows(world, folder, lambda particle: particle)
    pixel = world.scene.pixel_size_angstrom
    rows["tomodrgnTotalDose"] = rows["rlnCtfBfactor"] / -4
    rows["tomodrgnPseudoStageTilt"] = np.arccos(rows["rlnCtfScalefactor"])
    rows["rlnOriginX"] = rows["rlnOriginXAngst"] / pixel
    rows["rlnOriginY"] = rows["rlnOriginYAngst"] / pixel
    rows["UnfilteredParticleInds"] = rows["rlnGroupNumber"]
    rows["tomodrgnRandomSubset"] = 1
    return finish_pyp(world, folder, rows)


def cistem_rows(world: World) -> pd.DataFrame:
    pixel = world.scene.pixel_size_angstrom

    def columns(particle: int) -> Columns:
        truth = image_truth(world, particle)
        return {
            "cisTEMAnglePsi": truth["psi"],
            "cisTEMAngleTheta": truth["tilt"],
            "cisTEMAnglePhi": truth["rot"],
            # Where the particle is: minus the shift that would centre it.
            "cisTEMXShift": -truth["x"] * pixel,
            "cisTEMYShift": -truth["y"] * pixel,
            "cisTEMDefocus1": truth["u"],
            "cisTEMDefocus2": truth["v"],
            "cisTEMDefocusAngle": truth["angle"],
            "cisTEMPhaseShift": 0.0,
            "cisTEMOccupancy": 100.0,
            "cisTEMLogP": -5000,
            "cisTEMSigma": 10.0,
            "cisTEMScore": 12.5,
            "cisTEMPixelSize": pixel,
            "cisTEMMicroscopeVoltagekV": VOLTAGE_KV,
            "cisTEMMicroscopeCsMM": SPHERICAL_ABERRATION_MM,
            "cisTEMAmplitudeContrast": AMPLITUDE_CONTRAST,
            "cisTEMParticleGroup": particle + 1,
            "cisTEMPreExposure": truth["dose"],
            "cisTEMTotalExposure": truth["dose"] + world.config.dose_per_tilt,
        }

    return in_series_order(world, columns)


def write_cistem(world: World, folder: Path) -> Exported:
    """One stack, called like the star file, that the star does not name."""
    rows = cistem_rows(world)
    rows.insert(0, "cisTEMPositionInStack", np.arange(len(rows)) + 1)
    images = [world.images_of(row) for row in range(len(world.scene.series))]
    pixel = world.scene.pixel_size_angstrom
    write_stack(folder / "refined.mrc", np.concatenate(images), pixel)
    write_blocks(folder / "refined.star", {"": rows})
    names = [f"refined/{i + 1}" for i in range(len(world.scene))]
    return Exported(folder / "refined.star", folder / "refined.star", names, True)


def write_emclarity(world: World, folder: Path) -> Exported:
    """A stack a tilt series, each named in the star, groups counted anew in each."""
    rows = cistem_rows(world)
    parts = [name.split("@") for name in numbered(world, folder)]
    rows.insert(0, "cisTEMPositionInStack", [int(number) for number, _ in parts])
    rows["cisTEMStackFilename"] = [f"'{stack}'" for _, stack in parts]
    series = world.scene.crowd.series[rows["cisTEMParticleGroup"] - 1]
    rows["cisTEMOriginalImageFilename"] = [f"{world.scene.series[i].name}.fixed" for i in series]
    rows["cisTEMParticleGroup"] = world.scene.crowd.number[rows["cisTEMParticleGroup"] - 1]
    write_blocks(folder / "all.star", {"": rows})
    pairs = rows["cisTEMOriginalImageFilename"] + "/" + rows["cisTEMParticleGroup"].astype(str)
    return Exported(folder / "all.star", folder / "all.star", list(dict.fromkeys(pairs)), True)


def of_the_simulator(world: World, folder: Path) -> Exported:
    path = world.out / "warp" / "particles.star"
    rows = starfile.read(path)
    pairs = rows["rlnMicrographName"] + "/" + rows["rlnGroupName"]
    return Exported(path, path, list(dict.fromkeys(pairs)), True)


def cryosrpnt(world: World, folder: Path) -> Exported:
    """As Warp's, but tomogram and particle stand in one name."""
    rows = starfile.read(world.out / "warp" / "particles.star")
    rows["rlnImageName"] = rows["rlnImageName"].str.replace("@", f"@{world.out}/warp/")
    write_blocks(folder / "sim.star", {"": rows.drop(columns="rlnMicrographName")})
    names = [f"{name.rpartition('_')[0]}/{name}" for name in dict.fromkeys(rows["rlnGroupName"])]
    return Exported(folder / "sim.star", folder / "sim.star", names, True)


def warptools(world: World, folder: Path) -> Exported:
    star = world.out / "warptools" / "particles_optimisation_set.star"
    names = [
        f"{world.series_of(i)}.tomostar/{number}"
        for i, number in enumerate(world.scene.crowd.number)
    ]
    return Exported(star, star.with_name("particles.star"), names, False)


WRITERS: dict[str, tuple[str, Callable[[World, Path], Exported]]] = {
    "warptools": ("warptools", warptools),
    "relion5": ("relion5", write_relion5),
    "relion4": ("relion4", write_relion4),
    "warp": ("warp", of_the_simulator),
    "cryosrpnt": ("cryosrpnt", cryosrpnt),
    "nextpyp": ("nextpyp", write_nextpyp),
    "nextpyp-text": ("nextpyp", write_nextpyp_text),
    "tomodrgn": ("tomodrgn", write_tomodrgn),
    "cistem": ("cistem", write_cistem),
    "emclarity": ("cistem", write_emclarity),
}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two dozen ribosomes of one kind in two tomograms, two of eleven tilts hidden."""
    out = tmp_path_factory.mktemp("world")
    for _ in simulate(out, CONFIG):
        pass
    structures = load_structures(CONFIG)
    scene = make_scene(CONFIG, len(structures.names), structures.pixel_size_angstrom)
    return World(out, CONFIG, scene)


@pytest.fixture(scope="session")
def exported(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Write the world in a dialect, once; by the name of the generator."""
    done: dict[str, Exported] = {}

    def write(name: str) -> Exported:
        if name not in done:
            done[name] = WRITERS[name][1](world, tmp_path_factory.mktemp(name))
        return done[name]

    return write


@pytest.fixture(scope="session")
def truth_of() -> Callable[[World, int], Columns]:
    """The function that gives the truth of a particle's visible images."""
    return image_truth
