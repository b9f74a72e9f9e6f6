"""Small sets in the forms that programs really write, with values that can be worked out by hand.

Layouts of blocks and columns imitate real files: one-row lists, tabs, trailing blanks, columns in
other orders. Images are noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import mrcfile
import numpy as np

BOX = 8
Columns = Mapping[str, Sequence[object]]
TILTS_DEG = (-40.0, -20.0, 0.0, 20.0, 40.0)
DOSES = (12.0, 6.0, 0.0, 3.0, 9.0)


def write_stack(path: Path, count: int, pixel: float = 6.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(count)
    with mrcfile.new(path, overwrite=True) as stack:
        stack.set_data(rng.normal(size=(count, BOX, BOX)).astype(np.float32))
        stack.set_image_stack()
        stack.voxel_size = pixel


def loop(name: str, columns: Columns) -> str:
    head = "".join(f"_{column} #{i}\n" for i, column in enumerate(columns, 1))
    rows = "".join("\t".join(map(str, row)) + " \n" for row in zip(*columns.values(), strict=True))
    return f"\n# version 30001\n\ndata_{name}\n\nloop_ \n{head}{rows}\n"


def as_list(name: str, columns: Columns) -> str:
    """A table of one row as names and values, as RELION 5 writes it."""
    rows = "".join(f"_{column}\t{values[0]}\n" for column, values in columns.items())
    return f"\n# version 50001\n\ndata_{name}\n\n{rows}\n"


def block(name: str, columns: Columns, lists: Sequence[str] = ()) -> str:
    return as_list(name, columns) if name in lists else loop(name, columns)


def optics(**more: object) -> Columns:
    return {
        "rlnOpticsGroup": [1],
        "rlnOpticsGroupName": ["opticsGroup1"],
        "rlnSphericalAberration": [2.7],
        "rlnVoltage": [300.0],
        "rlnTomoTiltSeriesPixelSize": [1.5],
        "rlnImageDimensionality": [2],
        "rlnTomoSubtomogramBinning": [4],
        "rlnImagePixelSize": [6.0],
        "rlnImageSize": [BOX],
        "rlnAmplitudeContrast": [0.07],
        **{name: [value] for name, value in more.items()},
    }


def overview(tomogram: str, **more: object) -> dict[str, list[object]]:
    return {
        "rlnTomoName": [tomogram],
        "rlnTomoSizeX": [3840],
        "rlnTomoSizeY": [3712],
        "rlnTomoSizeZ": [1600],
        "rlnTomoHand": [-1.0],
        "rlnTomoTiltSeriesPixelSize": [1.5],
        **{name: [value] for name, value in more.items()},
    }


def _tilt_columns() -> dict[str, list[object]]:
    return {
        "rlnDefocusU": [30000.0] * 5,
        "rlnDefocusV": [29800.0] * 5,
        "rlnDefocusAngle": [45.0] * 5,
        "rlnCtfScalefactor": [f"{np.cos(np.deg2rad(tilt)):.6f}" for tilt in TILTS_DEG],
        "rlnMicrographPreExposure": list(DOSES),
    }


def matrices() -> Columns:
    """``Ry`` of each tilt as RELION writes it."""
    columns: dict[str, list[object]] = {f"rlnTomoProj{axis}": [] for axis in "XYZ"}
    for tilt in np.deg2rad(TILTS_DEG):
        c, s = np.cos(tilt), np.sin(tilt)
        for axis, row in zip("XYZ", ((c, 0, s), (0, 1, 0), (-s, 0, c)), strict=True):
            columns[f"rlnTomoProj{axis}"].append(f"[{','.join(f'{x:.8f}' for x in row)},0.0]")
    return {**columns, **_tilt_columns()}


def angles() -> Columns:
    return {
        "rlnTomoXTilt": [0.0] * 5,
        "rlnTomoYTilt": list(TILTS_DEG),
        "rlnTomoZRot": [0.0] * 5,
        **_tilt_columns(),
    }


def particles(tomogram: str, count: int = 2, angle_factor: float = 1.0) -> dict[str, list[object]]:
    """Poses and stacks; particle 1 is 1920 Å along x and 360 Å along z from the middle."""
    poses = {"rlnAngleRot": 10.0, "rlnAngleTilt": 20.0, "rlnAnglePsi": 30.0}
    return {
        "rlnTomoName": [tomogram] * count,
        "rlnTomoParticleId": list(range(1, count + 1)),
        "rlnTomoParticleName": [f"ts/{i}" for i in range(1, count + 1)],
        **{
            name: [f"{(value + i) * angle_factor:.3f}" for i in range(count)]
            for name, value in poses.items()
        },
        "rlnOpticsGroup": [1] * count,
        "rlnImageName": [f"stacks/p{i}_stack2d.mrcs" for i in range(1, count + 1)],
        "rlnTomoVisibleFrames": ["[1,1,1,1,1]"] * count,
    }


def write_set(
    folder: Path,
    rows: Mapping[str, Sequence[object]],
    tilts: Columns,
    *,
    groups: Columns | None = None,
    tomograms: Columns | None = None,
    lists: Sequence[str] = (),
    own_file: bool = False,
) -> Path:
    """An optimisation set; ``lists`` names blocks that are written as names and values."""
    folder.mkdir(parents=True, exist_ok=True)
    tomogram = str(rows["rlnTomoName"][0])
    for name in rows["rlnImageName"]:
        write_stack(folder / str(name), len(TILTS_DEG))
    general = as_list("general", {"rlnTomoSubTomosAre2DStacks": [1]})
    groups = groups or optics()
    listed = block("optics", groups, lists) + block("particles", rows, lists)
    (folder / "particles.star").write_text(general + listed)
    table = dict(tomograms or overview(tomogram))
    if own_file:
        table["rlnTomoTiltSeriesStarFile"] = ["tilt_series/ts.star"]
        (folder / "tilt_series").mkdir(exist_ok=True)
        (folder / "tilt_series" / "ts.star").write_text(block(tomogram, tilts, lists))
    text = block("global", table, lists) + ("" if own_file else block(tomogram, tilts, lists))
    (folder / "tomograms.star").write_text(text)
    star = folder / "optimisation_set.star"
    files = {"rlnTomoParticlesFile": ["particles.star"], "rlnTomoTomogramsFile": ["tomograms.star"]}
    star.write_text(block("", files, lists or ("",)))
    return star


def relion5(folder: Path, **options: object) -> Path:
    """Particles of RELION 5 with a star file for the tilt series."""
    rows = particles("tomo200528_107")
    rows |= {
        "rlnCenteredCoordinateXAngst": [1920.0, -1680.0],
        "rlnCenteredCoordinateYAngst": [-384.0, 216.0],
        "rlnCenteredCoordinateZAngst": [360.0, -300.0],
    }
    if options.pop("expanded", False):  # by C2
        rows = {name: [*values, *values] for name, values in rows.items()}
        rows["rlnAngleRot"][2:] = [
            f"{float(str(rot)) + 180:.3f}" for rot in rows["rlnAngleRot"][2:]
        ]
    return write_set(folder, rows, angles(), own_file=True, **options)


def relion_matrices(folder: Path, tomogram: str = "grid1_ts1", **options: object) -> Path:
    """RELION's matrices, coordinates in pixels of the images, no angles of subtomograms."""
    rows = particles(tomogram, angle_factor=float(options.pop("angle_factor", 1.0)))
    rows |= {
        "rlnCoordinateX": [800.0, 200.0],
        "rlnCoordinateY": [400.0, 500.0],
        "rlnCoordinateZ": [260.0, 150.0],
    }
    return write_set(folder, rows, matrices(), **options)


