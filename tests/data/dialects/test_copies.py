"""Symmetry-expanded sets: copies with poses of their own, and images that they share."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_tomodrgn.analysis.reconstruct import reconstruct_steps
from napari_tomodrgn.analysis.tomogram.neighborhood import neighbourhood
from napari_tomodrgn.cli import main
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.checks import file_checks
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.dialects.subset_writer import write_subset
from napari_tomodrgn.data.halves import first_half
from napari_tomodrgn.data.star import read_star, write_star
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import euler_to_matrix, matrix_to_euler, symmetry_rotations
from napari_tomodrgn.learn.inference.held_out import mean_difference, one_a_particle
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.read_images import read_images

C3 = symmetry_rotations("C3")
ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
SETS = {
    "warptools": "warptools/particles_optimisation_set.star",
    "warp": "warp/particles.star",
}


def expanded(star: Path, turns: np.ndarray = C3) -> Path:
    """A star beside another one, each row once for each operation, as RELION writes it."""
    blocks = read_star(star)
    frame = blocks["particles"] if "particles" in blocks else blocks[""]
    assert isinstance(frame, pd.DataFrame)
    rotations = euler_to_matrix(frame[ANGLES].astype(float).to_numpy())
    copies = frame.loc[np.repeat(frame.index, len(turns))].reset_index(drop=True)
    turned = np.einsum("nij,mjk->nmik", rotations, turns).reshape(-1, 3, 3)
    angles = matrix_to_euler(turned)
    copies[ANGLES] = [[f"{value:.9f}" for value in row] for row in angles]
    path = star.with_name("expanded.star")
    write_star(path, {**blocks, "particles" if "particles" in blocks else "": copies})
    return path


@pytest.fixture(params=SETS)
def pair(request: pytest.FixtureRequest, simulated: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A set, and the same set expanded by C3."""
    named = SETS[request.param]
    folder = tmp_path / "set"
    source = simulated / Path(named).parent
    shutil.copytree(source, folder)
    given = folder / Path(named).name
    if "optimisation_set" not in named:
        return given, expanded(given)
    entries = read_star(given)
    particles = folder / "particles.star"
    path = expanded(particles)
    (block,) = entries
    changed = {
        name: path.name if value == particles.name else value
        for name, value in dict(entries[block]).items()
    }
    assert changed != dict(entries[block])
    write_star(folder / "expanded_optimisation_set.star", {block: changed})
    return given, folder / "expanded_optimisation_set.star"


def test_copies_have_their_own_pose_and_share_images(pair: tuple[Path, Path]) -> None:
    plain, copies = map(read_particles, pair)
    assert len(copies) == 3 * len(plain) == 72
    assert copies.originals.max() + 1 == 24
    assert sorted(copies.ids)[:3] == [f"{min(plain.ids)}-copy{one}" for one in (1, 2, 3)]
    for number, turn in enumerate(C3, start=1):
        ids = [f"{name}-copy{number}" for name in plain.ids]
        part = copies.select(ids)
        assert part.ids == ids
        pd.testing.assert_frame_equal(
            part.images[["stack", "stack_index", "tilt_index"]].astype(str),
            plain.images[["stack", "stack_index", "tilt_index"]].astype(str),
        )
        np.testing.assert_allclose(
            part.arrays().rotations, plain.arrays().rotations @ turn, atol=1e-6
        )
        for same in ("defocus_u_angstrom", "dose_e_per_angstrom2", "stage_tilt_deg"):
            np.testing.assert_allclose(part.images[same], plain.images[same], atol=1e-3)
    codes = {one.code for one in file_checks(copies)}
    assert "symmetry-expanded" in codes
    assert not codes & {"duplicate-images", "duplicate-positions", "many-per-group"}


