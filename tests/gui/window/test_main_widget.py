"""The whole window as a user meets it: open, look, click, train, stop, float, close."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components.overlays import TextOverlay
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel

from napari_tomodrgn.gui.charts.interactive_scatter import LassoSelection
from napari_tomodrgn.gui.volumes.layers import LAYER_NAME
from napari_tomodrgn.gui.window.controller import controller_of
from napari_tomodrgn.particle_columns import mask_of

LONG = 60_000


def _click(widget: Any, qtbot: Any, identity: str) -> None:
    index = widget.session.latents.index.get_loc(identity)
    at = widget.latent.view.position_of(index).toPoint()
    QTest.mouseClick(widget.latent.view, Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)


def _loneliest(widget: Any) -> str:
    """A particle whose point lies apart, so that a click can mean no other."""
    points = widget.latent.view.points
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart.min(axis=1))[::-1]
    names = widget.session.latents.index[order]
    return str(next(name for name in names if name != widget.session.focused))


def test_a_run_is_shown_and_a_click_shows_that_particle(
    viewer: Any,
    widget: Any,
    opened: Callable[[Path], Any],
    qtbot: Any,
    tiny_run: Path,
    lit: Callable[..., float],
) -> None:
    opened(tiny_run)
    session = widget.session
    assert len(session.latents) == 24
    assert session.focused is not None, "a typical particle is shown at once"
    before = viewer.screenshot(flash=False)
    assert lit(before) > 0.005
    chosen = _loneliest(widget)
    _click(widget, qtbot, chosen)
    assert session.focused == chosen
    assert session.decoded.particle_id == chosen
    assert session.decoded.complete
    assert session.decoded.volume.data.shape == (48, 48, 48)
    after = viewer.screenshot(flash=False)
    assert (before != after).any()
    assert chosen in viewer.canvas.overlays.tomodrgn_caption.text
    _volume_is_the_latents(widget, chosen)


def _volume_is_the_latents(widget: Any, chosen: str) -> None:
    latents = widget.session.latents
    z = latents.loc[chosen, [name for name in latents if name.startswith("mu_")]]
    expected = widget.session.run.decoder().decode(z.to_numpy(np.float32).copy())
    np.testing.assert_allclose(widget.session.decoded.volume.data, expected.data, atol=1e-5)


def test_a_star_file_tells_what_was_understood(
    widget: Any, opened: Callable[[Path], Any], tiny_star: Path
) -> None:
    opened(tiny_star)
    words = " ".join(child.text() for child in widget.particles.findChildren(QLabel))
    for expected in ("24", "120", "48 px", "300 kV"):
        assert expected in words
    assert widget.training.button.isEnabled()
    assert widget.training.folder.folder.endswith("_run01")


def test_lasso_selects_identities(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path
) -> None:
    opened(tiny_run)
    mask = np.zeros(24, bool)
    mask[[3, 8]] = True
    widget.latent.view.lassoed.emit(LassoSelection(mask, "replace"))
    names = widget.session.latents.index
    assert widget.session.selection == {names[3], names[8]}
    assert "2 selected" in widget.latent.status.text()
    np.testing.assert_array_equal(mask_of(widget.session.latents, widget.session.selection), mask)


def test_axes_and_color(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], qtbot: Any, tiny_run: Path
) -> None:
    opened(tiny_run)
    latent, session = widget.latent, widget.session
    latent.x_axis.setCurrentText("z 2")
    latent.x_axis.activated.emit(latent.x_axis.currentIndex())
    assert session.axes == ("z 2", "PC 2")
    qtbot.waitUntil(lambda: np.allclose(latent.view.points[:, 0], session.latents["mu_2"]))
    plain = viewer.layers[LAYER_NAME].colormap.name
    latent.color.setCurrentText("tomogram")
    latent.color.activated.emit(latent.color.currentIndex())
    assert session.color == "tomogram"
    assert viewer.layers[LAYER_NAME].colormap.name != plain, "the volume takes the point's colour"


def test_more_columns_are_kept_in_the_run(
    widget: Any, opened: Callable[[Path], Any], qtbot: Any, tiny_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    opened(run)
    session = widget.session
    values = np.arange(24.0)
    names = session.latents.index[::-1]
    session.add_columns(pd.DataFrame({"nearest_angstrom": values}, index=names))
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert "nearest_angstrom" in [
        widget.latent.color.itemData(row) for row in range(widget.latent.color.count())
    ]
    session.axes = ("nearest_angstrom", "PC 1")
    qtbot.waitUntil(lambda: np.allclose(widget.latent.view.points[:, 0], values[::-1]))
    session.reset()
    opened(run)
    assert session.added_columns is not None
    assert session.added_columns.loc[names, "nearest_angstrom"].to_list() == list(values)


@pytest.mark.parametrize("kind", ["absent", "folder", "binary", "no particles"])
def test_bad_input_is_one_sentence_and_the_window_lives(
    widget: Any,
    opened: Callable[[Path], Any],
    qtbot: Any,
    tiny_run: Path,
    tmp_path: Path,
    kind: str,
) -> None:
    path = tmp_path / "x.star"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(bytes(range(256)) * 20)
    elif kind == "no particles":
        path.write_text("data_optics\n_rlnVoltage 300\n")
    widget.open(path)
    qtbot.waitUntil(lambda: widget.banner.text != "", timeout=LONG)
    assert "x.star" in widget.banner.text
    assert "Unexpected" not in widget.banner.text
    opened(tiny_run)
    assert "x.star" not in widget.banner.text
    assert widget.session.decoded is not None


@pytest.mark.parametrize("damage", ["json", "latents", "weights", "no epoch", "star"])
def test_a_damaged_run_is_one_sentence(
    widget: Any, qtbot: Any, tiny_run: Path, tmp_path: Path, damage: str
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    if damage == "json":
        (run / "run.json").write_text("{")
    elif damage == "latents":
        sorted((run / "latents").iterdir())[-1].write_bytes(b"PAR1 and no more")
    elif damage == "weights":
        for file in (run / "checkpoints").glob("epoch-*"):
            file.write_bytes(b"not weights")
    elif damage == "no epoch":
        shutil.rmtree(run / "latents")
    else:
        (run / "particles.star").unlink()
    widget.open(run)
    qtbot.waitUntil(lambda: widget.banner.text != "", timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert "Unexpected" not in widget.banner.text, widget.banner.text
    assert (widget.session.latents is not None) == (damage in ("weights", "star"))


def test_the_canvas_keeps_most_of_a_laptops_screen(viewer: Any, widget: Any, qtbot: Any) -> None:
    viewer.window.resize(1440, 900)
    qtbot.waitUntil(lambda: viewer.canvas.size[0] > 450 and viewer.canvas.size[1] > 700)
    assert widget.width() < 400
    below = widget.latent.mapTo(widget.window(), QPoint(0, 0))
    assert below.y() > 500
    assert widget.latent.width() > 650


def test_closing_the_dock_takes_everything_away(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], qtbot: Any, tiny_run: Path
) -> None:
    """A map that stayed would lie among those of the next window, under their names."""
    session = opened(tiny_run)
    assert controller_of(viewer) is widget.controller
    session.focused = str(session.latents.index[0])
    qtbot.waitUntil(lambda: session.decoded is not None, timeout=LONG)
    session.update(tomogram=str(session.latents["tomogram"].iloc[0]), canvas_mode="tomogram")
    qtbot.waitUntil(lambda: widget.controller.idle and len(viewer.layers) > 1, timeout=LONG)
    own = viewer.add_points(np.zeros((1, 3)), name="the user's own")
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not viewer.window.dock_widgets)
    assert controller_of(viewer) is None
    QApplication.processEvents()
    assert list(viewer.layers) == [own]
    assert not any(
        one.visible and one.text
        for one in viewer.canvas.overlays.values()
        if isinstance(one, TextOverlay)
    )


def test_a_closed_latent_space_can_be_shown_again(viewer: Any, widget: Any, qtbot: Any) -> None:
    viewer.window.remove_dock_widget(widget.latent)
    qtbot.waitUntil(widget.reopen.isVisible)
    QTest.mouseClick(widget.reopen, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(widget.latent.isVisible)
    assert not widget.reopen.isVisible()


def test_colors_follow_the_theme(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], qtbot: Any, tiny_run: Path
) -> None:
    from napari._qt.utils import QImg2array

    opened(tiny_run)
    viewer.theme = "light"
    qtbot.waitUntil(
        lambda: np.median(QImg2array(widget.latent.view.grab().toImage())[..., :3]) > 200
    )


def test_a_window_is_no_larger_than_its_screen(qtbot: Any) -> None:
    from qtpy.QtWidgets import QMainWindow

    from napari_tomodrgn.gui.window.layout import keep_on_screen

    window = QMainWindow()
    qtbot.addWidget(window)
    window.resize(5000, 4000)
    window.show()
    keep_on_screen(window)
    room = window.screen().availableGeometry()
    assert window.frameGeometry().height() <= room.height()
    assert window.frameGeometry().width() <= room.width()
    window.resize(400, 300)
    window.move(room.right() - 200, room.bottom() - 100)
    keep_on_screen(window)
    assert (window.width(), window.height()) == (400, 300)
    qtbot.waitUntil(lambda: room.contains(window.frameGeometry()))


def test_each_step_marks_what_to_press_next(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, tiny_star: Path
) -> None:
    def marked() -> dict[str, bool]:
        buttons = {
            "open": widget.particles._openers[0],
            "train": widget.training.button,
            "compare": widget.comparison.compare,
            "report": widget.comparison.report,
            "export": widget.export.star,
        }
        return {name: bool(one.property("next")) for name, one in buttons.items()}

    first = {"open": True, "train": True, "compare": True, "report": False, "export": False}
    assert marked() == first
    opened(tiny_star)
    assert marked() == first | {"open": False}
    session = opened(tiny_run)
    session.selection = frozenset(map(str, session.latents.index[:3]))
    assert marked() == first | {"open": False, "train": False, "export": True}
