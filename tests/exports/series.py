"""The scene as programs with one row per image write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from exports.world import (
    SERIES_PIXEL,
    Columns,
    Exported,
    World,
    image_truth,
    write_blocks,
    write_stack,
)
from napari_tomodrgn.synthetic.scene import (
    AMPLITUDE_CONTRAST,
    SPHERICAL_ABERRATION_MM,
    VOLTAGE_KV,
)


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


def write_micrograph_per_tilt(world: World, folder: Path) -> Exported:
    """Warp 1 and M as they are: ``rlnMicrographName`` is the tilt image's."""
    rows = starfile.read(world.out / "warp" / "particles.star")
    rows["rlnImageName"] = rows["rlnImageName"].str.replace("@", f"@{world.out}/warp/")
    frames = np.concatenate(
        [image_truth(world, particle)["frame"] for particle in range(len(world.scene))]
    )
    stems = rows["rlnMicrographName"].str.removesuffix(".tomostar")
    rows["rlnMicrographName"] = [
        f"{stem}_{i:03d}.mrc" for stem, i in zip(stems, frames, strict=True)
    ]
    numbers = rows["rlnGroupName"].str.rpartition("particle")[2]
    rows["rlnGroupName"] = stems + "_" + numbers
    write_blocks(folder / "particles.star", {"": rows})
    pairs = stems + "/" + rows["rlnGroupName"]
    names = list(dict.fromkeys(pairs))
    return Exported(folder / "particles.star", folder / "particles.star", names, True)


def write_flattened(world: World, folder: Path) -> Exported:
    """A RELION 5 set as one row an image: its stacks, pre-multiplied, and columns of its tilts."""
    scene, pixel = world.scene, world.scene.pixel_size_angstrom
    names = []
    for particle in range(len(scene)):
        series, number = world.series_of(particle), scene.crowd.number[particle]
        seen = scene.series[scene.crowd.series[particle]].visible
        stack = f"Extract/{series}/{number}_stack2d.mrcs"
        write_stack(folder / stack, world.stack_of(particle)[seen], pixel)
        names += [f"{i:06d}@{stack}" for i in range(1, int(seen.sum()) + 1)]

    def columns(particle: int) -> Columns:
        truth, series = image_truth(world, particle), world.series_of(particle)
        return {
            "rlnDefocusU": truth["u"],
            "rlnDefocusV": truth["v"],
            "rlnDefocusAngle": truth["angle"],
            "rlnMicrographName": [f"frames/{series}_{i}.mrc" for i in truth["frame"]],
            "rlnCtfScalefactor": np.cos(np.deg2rad(truth["stage"])),
            "rlnGroupName": f"{series}/{scene.crowd.number[particle]}",
            "rlnAngleRot": truth["rot"],
            "rlnAngleTilt": truth["tilt"],
            "rlnAnglePsi": truth["psi"],
            "rlnOriginXAngst": truth["x"] * pixel,
            "rlnOriginYAngst": truth["y"] * pixel,
            "rlnMicrographPreExposure": truth["dose"],
            "rlnTomoNominalStageTiltAngle": truth["stage"],
            "rlnOpticsGroup": 1,
        }

    rows = in_series_order(world, columns)
    rows["rlnImageName"] = names
    optics = {
        "rlnOpticsGroup": [1],
        "rlnImagePixelSize": pixel,
        "rlnImageSize": world.config.box_size_px,
        "rlnVoltage": VOLTAGE_KV,
        "rlnSphericalAberration": SPHERICAL_ABERRATION_MM,
        "rlnAmplitudeContrast": AMPLITUDE_CONTRAST,
        "rlnImageDimensionality": 2,
        "rlnCtfDataAreCtfPremultiplied": 1,
    }
    path = folder / "particles.star"
    write_blocks(path, {"optics": pd.DataFrame(optics), "particles": rows})
    return Exported(path, path, list(dict.fromkeys(rows["rlnGroupName"])), True)


def cryosrpnt(world: World, folder: Path) -> Exported:
    """As Warp's, but tomogram and particle stand in one name."""
    rows = starfile.read(world.out / "warp" / "particles.star")
    rows["rlnImageName"] = rows["rlnImageName"].str.replace("@", f"@{world.out}/warp/")
    write_blocks(folder / "sim.star", {"": rows.drop(columns="rlnMicrographName")})
    names = [f"{name.rpartition('_')[0]}/{name}" for name in dict.fromkeys(rows["rlnGroupName"])]
    return Exported(folder / "sim.star", folder / "sim.star", names, True)