def test_halves_and_held_out_images_go_by_particle(pair: tuple[Path, Path], tmp_path: Path) -> None:
    copies = read_particles(pair[1])
    half = first_half(copies)
    of_particle = pd.Series(half).groupby(copies.originals)
    assert (of_particle.nunique() == 1).all() and of_particle.first().sum() == 12
    config = RunConfig.model_validate({"train": {"device": "cpu"}})
    data = run_to_end(read_images(copies, config, tmp_path, 1, RunContext()))
    arrays = copies.arrays()
    owner = copies.originals[arrays.particle]
    held = pd.Series(~data.training.numpy())
    image = [owner, copies.images["tilt_index"].to_numpy()]
    assert (held.groupby(image).nunique() == 1).all() and 0 < held.mean() < 0.3
    engine = LinearEngine.of(data, config, RunContext())
    one, two = engine.halves(torch.arange(len(copies)))
    assert len(one) and len(two)
    assert not set(copies.originals[one.numpy()]) & set(copies.originals[two.numpy()])


def test_a_particle_counts_once_in_standard_errors() -> None:
    apart = torch.from_numpy(np.random.default_rng(0).normal(0.1, 1.0, 50))
    data = SimpleNamespace(originals=np.repeat(np.arange(50), 6))
    # Six copies that say the same say no more than one.
    copied = one_a_particle(apart.repeat_interleave(6), data)  # type: ignore[arg-type]
    nothing = torch.zeros(1, dtype=torch.float64)
    assert mean_difference(copied, nothing) == pytest.approx(mean_difference(apart, nothing))
    assert copied.isfinite().sum() == 50


def test_chosen_copies_keep_their_names(pair: tuple[Path, Path], tmp_path: Path) -> None:
    copies = read_particles(pair[1])
    chosen = [name for name in copies.ids if name.endswith(("-copy2", "-copy3"))][5:20]
    written = write_subset(copies.select(chosen), tmp_path / "out" / "chosen.star")
    again = read_particles(written)
    assert again.ids == chosen
    pd.testing.assert_frame_equal(
        again.images.drop(columns=["source_row", "stack"]),
        copies.select(chosen).images.drop(columns=["source_row", "stack"]),
        check_categorical=False,
    )


def test_symmetry_of_a_reconstruction_is_that_of_the_expanded_set(
    pair: tuple[Path, Path],
) -> None:
    plain, copies = map(read_particles, pair)
    one = run_to_end(reconstruct_steps(plain, symmetry="c3"))
    two = run_to_end(reconstruct_steps(copies))
    for name in ("map", "half1", "half2"):
        ours, theirs = getattr(one, name).data, getattr(two, name).data
        assert np.abs(ours - theirs).max() < 2e-3 * np.abs(theirs).max(), name
    assert one.particles == 24


def test_neighbours_are_other_particles(simulated: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated / "warptools", tmp_path / "set")
    plain = read_particles(tmp_path / "set" / "particles_optimisation_set.star")
    path = expanded(tmp_path / "set" / "particles.star")
    copies = read_particles(path)
    alone, together = neighbourhood(plain, 400.0), neighbourhood(copies, 400.0)
    for column in ("neighbour_distance_angstrom", "neighbours_within", "density_per_nm3"):
        for number in (1, 2, 3):
            found = together.loc[[f"{name}-copy{number}" for name in plain.ids], column]
            np.testing.assert_allclose(found, alone[column], rtol=1e-6)
    assert together["neighbour_distance_angstrom"].min() > 10


def test_the_same_pose_twice_is_a_duplicate(simulated: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated / "warptools", tmp_path / "set")
    path = expanded(tmp_path / "set" / "particles.star", np.stack([np.eye(3), np.eye(3)]))
    with pytest.raises(BadInputError, match="rows 1 and 2") as error:
        read_particles(path)
    assert error.value.code == "duplicate-particle"


def turned_anew(star: Path, turns: np.ndarray, name: str) -> Path:
    """The star of ``turns`` ``(row, 3, 3)``: each row twice, the second time turned by its own."""
    path = expanded(star, np.stack([np.eye(3), np.eye(3)]))
    blocks = read_star(path)
    (key,) = (key for key, block in blocks.items() if ANGLES[0] in block)
    frame = pd.DataFrame(blocks[key])
    rotations = euler_to_matrix(frame[ANGLES].astype(float).to_numpy())
    rotations[1::2] = rotations[1::2] @ turns
    frame[ANGLES] = [[f"{one:.9f}" for one in row] for row in matrix_to_euler(rotations)]
    write_star(path.with_name(name), {**blocks, key: frame})
    return path.with_name(name)


