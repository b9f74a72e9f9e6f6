"""The molecules that can be simulated: their maps that ship with the package, by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.volume import Volume

# Stages of the ribosome's assembly, each of which holds the one before; the last is the whole 80S.
ASSEMBLY = tuple(f"assembly_{stage:02d}" for stage in range(1, 17))
_ASSEMBLY_FILE = "assembly_6zu5.npz"
# Shares of the stages, (rank + offset) to minus the exponent: a quarter for the commonest, half a
# per cent for the rarest. An offset so large makes of the power law nearly a geometric series.
_SHARE_OFFSET, _SHARE_EXPONENT = 41.916, 13.051


@dataclass(frozen=True)
class Molecule:
    """What is known of a molecule besides its maps.

    Attributes
    ----------
    file
        In the folder of sample maps.
    compositions
        Names of the states, the clearest differences first: so many states are the first so many.
    neighbors
        Which of them are found beside others in a crowd.
    diameter_angstrom
        No particle is wider.
    """

    file: str
    compositions: tuple[str, ...]
    neighbors: tuple[str, ...]
    diameter_angstrom: float


MOLECULES = {
    "ribosome": Molecule(
        "ribosome_6zu5.npz",
        ("80S", "60S", "40S", "60S_without_5S_RNP", "80S_without_Lso2"),
        ("80S", "60S", "40S"),
        320.0,
    ),
    "envelope": Molecule(
        "envelope_7cth.npz",
        ("E3M3_2scFv", "E3M3", "E3M3_1scFv", "E3M2_2scFv"),
        ("E3M3_2scFv", "E3M3", "E3M3_1scFv"),
        200.0,
    ),
}


def known_names(molecule: str) -> tuple[str, ...]:
    """Everything of a molecule that has a map: compositions, frames of its motion, stages."""
    stages = ASSEMBLY if molecule == "ribosome" else ()
    return (*MOLECULES[molecule].compositions, *frame_names(molecule), *stages)


def frame_names(molecule: str) -> tuple[str, ...]:
    """The frames of its motion, in order."""
    return _frames(_arrays(MOLECULES[molecule].file, ("motion_angle_deg",))["motion_angle_deg"])


def _frames(angles_deg: NDArray[np.float64]) -> tuple[str, ...]:
    return tuple(f"motion_{angle:04.1f}_deg" for angle in angles_deg)


def load_maps(molecule: str, names: tuple[str, ...]) -> dict[str, Volume]:
    """Maps by name, of those that are `known_names`, at the box that they are stored with."""
    file = MOLECULES[molecule].file
    compositions = tuple(name for name in names if name in MOLECULES[molecule].compositions)
    arrays = _arrays(file, (*compositions, "voxel_size_angstrom"))
    voxel = float(arrays.pop("voxel_size_angstrom"))
    frames = frame_names(molecule)
    if not set(frames).isdisjoint(names):
        arrays |= dict(zip(frames, _arrays(file, ("motion",))["motion"], strict=True))
    if not set(ASSEMBLY).isdisjoint(names):
        added = _arrays(_ASSEMBLY_FILE, ("added",))["added"].astype(np.float32)
        arrays |= dict(zip(ASSEMBLY, np.cumsum(added, axis=0), strict=True))
    return {name: Volume(arrays[name].astype(np.float32), voxel) for name in names}


def _arrays(file: str, keys: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    source = files("napari_tomodrgn") / "sample_maps" / file
    with as_file(source) as path, np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in keys}


def assembly_shares() -> tuple[float, ...]:
    """Share of each stage of `ASSEMBLY`.

    The whole particle is the commonest; ranks go on in steps of three stages, so that stages next
    to each other have unlike shares.
    """
    stages = len(ASSEMBLY)
    weights = (np.arange(1, stages + 1) + _SHARE_OFFSET) ** -_SHARE_EXPONENT
    ranks = 3 * (stages - 1 - np.arange(stages)) % stages
    return tuple((weights / weights.sum())[ranks].tolist())