def image_rows(
    particles: int, tilts: int = 5, stack: str = "grid1_ts1.mrcs"
) -> dict[str, list[object]]:
    """One row an image as Warp 1 and M write it, a micrograph for each tilt."""
    pairs = [(p, t) for p in range(particles) for t in range(tilts)]
    return {
        "rlnMagnification": [10000] * len(pairs),
        "rlnDetectorPixelSize": [4.0] * len(pairs),
        "rlnVoltage": [300.0] * len(pairs),
        "rlnSphericalAberration": [2.7] * len(pairs),
        "rlnAmplitudeContrast": [0.07] * len(pairs),
        "rlnPhaseShift": [0.0] * len(pairs),
        "rlnDefocusU": [30000 + 10 * t for _, t in pairs],
        "rlnDefocusV": [29500] * len(pairs),
        "rlnDefocusAngle": [10.0] * len(pairs),
        "rlnImageName": [f"{i:06d}@{stack}" for i in range(1, len(pairs) + 1)],
        "rlnMicrographName": [f"grid1_ts1_{t}.mrc" for _, t in pairs],
        "rlnAngleRot": [10 * p for p, _ in pairs],
        "rlnAngleTilt": [60] * len(pairs),
        "rlnAnglePsi": [20 + t for _, t in pairs],
        "rlnCtfBfactor": [-12.0 * (t + 1) for _, t in pairs],
        "rlnCtfScalefactor": [f"{np.cos(np.deg2rad(3.0 * t)):.4f}" for _, t in pairs],
        "rlnGroupName": [f"grid1_ts1_{p:07d}" for p, _ in pairs],
    }


def write_series(folder: Path, columns: Columns, name: str = "", **optics_columns: object) -> Path:
    """An image series with its stacks; ``optics_columns`` go to an optics block."""
    folder.mkdir(parents=True, exist_ok=True)
    stacks: dict[str, int] = {}
    for text in columns["rlnImageName"]:
        number, stack = str(text).split("@")
        stacks[stack] = max(stacks.get(stack, 0), int(number))
    for stack, count in stacks.items():
        write_stack(folder / stack, count)
    text = loop("optics", optics(**optics_columns)) if name else ""
    (folder / "particles.star").write_text(text + loop(name, columns))
    return folder / "particles.star"