def about_random_axes(angle_deg: np.ndarray, seed: int) -> np.ndarray:
    axes = np.random.default_rng(seed).normal(size=(len(angle_deg), 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return Rotation.from_rotvec(axes * np.deg2rad(angle_deg)[:, None]).as_matrix()


@pytest.mark.parametrize("largest_deg", [2.0, 12.0, 180.0])
def test_two_refinements_in_one_file_are_no_copies(
    simulated: Path, tmp_path: Path, largest_deg: float
) -> None:
    shutil.copytree(simulated / "warptools", tmp_path / "set")
    turns = about_random_axes(np.random.default_rng(1).uniform(0.2, largest_deg, 24), 2)
    path = turned_anew(tmp_path / "set" / "particles.star", turns, "twice.star")
    with pytest.raises(BadInputError, match="rows 1 and 2") as error:
        read_particles(path)
    assert error.value.code == "duplicate-particle"


def test_copies_that_were_aligned_since_are_doubted_aloud(simulated: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated / "warptools", tmp_path / "set")
    aligned = about_random_axes(np.random.default_rng(1).uniform(0, 6.0, 24), 2) @ C3[1]
    found = read_particles(
        turned_anew(tmp_path / "set" / "particles.star", aligned, "aligned.star")
    )
    (remark,) = (one for one in found.source.remarks if one.code == "symmetry-expanded")
    assert remark.severity == "warning" and "two refinements" in remark.remedy
    assert found.originals.max() + 1 == 24 and len(found) == 48


@pytest.mark.parametrize("group", ["C17", "D7", "I"])
def test_other_symmetries_are_copies(simulated: Path, tmp_path: Path, group: str) -> None:
    shutil.copytree(simulated / "warptools", tmp_path / "set")
    turns = Rotation.create_group("I").as_matrix() if group == "I" else symmetry_rotations(group)
    found = read_particles(expanded(tmp_path / "set" / "particles.star", turns))
    (remark,) = (one for one in found.source.remarks if one.code == "symmetry-expanded")
    assert remark.severity == "info" and remark.number == len(turns)
    assert len(found) == 24 * len(turns) and found.originals.max() + 1 == 24


def test_copies_of_which_some_were_taken_out(simulated: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated / "warptools", tmp_path / "set")
    path = expanded(tmp_path / "set" / "particles.star", symmetry_rotations("C6"))
    blocks = read_star(path)
    (key,) = (key for key, block in blocks.items() if ANGLES[0] in block)
    kept = pd.DataFrame(blocks[key]).sample(60, random_state=3).sort_index()
    write_star(path, {**blocks, key: kept.reset_index(drop=True)})
    found = read_particles(path)
    assert len(found) == 60 and found.originals.max() + 1 <= 24


def test_an_expanded_set_is_learnt_from(pair: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["train", str(pair[1]), "--method", "linear", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    run = Run.open(tmp_path / "run")
    assert len(run.latents()) == 72


def test_groups_of_other_axes_are_refused(
    simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    star = simulated / "warptools" / "particles_optimisation_set.star"
    words = ["reconstruct", str(star), "--out", str(tmp_path / "maps"), "--symmetry"]
    assert main([*words, "I1"]) == 2
    assert "'I1' is not C or D with a number" in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()


def test_point_groups() -> None:
    for group, order in (("C1", 1), ("C6", 6), ("D2", 4), ("D7", 14)):
        found = symmetry_rotations(group)
        assert len(found) == order
        np.testing.assert_allclose(found[0], np.eye(3), atol=1e-12)
        products = np.einsum("aij,bjk->abik", found, found).reshape(-1, 1, 3, 3)
        assert (np.abs(products - found[None]).max(axis=(2, 3)).min(axis=1) < 1e-12).all()
        np.testing.assert_allclose(np.linalg.det(found), 1.0, atol=1e-12)
