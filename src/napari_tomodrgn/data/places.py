"""Places of particles in their tomograms from a second star file, for image series without any.

Warp, M, cryoSRPNT and nextPYP export tilt images with the angles of each image; where the particle
is stands in the list of 3-D particles that the export was made from. Both are brought together by
tomogram and particle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import read_star
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.data.tomograms import stem
from napari_tomodrgn.errors import BadInputError

# Names of tomogram, coordinates and angles; M counts Å and samples of a trajectory from 1.
_TOMOGRAM = ("rlnTomoName", "rlnMicrographName", "wrpSourceName")
_PARTICLE = ("rlnTomoParticleName", "rlnTomoParticleId", "rlnGroupName", "rlnImageName")
_RELION = ("rlnCoordinate{}", "rlnAngle{}"), ("wrpCoordinate{}1", "wrpAngle{}1")
_PIXEL = ("rlnImagePixelSize", "rlnDetectorPixelSize", "rlnPixelSize", "rlnTomoTiltSeriesPixelSize")
_POSITIONS = [f"position_{axis}_angstrom" for axis in "xyz"]
_ANGLES = ["rot_deg", "tilt_deg", "psi_deg"]
# The last number of a name that is no pixel size: TS_01_0000042_1.98A.mrc is particle 42.
_PIXEL_SUFFIX = re.compile(r"_\d+\.\d+A$")


@dataclass(frozen=True, eq=False)
class Placed:
    """Particles with their places.

    Attributes
    ----------
    particles
        Those of the set that the second file has, with positions and angles.
    notes
        Sentences about those that only one of the two has, and how they were matched.
    """

    particles: ParticleSet
    notes: tuple[str, ...]


def with_places(
    particles: ParticleSet, path: str | Path, pixel_size_angstrom: float | None = None
) -> Placed:
    """Take the places of particles from a star file of 3-D particles.

    Parameters
    ----------
    particles
        The set.
    path
        A star file with ``rlnCoordinateX`` … and ``rlnAngleRot`` …, or M's ``wrpCoordinateX1`` …
    pixel_size_angstrom
        Of the coordinates; by default as the file says, 1 for those of M, which are in Å.

    Raises
    ------
    BadInputError
        If the file has no places, or none of these particles.
    """
    path = Path(path)
    table, optics = _read(path)
    places = _places(table, optics, pixel_size_angstrom)
    rows, notes = _match(particles, places, path)
    if not (rows >= 0).any():
        theirs = f"{places['tomogram'].iloc[0]}/{places['number'].iloc[0]}"
        raise BadInputError(
            f"{path}: has none of the {len(particles)} particles of {particles.source.path}; its "
            f"names look like {theirs!r}, the others like {particles.ids[0]!r}.",
            code="other-particles",
        )
    kept = particles.take(rows >= 0)
    frame = kept.particles.copy()
    known = places.iloc[rows[rows >= 0]]
    for name in (*_POSITIONS, *_ANGLES):
        frame[name] = known[name].to_numpy()
    if not set(frame["tomogram"].astype(str).map(stem)) & set(places["tomogram"]):
        frame["tomogram"] = known["tomogram"].to_numpy()
    return Placed(replace(kept, particles=frame), notes)


def _read(path: Path) -> tuple[StarTable, StarTable | None]:
    blocks = read_star(path)
    loops = {name: block for name, block in blocks.items() if isinstance(block, pd.DataFrame)}
    for name, frame in loops.items():
        if any(column.format("X") in frame for column, _ in _RELION):
            optics = loops.get("optics")
            known = None if optics is None else StarTable(path, "optics", optics)
            return StarTable(path, name, frame), known
    raise BadInputError(
        f"{path}: no block has rlnCoordinateX or wrpCoordinateX1, so there are no places.",
        code="missing-column",
    )


def _places(
    table: StarTable, optics: StarTable | None, pixel_size_angstrom: float | None
) -> pd.DataFrame:
    """Columns tomogram, number, name, positions in Å and angles in degrees."""
    is_relion = _RELION[0][0].format("X") in table
    coordinate, angle = _RELION[0] if is_relion else _RELION[1]
    pixel = pixel_size_angstrom or (_stated_pixel(table, optics) if is_relion else 1.0)
    found = {
        name: table.numbers(coordinate.format(axis)) * pixel
        for name, axis in zip(_POSITIONS, "XYZ", strict=True)
    }
    for name, axis in zip(_ANGLES, ("Rot", "Tilt", "Psi"), strict=True):
        column = angle.format(axis)
        found[name] = table.numbers(column) if column in table else np.full(len(table), np.nan)
    tomogram = next((name for name in _TOMOGRAM if name in table), None)
    if tomogram is None:
        raise BadInputError(
            f"{table.path}: has none of {', '.join(_TOMOGRAM)}, which name the tomogram.",
            code="missing-column",
        )
    names = table.frame[tomogram].map(lambda name: stem(Path(str(name)).name))
    numbers = _numbers(table)
    return pd.DataFrame({"tomogram": names.to_numpy(), "number": numbers, **found})


def _stated_pixel(table: StarTable, optics: StarTable | None) -> float:
    for one in (table, optics):
        for name in _PIXEL:
            if one is not None and name in one:
                values = one.numbers(name)
                if np.ptp(values) <= 1e-3 * values[0]:
                    return float(values[0])
    raise BadInputError(
        f"{table.path}: does not say what a pixel of its coordinates is in Å.",
        remedy="Give it with --places-pixel-size.",
        code="missing-column",
    )


def _numbers(table: StarTable) -> NDArray[np.int64]:
    """Number of each particle in its tomogram, as its name ends; −1 where no name tells it."""
    for name in _PARTICLE:
        if name in table:
            numbers = table.frame[name].map(_last_number)
            if (numbers >= 0).all():
                return np.array(numbers, dtype=np.int64)
    return np.full(len(table), -1, np.int64)


def _last_number(name: object) -> int:
    text = Path(str(name).split("@")[-1]).stem
    digits = re.findall(r"\d+", _PIXEL_SUFFIX.sub("", text))
    return int(digits[-1]) if digits else -1


def _match(
    particles: ParticleSet, places: pd.DataFrame, path: Path
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Row of ``places`` of each particle, −1 where there is none, and sentences.

    cryoSRPNT names no tomograms: its particles are matched by their order alone, if that can be.
    """
    own = pd.DataFrame(
        {
            "tomogram": particles.particles["tomogram"].astype(str).map(stem).to_numpy(),
            "number": particles.particles["particle"].map(_last_number).to_numpy(np.int64),
        }
    )
    keyed = (places["number"] >= 0).all() and not places.duplicated(["tomogram", "number"]).any()
    notes = []
    strangers = not set(own["tomogram"]) & set(places["tomogram"])
    if strangers and not keyed and len(own) == len(places):
        note = f"{path}: names no particles; as many as there are were matched by their order."
        return np.arange(len(own), dtype=np.int64), (note,)
    if not keyed:
        _reject_other_counts(own, places, particles, path)
        notes.append(f"{path}: names no particles; matched by their order in each tomogram.")
        for table in (own, places):
            table["number"] = table.groupby("tomogram").cumcount()
    index = pd.MultiIndex.from_frame(places[["tomogram", "number"]])
    rows = index.get_indexer(pd.MultiIndex.from_frame(own))
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        first = particles.ids[missing[0]]
        notes.append(f"{path}: has no place of {len(missing)} particles ({first} …); left out.")
    spare = len(places) - len(np.unique(rows[rows >= 0]))
    if spare:
        used = np.isin(np.arange(len(places)), rows)
        one = places[~used].iloc[0]
        notes.append(
            f"{path}: {spare} of its particles have no images ({one.tomogram}, {one.number} …)."
        )
    return np.array(rows, dtype=np.int64), tuple(notes)


def _reject_other_counts(
    own: pd.DataFrame, places: pd.DataFrame, particles: ParticleSet, path: Path
) -> None:
    """Raise unless each tomogram has as many particles in both: else their order says nothing."""
    here, there = own["tomogram"].value_counts(), places["tomogram"].value_counts()
    for name, count in here.items():
        if there.get(name, 0) != count:
            raise BadInputError(
                f"{path}: names no particles, and has {there.get(name, 0)} in tomogram {name}, "
                f"where {particles.source.path} has {count}.",
                remedy="Give a list with rlnTomoParticleName, or of exactly these particles.",
                code="other-particles",
            )