def without(columns: Columns, *names: str) -> dict[str, Sequence[object]]:
    return {name: values for name, values in columns.items() if name not in names}


def nextpyp(folder: Path) -> Path:
    """nextPYP with a group number and a group name, a micrograph a tomogram."""
    columns = without(image_rows(6, stack="TS_0_stack.mrcs"), "rlnMagnification", "rlnVoltage")
    count = len(columns["rlnImageName"])
    columns |= {
        "rlnMicrographName": ["mrc/TS_0.mrc"] * (count // 2) + ["mrc/TS_1.mrc"] * (count // 2),
        "rlnGroupNumber": [f"{i // 15}_{i // 5 % 3}" for i in range(count)],
        "rlnGroupName": [f"{i // 5 % 3}.0" for i in range(count)],
        "rlnTiltIndex": [f"{i % 5}.0" for i in range(count)],
        "rlnOpticsGroup": [1] * count,
    }
    return write_series(folder, without(columns, "rlnDetectorPixelSize"), "particles")


def flattened(folder: Path, **optics_columns: object) -> Path:
    """A RELION 5 set as one row an image."""
    pairs = [(p, t) for p in range(1, 4) for t in range(5)]
    columns = {
        "rlnDefocusU": [30000] * 15,
        "rlnDefocusV": [29900] * 15,
        "rlnDefocusAngle": [45] * 15,
        "rlnImageName": [f"{t + 1:06d}@Extract/ts/{p}_stack2d.mrcs" for p, t in pairs],
        "rlnMicrographName": [f"frames/ts_{t}.mrc" for _, t in pairs],
        "rlnCtfScalefactor": [f"{np.cos(np.deg2rad(TILTS_DEG[t])):.4f}" for _, t in pairs],
        "rlnGroupName": [f"ts/{p}" for p, _ in pairs],
        "rlnAngleRot": [10] * 15,
        "rlnAngleTilt": [20 + TILTS_DEG[t] for _, t in pairs],
        "rlnAnglePsi": [30] * 15,
        "rlnOriginXAngst": [6.0] * 15,
        "rlnOriginYAngst": [0] * 15,
        "rlnRandomSubset": [1 + p % 2 for p, _ in pairs],
        "rlnMicrographPreExposure": [DOSES[t] for _, t in pairs],
        "rlnTomoNominalStageTiltAngle": [TILTS_DEG[t] for _, t in pairs],
        "rlnOpticsGroup": [1] * 15,
    }
    return write_series(folder, columns, "particles", **optics_columns)


def single_particles(folder: Path) -> Path:
    """A single-particle set of RELION 3.1 or 5: groups are micrographs."""
    columns = without(image_rows(4), "rlnMagnification", "rlnVoltage", "rlnDetectorPixelSize")
    count = len(columns["rlnImageName"])
    columns |= {
        "rlnMicrographName": [f"MotionCorr/job2/mic{i // 5}.mrc" for i in range(count)],
        "rlnCtfBfactor": ["0.0"] * count,
        "rlnCtfScalefactor": ["1.0"] * count,
        "rlnGroupNumber": [i // 5 + 1 for i in range(count)],
        "rlnOpticsGroup": [1] * count,
    }
    return write_series(folder, columns, "particles")


def cistem(folder: Path, **more: Sequence[object]) -> Path:
    """emClarity's cisTEM star: three particles of five tilts, tilt by tilt, one stack."""
    pairs = [(p, t) for t in range(5) for p in (11, 12, 27)]
    columns: dict[str, Sequence[object]] = {
        "cisTEMPositionInStack": list(range(1, 16)),
        "cisTEMAnglePsi": [p + 10 for p, _ in pairs],
        "cisTEMAngleTheta": [90.0 + 3 * t for _, t in pairs],
        "cisTEMAnglePhi": [20] * 15,
        "cisTEMXShift": [0.5] * 15,
        "cisTEMYShift": [-1.1] * 15,
        "cisTEMDefocus1": [30000.0 + t for _, t in pairs],
        "cisTEMDefocus2": [29000] * 15,
        "cisTEMDefocusAngle": [12] * 15,
        "cisTEMPhaseShift": [0] * 15,
        "cisTEMOccupancy": [100] * 15,
        "cisTEMPixelSize": [2.5] * 15,
        "cisTEMMicroscopeVoltagekV": [300] * 15,
        "cisTEMMicroscopeCsMM": [2.7] * 15,
        "cisTEMAmplitudeContrast": [0.07] * 15,
        "cisTEMParticleGroup": [p for p, _ in pairs],
        "cisTEMPreExposure": [3.0 * t for _, t in pairs],
        **more,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_stack(folder / "tilt1.mrc", 15, 2.5)
    header = "# Written by emClarity Version 2.0.0-alpha on 01-Jan-2025 10:00:00\n"
    (folder / "tilt1.star").write_text(header + loop("", columns))
    return folder / "tilt1.star"
