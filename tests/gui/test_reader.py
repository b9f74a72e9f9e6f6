"""What the reader claims, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_tomodrgn.gui.reader import get_reader, positions


def test_particle_stars_and_runs_are_claimed(tiny_star: Path, tiny_run: Path) -> None:
    assert get_reader(str(tiny_star))
    assert get_reader(str(tiny_star.parent / "particles.star"))
    assert get_reader(str(tiny_run))
    assert get_reader([str(tiny_star)])


@pytest.mark.parametrize(
    "content",
    [b"", b"data_\nloop_\n_rlnCoordinateX #1\n1.0\n", b"\x00\x01_rlnImageName", b"no star at all"],
)
def test_other_stars_are_left_alone(tmp_path: Path, content: bytes) -> None:
    star = tmp_path / "other.star"
    star.write_bytes(content)
    assert get_reader(str(star)) is None


def test_absent_files_folders_and_other_types_are_left_alone(tmp_path: Path) -> None:
    assert get_reader(str(tmp_path / "absent.star")) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "map.mrc")) is None
    assert get_reader([]) is None


def test_positions_without_a_window(tiny_star: Path) -> None:
    layers = positions(tiny_star)
    assert len(layers) == 2
    for data, kwargs, kind in layers:
        assert kind == "points"
        assert data.shape == (12, 3)
        assert kwargs["units"] == ("angstrom",) * 3
        assert list(kwargs["features"].columns) == ["particle_id", "tilts"]


def test_dropping_a_star_opens_the_dock(
    make_napari_viewer: Any, tiny_star: Path, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.open(str(tiny_star), plugin="napari-tomodrgn")
    _, widget = viewer.window.add_plugin_dock_widget("napari-tomodrgn", "tomoDRGN")
    qtbot.waitUntil(lambda: widget.session.particles is not None, timeout=30_000)
    assert not viewer.layers
    assert len(widget.session.particles) == 24
    assert widget.banner.text == ""


def test_dropping_a_bad_star_says_so_in_the_dock(
    make_napari_viewer: Any, tmp_path: Path, qtbot: Any
) -> None:
    star = tmp_path / "broken.star"
    star.write_text("data_particles\nloop_\n_rlnImageName #1\n_rlnSomething #2\n1@a.mrcs\n")
    viewer = make_napari_viewer(show=True)
    viewer.open(str(star), plugin="napari-tomodrgn")
    _, widget = viewer.window.add_plugin_dock_widget("napari-tomodrgn", "tomoDRGN")
    qtbot.waitUntil(lambda: widget.banner.text != "", timeout=30_000)
    assert "broken.star" in widget.banner.text
    assert "Traceback" not in widget.banner.text
