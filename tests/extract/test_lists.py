"""Every list reads the same particles, and writes some of them back as they came."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.geometry import VoxelFrame
from napari_tomodrgn.extract.lists import read_list
from napari_tomodrgn.extract.lists.common import ParticleList, zxz_rotations
from napari_tomodrgn.geometry import euler_to_matrix, random_rotations
from napari_tomodrgn.synthetic.tilt_series.lists import LISTS
from napari_tomodrgn.synthetic.tilt_series.true_particles import TrueParticles

FRAME = VoxelFrame((100.0, 90.0, 40.0), 12.0, "(n-1)/2")


@pytest.fixture(scope="module")
def particles() -> TrueParticles:
    rng = np.random.default_rng(5)
    voxels = rng.uniform(5, 35, size=(12, 3))
    return TrueParticles(
        tomogram=np.repeat([1, 2], 6),
        number=np.tile(np.arange(6) + 1, 2),
        voxels=voxels,
        centred_angstrom=FRAME.from_voxels(voxels, 0),
        series_px=voxels * 4 + 1.5,
        voxel_size_angstrom=12.0,
        binning=4.0,
        rotations=random_rotations(12, rng),
    )


def whole_list(folder: Path, particles: TrueParticles, name: str) -> ParticleList:
    LISTS[name](folder, particles)
    return read_list(folder / name)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_says_where_and_how_particles_are(
    name: str, particles: TrueParticles, tmp_path: Path
) -> None:
    found = whole_list(tmp_path, particles, name)
    rows = slice(0, len(found))  # copick and emClarity have a file a tomogram
    assert len(found) in (6, 12)
    assert_allclose(found.rotations, particles.rotations[rows], atol=2e-6)
    expected = {
        "voxels": particles.voxels + (found.origin or 0),
        "series_px": particles.series_px,
        "centred_angstrom": particles.centred_angstrom,
        "corner_angstrom": particles.voxels * 12.0,
        "middle_px": particles.centred_angstrom / 3.0,
    }[found.unit]
    assert_allclose(found.coordinates, expected[rows], atol=5e-5)
    assert [int("".join(filter(str.isdigit, t))) for t in found.tomogram] == (
        particles.tomogram[rows].tolist()
    )


@pytest.mark.parametrize("name", LISTS)
def test_some_particles_are_written_back_as_they_came(
    name: str, particles: TrueParticles, tmp_path: Path
) -> None:
    found = whole_list(tmp_path, particles, name)
    chosen = np.array([1, 2, 5])
    again = tmp_path / "some" / name
    again.parent.mkdir()
    again.write_bytes(found.subset(chosen))
    some = read_list(again)
    assert len(some) == 3
    assert_allclose(some.coordinates, found.coordinates[chosen])
    assert_allclose(some.rotations, found.rotations[chosen])
    everything = tmp_path / "all" / name
    everything.parent.mkdir()
    everything.write_bytes(found.subset(np.arange(len(found))))
    if not name.endswith((".star", ".json")):  # blanks and line breaks of these are ours
        assert everything.read_bytes() == (tmp_path / name).read_bytes()


def test_angles_of_stopgap_are_relions() -> None:
    rng = np.random.default_rng(1)
    phi, psi = rng.uniform(-180, 180, (2, 50))
    the = rng.uniform(0, 180, 50)
    relion = euler_to_matrix(np.stack([90 - phi, the, -90 - psi], axis=1))
    assert_allclose(zxz_rotations(phi, the, psi), relion, atol=4e-15)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tbl", b"1 2 3\n", "has 3 columns"),
        ("a.em", b"\x06\0\0\x05" + b"\0" * 508, "not 20 a particle"),
        ("a.em", b"MRC", "not an EM file"),
        ("a.xml", b"<ParticleList/>", "0 <Particle> elements"),
        ("a.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', "entities"),
        ("a.csv", b"x,y,z\n1,2,3\n", "must name tomogram"),
        ("a.csv", b"tomogram,x,y,z\nT,1,2,3\n", "names neither rot"),
        ("a.csv", b"tomogram,x,y,z,rot,tilt,psi\nT,1,2,nan,0,0,0\n", "not a sensible number"),
        (
            "a.csv",
            b"tomogram,particle,x,y,z,rot,tilt,psi\nT,1,1,2,3,0,0,0\nT,1,1,2,3,0,0,0\n",
            "stands in rows 1 and 2",
        ),
        (
            "a.csv",
            b"tomogram,particle,x,y,z,rot,tilt,psi\nT,a/b,1,2,3,0,0,0\n",
            "row 1 calls its particle 'a/b'",
        ),
        ("a.csv", b"tomogram,x,y,z,rot,tilt,psi\n,1,2,3,0,0,0\n", "calls its tomogram ''"),
        ("a.csv", b'tomogram,x,y,z,rot,tilt,psi\n"T,1,2,3,0,0,0\n', "cannot be read as CSV"),
        ("a.json", b"[]", "not a JSON object"),
        ("a.json", b'{"points": [{}]}', "point 1 has no location"),
        ("a.lst", b"0\tptcl.hdf\t{}\n", "lacks xform.align3d"),
        ("a.star", b"data_\nloop_\n_a\n1\n", "no loop with orig_x"),
        (
            "a.star",
            b"data_\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnAngleRot\n"
            b"_rlnAngleTilt\n_rlnAnglePsi\n000123456789012345678_TS_001.mrc 1 2 3 4 5\n",
            "no column rlnCoordinateZ",  # of cryoSPARC, which keeps none
        ),
        ("a.mat", b"1", "no list of particles ends in .mat"),
    ],
)
def test_damaged_lists_are_refused_by_name(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=said) as error:
        read_list(tmp_path / name)
    assert name in str(error.value)
