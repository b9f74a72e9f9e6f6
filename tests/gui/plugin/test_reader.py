"""What the reader claims, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from napari_tomodrgn.data.mrc import read_mrc_header, write_mrc
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.plugin.reader import get_reader, positions, read_maps
from napari_tomodrgn.gui.plugin.writer import write_map
from napari_tomodrgn.gui.window.dock import open_dock

PLUGIN = "napari-tomodrgn"


def test_particle_stars_and_runs_are_claimed(tiny_star: Path, tiny_run: Path) -> None:
    assert get_reader(str(tiny_star))
    assert get_reader(str(tiny_star.parent / "particles.star"))
    assert get_reader(str(tiny_run))
    assert get_reader([str(tiny_star)])


def test_what_is_absent_or_of_other_endings_is_left_alone(tmp_path: Path) -> None:
    assert get_reader(str(tmp_path / "absent.star")) is None
    assert get_reader(str(tmp_path / "map.ccp4")) is None
    assert get_reader([str(tmp_path / "map.mrc"), str(tmp_path / "absent.star")]) is None
    assert get_reader([]) is None
    (tmp_path / "image.zarr").mkdir()
    (tmp_path / "image" / ".zgroup").mkdir(parents=True)
    for name in ("image.zarr", "image"):
        assert get_reader(str(tmp_path / name)) is None


# What has one of our endings and is nothing of ours, and words of what is said of it.
_FOREIGN = {
    "empty.star": ("", "the file is empty"),
    "shopping.star": ("milk\neggs\n", "not a STAR file"),
    "binary.star": ("\0\1_rlnImageName", "a binary file"),
    "job.star": ("data_job\n_rlnJobTypeLabel x\n", "no block data_particles"),
    "settings.json": ("{}", "a JSON file"),
    "page.xml": ("<a/>", "an XML file"),
    "points.csv": ("index,axis-0\n0,1\n", "a CSV table"),
    "cut.mrc": ("no map", "shorter than an MRC header"),
    "cut.mrcs": ("no map", "shorter than an MRC header"),
    "folder": (None, "no run.json"),
    "shared.tomodrgn": ("no archive", "shared.tomodrgn"),
}


@pytest.mark.parametrize("name", _FOREIGN)
@pytest.mark.parametrize("docked", [True, False])
def test_what_has_our_ending_and_is_something_else_is_told_without_a_traceback(
    make_napari_viewer: Any,
    qtbot: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    name: str,
    docked: bool,
) -> None:
    from napari.utils.notifications import notification_manager

    text, words = _FOREIGN[name]
    path = tmp_path / name
    path.mkdir() if text is None else path.write_text(text)
    viewer = make_napari_viewer(show=True, strict_qt="raise")
    if docked:
        open_dock(viewer)
    notification_manager.records.clear()
    # As the menu and a drop do; the plugin is named where napari asks which one is meant.
    chosen = PLUGIN if name in ("points.csv", "folder") else None
    viewer.window._qt_viewer._qt_open([str(path)], stack=False, plugin=chosen)
    if not docked and path.suffix in (".mrc", ".mrcs"):  # for which nobody needs our window
        (told,) = (one.message for one in notification_manager.records)
        assert not viewer.window.dock_widgets
    else:
        widget = open_dock(viewer)
        qtbot.waitUntil(lambda: widget.banner.text != "")
        told = widget.banner.text
        widget.controller.close()
        qtbot.waitUntil(lambda: widget.controller.idle)
    assert words in told and name in told and "\n" not in told
    assert not viewer.layers
    assert "Traceback" not in caplog.text + "".join(capsys.readouterr())


def test_a_tomogram_that_is_a_star_file_opens_no_window_from_its_thread(
    make_napari_viewer: Any, tiny_star: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from napari_tomodrgn.gui.tomogram.plugin_reader import read_by_plugin

    viewer = make_napari_viewer()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(read_by_plugin, tiny_star)
        with pytest.raises(BadInputError):
            asked.result()
    assert not viewer.window.dock_widgets


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


def _file(path: Path, data: np.ndarray, voxel: float, *, stack: bool = False) -> Path:
    write_mrc(path, data, (voxel,) * 3, stack=stack)
    return path


def test_maps_come_mapped_at_their_size_in_angstrom(tmp_path: Path) -> None:
    data = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    path = _file(tmp_path / "a.mrc", data, 7.5)
    reader = get_reader(str(path))
    assert reader is read_maps
    ((found, kwargs, kind),) = reader(str(path))
    assert kind == "image"
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, data)
    assert kwargs["scale"] == pytest.approx((7.5,) * 3)
    assert kwargs["units"] == ("angstrom",) * 3


def test_stacks_are_images_one_after_the_other(tmp_path: Path) -> None:
    data = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    for name, stack in (("a.mrcs", False), ("b.mrc", True)):
        ((found, kwargs, _),) = read_maps([_file(tmp_path / name, data, 2.0, stack=stack)])
        assert found.shape == (3, 4, 5)
        assert kwargs["scale"] == pytest.approx((1.0, 2.0, 2.0))
    ((found, kwargs, _),) = read_maps(_file(tmp_path / "c.mrc", data[:1], 2.0))
    assert found.shape == (4, 5)
    assert kwargs["scale"] == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_of_imod_are_unsigned_and_other_machines_are_read(tmp_path: Path, order: str) -> None:
    data = np.array([[[0, 127], [128, 255]]], np.uint8).repeat(2, axis=0)
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as written:
        written.set_data(data.view(np.int8))
    raw = bytearray(path.read_bytes())
    raw[152:160] = np.array([1146047817, 0], "<i4").tobytes()
    if order == ">":  # every field that is read
        header = np.frombuffer(bytes(raw[:1024]), "<i4").astype(">i4")
        raw[:1024] = header.tobytes()
    path.write_bytes(bytes(raw))
    ((found, _, _),) = read_maps(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, data)


def test_a_file_without_a_voxel_size_is_in_voxels(tmp_path: Path) -> None:
    ((_, kwargs, _),) = read_maps(_file(tmp_path / "a.mrc", np.zeros((2, 3, 4)), 0.0))
    assert kwargs["units"] == ("pixel",) * 3
    assert kwargs["scale"] == (1.0,) * 3


@pytest.mark.parametrize("size", [10, 1000, 1024, 1200])
def test_a_cut_off_map_is_one_sentence(tmp_path: Path, size: int) -> None:
    path = _file(tmp_path / "a.mrc", np.zeros((4, 5, 6)), 1.0)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BadInputError, match=r"a\.mrc: .*(cut off|shorter)") as error:
        read_maps(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [("angstrom", 3.5, 3.5), ("nm", 0.35, 3.5), ("pixel", 2.0, 2.0)],
)
def test_layers_are_written_with_their_voxel_size(
    tmp_path: Path, unit: str, scale: float, expected: float
) -> None:
    from napari.layers import Image

    data = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    layer = Image(data, scale=(scale,) * 3, units=(unit,) * 3)
    path = tmp_path / "a.mrc"
    written, meta, _ = layer.as_layer_data_tuple()
    assert write_map(str(path), written, meta) == [str(path)]
    header = read_mrc_header(path)
    assert header.voxel_size_zyx_angstrom == pytest.approx((expected,) * 3, rel=1e-5)
    assert not header.is_stack
    np.testing.assert_array_equal(read_maps(path)[0][0], data)


def test_what_is_no_grey_map_is_refused(tmp_path: Path) -> None:
    for data, meta in (
        (np.zeros((3, 4, 3)), {"rgb": True, "name": "photo"}),
        (np.zeros((2, 3, 4, 5)), {"name": "movie"}),
    ):
        with pytest.raises(BadInputError, match=meta["name"]):
            write_map(str(tmp_path / "a.mrc"), data, meta)
    assert not list(tmp_path.iterdir())


def test_napari_opens_and_saves_maps_through_the_plugin(
    make_napari_viewer: Any, tmp_path: Path
) -> None:
    path = _file(tmp_path / "a.mrc", np.ones((3, 4, 5)), 4.0)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(path), plugin=PLUGIN)
    assert layer.extent.world[1] == pytest.approx((8.0, 12.0, 16.0))
    assert layer.save(str(tmp_path / "b.mrcs"), plugin=PLUGIN) == [str(tmp_path / "b.mrcs")]
    assert read_mrc_header(tmp_path / "b.mrcs").is_stack
    (tmp_path / "cut.mrc").write_bytes(path.read_bytes()[:-4])
    assert viewer.open(str(tmp_path / "cut.mrc"), plugin=PLUGIN) == []  # said in the window
    assert len(viewer.layers) == 1


def test_the_menu_opens_one_window_and_turns_to_its_parts(
    make_napari_viewer: Any, tiny_star: Path, qtbot: Any
) -> None:
    from napari_tomodrgn.gui.window.main_widget import MainWidget

    viewer = make_napari_viewer(show=True, strict_qt="raise")
    window = viewer.window
    window.plugins_menu.aboutToShow.emit()
    (menu,) = (one.menu() for one in window.plugins_menu.actions() if one.text() == "tomoDRGN")
    entries = {entry.text(): entry for entry in menu.actions()}
    assert next(iter(entries)) == "tomoDRGN"  # all of it; the others are places in it
    for name in ("Training", "Latent space", "Tomogram", "Validate", "Particles"):
        entries[f"Go to {name}"].trigger()
        qtbot.waitUntil(lambda: len(window.dock_widgets) == 2)
        widget = open_dock(viewer)
        if name != "Latent space":
            shown = widget.tabs.tabText(widget.tabs.currentIndex())
            assert shown == {"Tomogram": "Explore"}.get(name, name)
    viewer.open(str(tiny_star), plugin=PLUGIN)  # napari calls the dock otherwise then
    qtbot.waitUntil(lambda: widget.session.particles is not None, timeout=30_000)
    docks = window.dock_widgets.values()
    assert [isinstance(one, MainWidget) for one in docks].count(True) == 1
    viewer.window.remove_dock_widget(widget.latent)
    entries["Go to Latent space"].trigger()
    qtbot.waitUntil(widget.latent.isVisible)
    widget.controller.close()
    qtbot.waitUntil(lambda: widget.controller.idle)
