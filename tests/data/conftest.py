"""Small star files and stacks, written here without the code under test."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6, "float16": 12}
BOX = 8


def mrc_bytes(
    images: NDArray[np.generic],
    *,
    order: str = "<",
    extended: bytes = b"",
    stamp: bool = True,
    pixel: float = 10.0,
) -> bytes:
    """An MRC stack, header packed by hand."""
    nz, ny, nx = images.shape
    header = bytearray(1024)
    sizes = (nx, ny, nz, MODES[images.dtype.name], 0, 0, 0, nx, ny, nz)
    struct.pack_into(f"{order}10i", header, 0, *sizes)
    cell = (nx * pixel, ny * pixel, nz * pixel, 90, 90, 90)
    struct.pack_into(f"{order}6f", header, 40, *cell)
    struct.pack_into(f"{order}3i", header, 64, 1, 2, 3)
    struct.pack_into(f"{order}i", header, 92, len(extended))
    if stamp:
        header[208:212] = b"MAP "
        header[212:216] = bytes((0x44, 0x44, 0, 0) if order == "<" else (0x11, 0x11, 0, 0))
    return bytes(header) + extended + images.astype(images.dtype.newbyteorder(order)).tobytes()


def loop(name: str, columns: Mapping[str, Sequence[object]]) -> str:
    """One loop block as text."""
    head = "".join(f"_{column} #{i}\n" for i, column in enumerate(columns, 1))
    rows = "".join("  ".join(map(str, row)) + "\n" for row in zip(*columns.values(), strict=True))
    return f"\ndata_{name}\n\nloop_\n{head}{rows}\n"


@dataclass
class SmallSet:
    """Files of a small set, and how to change their text."""

    star: Path
    particles: Path
    tomograms: Path | None
    stacks: list[Path]

    def change(self, old: str, new: str, path: Path | None = None) -> SmallSet:
        """Replace text, which must be there, in the particles star or ``path``."""
        path = path or self.particles
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return self


TILTS = {"TS_1.tomostar": 3, "TS_2.tomostar": 4}
VISIBLE = ["[1,1,1]", "[0,1,1]", "[1,1,1,1]", "[1,0,1,0]"]
TOMOGRAM_OF = ["TS_1.tomostar", "TS_1.tomostar", "TS_2.tomostar", "TS_2.tomostar"]


def _tilt_rows(name: str) -> str:
    rng = np.random.default_rng(len(name) + TILTS[name])
    count = TILTS[name]
    columns: dict[str, list[object]] = {f"rlnTomoProj{axis}": [] for axis in "XYZ"}
    for angle in np.linspace(-40, 40, count):
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        for axis, row in zip("XYZ", ((c, 0, s), (0, 1, 0), (-s, 0, c)), strict=True):
            text = ",".join(f"{value:.7f}" for value in row)
            columns[f"rlnTomoProj{axis}"].append(f"[{text},0]")
    columns["rlnTomoProjW"] = ["[0,0,0,1]"] * count
    columns["rlnDefocusU"] = rng.uniform(2e4, 3e4, count).round(1).tolist()
    columns["rlnDefocusV"] = rng.uniform(2e4, 3e4, count).round(1).tolist()
    columns["rlnDefocusAngle"] = rng.uniform(0, 180, count).round(2).tolist()
    columns["rlnCtfScalefactor"] = [0.5] * count
    columns["rlnMicrographPreExposure"] = (rng.permutation(count) * 2.5).tolist()
    return loop(name, columns)


@pytest.fixture
def warptools_set(tmp_path: Path) -> SmallSet:
    """Two tomograms of 3 and 4 tilts with two particles each, one stack a particle, all frames."""
    folder = tmp_path / "warptools"
    (folder / "stacks").mkdir(parents=True)
    rng = np.random.default_rng(5)
    stacks = []
    for i, name in enumerate(TOMOGRAM_OF, 1):
        images = rng.normal(size=(TILTS[name], BOX, BOX)).astype(np.float16)
        stacks.append(folder / "stacks" / f"p_{i}.mrcs")
        stacks[-1].write_bytes(mrc_bytes(images))
    optics = {
        "rlnOpticsGroup": [1, 2],
        "rlnVoltage": [300.0, 300.0],
        "rlnSphericalAberration": [2.7, 2.7],
        "rlnAmplitudeContrast": [0.07, 0.07],
        "rlnImagePixelSize": [10.0, 10.0],
        "rlnImageSize": [BOX, BOX],
        "rlnCtfDataAreCtfPremultiplied": [1, 1],
    }
    rows = {
        "rlnTomoName": TOMOGRAM_OF,
        "rlnTomoParticleName": ["TS_1/7", "TS_1/8", "TS_2/7", "TS_2/9"],
        "rlnCoordinateX": [10.5, 40.25, 33.0, 70.0],
        "rlnCoordinateY": [20.0, 60.5, 12.0, 44.0],
        "rlnCoordinateZ": [5.0, 10.0, 15.0, 20.0],
        "rlnAngleRot": [10.0, 20.0, 30.0, 40.0],
        "rlnAngleTilt": [50.0, 60.0, 70.0, 80.0],
        "rlnAnglePsi": [-10.0, 100.0, 0.0, 5.0],
        "rlnOriginXAngst": [12.0, 0.0, -3.5, 1.0],
        "rlnOriginYAngst": [-8.0, 0.0, 2.5, 0.0],
        "rlnOriginZAngst": [4.0, 0.0, 6.0, 0.0],
        "rlnOpticsGroup": [1, 1, 2, 2],
        "rlnImageName": [f"stacks/{path.name}" for path in stacks],
        "rlnTomoVisibleFrames": VISIBLE,
        "rlnMyOwnColumn": ["0012", "1e-3", "name", "'two words'"],
    }
    particles = folder / "set.star"
    general = "\ndata_general\n\n_rlnTomoSubTomosAre2DStacks  1\n"
    particles.write_text(general + loop("optics", optics) + loop("particles", rows))
    names = list(TILTS)
    tomograms = folder / "set_tomograms.star"
    tomograms.write_text(
        loop(
            "global",
            {
                "rlnTomoName": names,
                "rlnTomoSizeX": [1000, 1000],
                "rlnTomoSizeY": [900, 900],
                "rlnTomoSizeZ": [300, 300],
                "rlnTomoHand": [-1.0, -1.0],
                "rlnTomoTiltSeriesPixelSize": [2.0, 2.0],
            },
        )
        + "".join(map(_tilt_rows, names))
    )
    star = folder / "set_optimisation_set.star"
    star.write_text(
        f"\ndata_\n\n_rlnTomoParticlesFile  {particles.name}\n"
        f"_rlnTomoTomogramsFile  {tomograms.name}\n"
    )
    return SmallSet(star, particles, tomograms, stacks)


@pytest.fixture
def image_series(tmp_path: Path) -> SmallSet:
    """Three particles of 3, 2 and 3 images in one stack, as Warp v1 writes them."""
    folder = tmp_path / "series"
    folder.mkdir()
    rng = np.random.default_rng(6)
    stack = folder / "all.mrcs"
    stack.write_bytes(mrc_bytes(rng.normal(size=(8, BOX, BOX)).astype(np.float32)))
    owner = [1, 1, 1, 2, 2, 3, 3, 3]
    dose = [0.0, 2.5, 5.0, 0.0, 5.0, 0.0, 2.5, 5.0]
    columns = {
        "rlnMagnification": [10000.0] * 8,
        "rlnDetectorPixelSize": [10.0] * 8,
        "rlnVoltage": [300.0] * 8,
        "rlnSphericalAberration": [2.7] * 8,
        "rlnAmplitudeContrast": [0.07] * 8,
        "rlnDefocusU": rng.uniform(2e4, 3e4, 8).round(2).tolist(),
        "rlnDefocusV": rng.uniform(2e4, 3e4, 8).round(2).tolist(),
        "rlnDefocusAngle": rng.uniform(0, 180, 8).round(2).tolist(),
        "rlnImageName": [f"{i:06d}@all.mrcs" for i in range(1, 9)],
        "rlnMicrographName": ["TS_1.tomostar"] * 5 + ["TS_2.tomostar"] * 3,
        "rlnAngleRot": rng.uniform(-180, 180, 8).round(4).tolist(),
        "rlnAngleTilt": rng.uniform(0, 180, 8).round(4).tolist(),
        "rlnAnglePsi": rng.uniform(-180, 180, 8).round(4).tolist(),
        "rlnCtfBfactor": [-4.0 * value for value in dose],
        "rlnCtfScalefactor": [1.0, 0.866025, 1.0000001, 1.0, 0.5, 1.0, 0.9, 0.8],
        "rlnGroupName": [f"TS_{1 if i < 3 else 2}_particle{i:06d}" for i in owner],
    }
    star = folder / "series.star"
    star.write_text(loop("", columns))
    return SmallSet(star, star, None, [stack])


@pytest.fixture
def mrc() -> Callable[..., bytes]:
    """The function that makes the bytes of an MRC stack."""
    return mrc_bytes


@pytest.fixture
def star_loop() -> Callable[[str, Mapping[str, Sequence[object]]], str]:
    """The function that makes the text of a loop."""
    return loop
