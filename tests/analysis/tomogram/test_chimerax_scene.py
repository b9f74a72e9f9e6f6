"""The script for ChimeraX, read by a parser: matrices, files, colours; and `place` as a command."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from napari_tomodrgn.analysis.tomogram.chimerax_scene import hex_colors, write_scene
from napari_tomodrgn.analysis.tomogram.placement import Placement, placements
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.learn.run.directory import Run


class Parsed:
    """What a script opens and where it puts it, by model number; any other command fails."""

    def __init__(self, script: Path) -> None:
        self.files: dict[int, Path] = {}
        self.matrices: dict[int, np.ndarray] = {}
        self.colors: dict[int, str] = {}
        self.levels: dict[int, float] = {}
        for line in script.read_text(encoding="utf-8").splitlines():
            self._command(line, script.parent)

    def _command(self, line: str, folder: Path) -> None:
        if found := re.fullmatch(r'open "([^"]+)" id #(\d+)', line):
            self.files[int(found[2])] = folder / found[1]
        elif found := re.fullmatch(r"view matrix models #(\d+),([-+.e\d,]+)", line):
            numbers = [float(number) for number in found[2].split(",")]
            self.matrices[int(found[1])] = np.array(numbers).reshape(3, 4)
        elif found := re.fullmatch(
            r"volume #(\d+) style surface level (\S+) step 1 color (#[0-9a-f]{6})", line
        ):
            self.levels[int(found[1])], self.colors[int(found[1])] = float(found[2]), found[3]
        else:
            assert line.startswith("#") or line in ("set bgColor white", "view"), line


def assert_in_place(parsed: Parsed, placed: tuple[Placement, ...] | list[Placement]) -> None:
    """Each matrix is a rotation to the last digits, and takes the centre to the particle."""
    assert list(parsed.matrices) == list(parsed.files) == list(range(1, len(placed) + 1))
    for number, placement in enumerate(placed, start=1):
        turn, shift = parsed.matrices[number][:, :3], parsed.matrices[number][:, 3]
        assert np.abs(turn @ turn.T - np.eye(3)).max() < 1e-12
        assert np.linalg.det(turn) == pytest.approx(1.0)
        assert np.abs(turn - placement.rotation_xyz).max() < 1e-15
        volume = read_volume(parsed.files[number])
        centre = np.full(3, volume.box_size_px // 2) * volume.voxel_size_angstrom
        off = turn @ centre + shift - placement.position_zyx_angstrom[::-1]
        assert np.abs(off).max() < 1e-3


def posed(count: int) -> list[Placement]:
    rng = np.random.default_rng(0)
    turns = Rotation.random(count, rng=rng).as_matrix()
    places = rng.uniform(0, 9000, (count, 3))
    return [Placement("t", f"t/{n}", places[n], turns[n]) for n in range(count)]


def ball() -> Volume:
    grid = np.indices((16, 16, 16)) - 8
    radius = np.sqrt((grid**2).sum(axis=0))
    return Volume(np.clip(5 - radius, 0, None).astype(np.float32), 7.3)


def test_classes_are_written_once(tmp_path: Path) -> None:
    placed = posed(5)
    colors = ["#ff0000", "#00ff00", "#0000ff", "#ff0000", "#010203"]
    maps = {"a/b": ball(), "a_b": ball()}
    names = ["a/b", "a_b", "a/b", "a_b", "a/b"]
    scene = write_scene(tmp_path, ((name, maps[name]) for name in names), placed, colors)
    assert [path.name for path in scene.maps] == ["0001_a_b.mrc", "0002_a_b.mrc"]
    parsed = Parsed(scene.script)
    assert_in_place(parsed, placed)
    assert list(parsed.colors.values()) == colors
    assert parsed.files[1] == parsed.files[3] != parsed.files[2]
    header, body = scene.mesh.read_bytes().split(b"end_header\n", 1)
    count = int(re.search(rb"element vertex (\d+)", header)[1])
    fields = [("xyz", "<f4", (3,)), ("rgb", "u1", (3,)), ("alpha", "u1"), ("value", "<f4")]
    vertices = np.frombuffer(body, fields, count)
    for row, placement in enumerate(placed):
        own = vertices[vertices["value"] == row]
        rgb = tuple(bytes.fromhex(colors[row][1:]))
        assert {tuple(map(int, each)) for each in own["rgb"]} == {rgb}
        middle = (own["xyz"].min(axis=0) + own["xyz"].max(axis=0)) / 2
        assert middle == pytest.approx(placement.position_zyx_angstrom[::-1], abs=1.5)


def test_an_identity_cannot_become_a_command(tmp_path: Path) -> None:
    placement = Placement("t", "t/1\nclose session", np.zeros(3), np.eye(3))
    scene = write_scene(tmp_path, [('x" ; quit', ball())], [placement])
    assert_in_place(Parsed(scene.script), [placement])


def test_colors_by_column() -> None:
    numbers = hex_colors(pd.Series(np.append(np.linspace(0, 1, 101), np.nan)))
    assert (numbers[0], numbers[50], numbers[100], numbers[101]) == (
        "#440154",
        "#21918c",
        "#fde725",
        "#9e9e9e",
    )
    classes = hex_colors(pd.Series([10, 2, 10, 1]))
    assert classes[0] == classes[2]
    assert len(set(classes)) == 3
    assert hex_colors(pd.Series([1, 2, 10, 1])) == [classes[3], classes[1], classes[0], classes[3]]
    assert hex_colors(pd.Series(["b", None, "a"]))[1] == "#9e9e9e"
    assert hex_colors(pd.Series([np.nan, np.nan])) == ["#9e9e9e"] * 2


def test_place_every_particle(tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "cell"
    command = ["place", str(tiny_run), "--tomogram", "TS_002", "--out", str(out)]
    assert main([*command, "--color", "mu_0", "--box", "16"]) == 0
    run = Run.open(tiny_run)
    placed = placements(run.particles(), tomogram="TS_002")
    parsed = Parsed(out / "place.cxc")
    assert_in_place(parsed, placed)
    assert len(set(parsed.colors.values())) > 3
    # Each particle's own map, and not those of the first of the set.
    table, decoder = run.latents(), run.decoder()
    for number, placement in enumerate(placed, start=1):
        z = table.loc[placement.particle_id, ["mu_0", "mu_1"]].to_numpy(np.float32)
        expected = decoder.decode(z, 16).data
        assert read_volume(parsed.files[number]).data == pytest.approx(expected, rel=1e-4)


def test_place_by_cluster(tiny_run: Path, tmp_path: Path) -> None:
    import shutil

    run = shutil.copytree(tiny_run, tmp_path / "run")
    ids = Run.open(run).latents().index
    clusters = pd.DataFrame({"particle_id": ids, "cluster": np.arange(len(ids)) % 3})
    clusters.to_csv(run / "analysis" / "clusters.csv", index=False)
    chosen = tmp_path / "ids.txt"
    chosen.write_text("\n".join(ids[:8]))
    command = ["place", str(run), "--tomogram", "TS_001.tomostar", "--out", str(tmp_path / "out")]
    options = ["--by-cluster", "--color", "cluster", "--particles", str(chosen), "--box", "16"]
    assert main([*command, *options]) == 0
    parsed = Parsed(tmp_path / "out" / "place.cxc")
    assert len(parsed.files) == 8
    assert len(set(parsed.files.values())) == len(set(parsed.colors.values())) == 3
    assert parsed.files[1].name == "0001_cluster_0.mrc"
    clusters[clusters["particle_id"] != ids[2]].to_csv(
        run / "analysis" / "clusters.csv", index=False
    )
    again = [*command, "--overwrite"]
    assert main([*again, *options]) == 2
    assert main([*again, *options[1:]]) == 0
    assert Parsed(tmp_path / "out" / "place.cxc").colors[3] == "#9e9e9e"
    (run / "analysis" / "clusters.csv").write_text("something else\n1\n")
    assert main([*command, *options[1:]]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tomogram", "TS_009"], "no tomogram is called 'TS_009'; there are: TS_001"),
        (["--tomogram", "TS_001", "--color", "nothing"], "no column 'nothing'"),
        (["--tomogram", "TS_001", "--by-cluster"], "no column 'cluster'"),
        (["--tomogram", "TS_001", "--box", "15"], "--box must be even"),
    ],
)
def test_bad_input_is_one_line(
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    assert main(["place", str(tiny_run), "--out", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
