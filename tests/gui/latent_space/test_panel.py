"""The latent space's dock: keys, tools, density, floating."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari._qt.utils import QImg2array
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QShortcut
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QInputDialog

from napari_tomodrgn.gui.charts.density_renderer import DensityPoints
from napari_tomodrgn.gui.charts.point_cloud import PointRenderer, RasterPoints
from napari_tomodrgn.gui.charts.vispy_renderer import VispyPoints
from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME
from napari_tomodrgn.gui.widgets.saving import name_of_map
from napari_tomodrgn.gui.widgets.wrapping_row import WrappingRow

LEFT = Qt.MouseButton.LeftButton
LONG = 60_000


def _idle(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)


def _middle(picture: Any) -> tuple[float, float]:
    """Row and column of the mean of what is lit."""
    rows, columns = np.nonzero(picture[..., :3].max(axis=-1) > 60)
    return float(rows.mean()), float(columns.mean())


def _press(widget: Any, keys: str) -> None:
    """What a shortcut does; that it is heard needs a window manager, which a test has not."""
    shortcuts = {one.key().toString(): one for one in widget.latent.findChildren(QShortcut)}
    shortcuts[keys].activated.emit()


def test_arrow_keys_go_from_particle_to_particle_and_alt_along_the_axis(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, view = opened(tiny_run), widget.latent.view
    leftmost = int(view.points[:, 0].argmin())
    session.focused = str(session.latents.index[leftmost])
    x = [view.points[leftmost, 0]]
    for _ in range(2):
        QTest.keyClick(view, Qt.Key.Key_Right)
        x.append(view.points[session.latents.index.get_loc(session.focused), 0])
    assert x == sorted(x) and x[2] > x[0]
    _idle(widget, qtbot)
    before = session.focused
    QTest.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: session.free_point is not None, timeout=LONG)
    _idle(widget, qtbot)
    place = view.place
    width = view.view.x_max - view.view.x_min
    np.testing.assert_allclose(place[0], x[2] + 0.025 * width, atol=1e-6 * width)
    assert session.focused == before


def test_keys_take_tools_and_a_menu_says_how_lines_combine(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path
) -> None:
    session, view, tools = opened(tiny_run), widget.latent.view, widget.latent.tools
    _press(widget, "R")
    session.selection = frozenset(map(str, session.latents.index[:3]))
    next(one for one in tools.mode.menu().actions() if "in both" in one.text()).trigger()
    here, there = QPoint(2, 2), QPoint(view.width() - 2, view.height() - 2)
    QTest.mousePress(view, LEFT, pos=here)
    QTest.mouseMove(view, there)
    QTest.mouseRelease(view, LEFT, pos=there)
    assert len(session.selection) == 3, "the box encloses all, and all of the three are kept"
    _press(widget, "M")
    QTest.mousePress(view, LEFT, pos=QPoint(200, 80))
    QTest.mouseMove(view, QPoint(240, 90))
    QTest.mouseRelease(view, LEFT, pos=QPoint(240, 90))
    assert not view.shows_all


def test_density_is_a_button(widget: Any, opened: Callable[[Path], Any], tiny_run: Path) -> None:
    opened(tiny_run)
    view, button = widget.latent.view, widget.latent.axes.density
    assert not button.isChecked(), "24 points are drawn as points"
    points = view.grab().toImage()
    button.click()
    assert isinstance(view.renderer, DensityPoints)
    assert view.grab().toImage() != points
    button.click()
    assert view.grab().toImage() == points


@pytest.mark.parametrize("renderer", [RasterPoints, VispyPoints])
def test_a_dock_that_floats_three_times_still_draws_and_leaves_the_canvas_alone(
    renderer: type[PointRenderer],
    viewer: Any,
    widget: Any,
    opened: Callable[[Path], Any],
    tiny_run: Path,
    qtbot: Any,
    lit: Callable[..., float],
) -> None:
    opened(tiny_run)
    view, dock = widget.latent.view, widget.latent.parentWidget()
    assert isinstance(dock, QDockWidget)
    view.set_renderer(renderer())
    canvas, size = viewer.screenshot(flash=False), view.size()

    def points_and_axes_are_there() -> bool:
        picture = QImg2array(view.grab().toImage())
        return lit(picture, background=0, threshold=90) > 0.005

    def is_as_large_as_before() -> bool:
        return abs(view.width() - size.width()) + abs(view.height() - size.height()) <= 6

    for floats in (True, False) * 3:
        dock.setFloating(floats)
        qtbot.waitUntil(lambda floats=floats: dock.isFloating() == floats)
        qtbot.waitUntil(points_and_axes_are_there)
        if not floats:
            qtbot.waitUntil(is_as_large_as_before)
    after = viewer.screenshot(flash=False)
    # What goes wrong with a GL canvas in a dock shifts napari's own into a corner.
    assert _middle(after) == pytest.approx(_middle(canvas), abs=4)
    assert lit(after) == pytest.approx(lit(canvas), rel=0.05)
    view.set_renderer(RasterPoints())  # as the window does when it closes


def test_rows_fold_where_there_is_no_room(qtbot: Any) -> None:
    from qtpy.QtWidgets import QLabel

    row = WrappingRow(QLabel("contour, low-pass, style"), QLabel("path, slider, play, loop"))
    qtbot.addWidget(row)
    row.resize(row.sizeHint().width() + 20, 40)
    row.show()
    assert not row.folded
    flat = row.minimumSizeHint()
    row.resize(flat.width() + 5, 80)
    assert row.folded
    assert row.minimumSizeHint().height() > 1.8 * flat.height()
    row.resize(row.sizeHint().width() + 20, 40)
    assert not row.folded


def test_what_hardly_varies_does_not_look_as_wide_as_what_does(
    widget: Any, qtbot: Any, tiny_run: Path, opened: Callable[[Path], Any]
) -> None:
    """Two latent directions share a unit; columns of other units each fill the chart."""
    session, view = opened(tiny_run), widget.latent.view
    flat = session.latents.copy()
    spread = np.linspace(-1, 1, len(flat))
    for number, width in enumerate((1.0, 1e-5, 1e-6)):
        flat[f"mu_{number}"] = width * np.roll(spread, number)
    session.latents = flat
    session.axes = ("z 0", "z 1")
    qtbot.waitUntil(lambda: np.ptp(view.points[:, 1]) < 1e-4, timeout=LONG)
    shown = view.view
    share = (shown.y_max - shown.y_min) / (shown.x_max - shown.x_min)
    assert share == pytest.approx(0.1)
    session.axes = ("z 0", "tilts")
    qtbot.waitUntil(lambda: np.ptp(view.points[:, 1]) != pytest.approx(2e-5), timeout=LONG)
    shown = view.view
    extent = max(np.ptp(view.points[:, 1]), 1.0)
    assert shown.y_max - shown.y_min == pytest.approx(1.12 * extent, rel=0.01)


def test_a_class_has_a_button_for_its_map(
    widget: Any, viewer: Any, qtbot: Any, tiny_run: Path, opened: Callable[[Path], Any]
) -> None:
    """The map of the particle nearest to the middle of its class, which the title says."""
    session, key = opened(tiny_run), widget.latent.legend.key
    names = np.where(np.arange(len(session.latents)) % 3 == 0, "1", "2")
    session.add_columns(pd.DataFrame({"cluster": names}, index=session.latents.index))
    session.color = "cluster"
    qtbot.waitUntil(lambda: widget.latent.color.currentText() == "cluster", timeout=LONG)
    key.grab()
    session.canvas_mode = "tomogram"  # what is asked for is shown, wherever one was
    QTest.mouseClick(key, LEFT, pos=key._button(2).center().toPoint())
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    members = session.latents[names == "2"].filter(like="mu_")
    far = ((members - members.mean()) ** 2).sum(axis=1)
    assert session.focused == far.idxmin() and session.canvas_mode == "particle"
    assert not session.selection, "only a click on the name selects"
    qtbot.waitUntil(lambda: session.decoded.particle_id == session.focused, timeout=LONG)
    words = f"cluster 2: {session.focused}, nearest its middle"
    assert viewer.canvas.overlays[CAPTION_NAME].text.replace("\n", " ").startswith(words)
    assert name_of_map(session).startswith("cluster_2_")
    other = str(session.latents.index[0])
    session.focused = other
    qtbot.waitUntil(lambda: session.decoded.particle_id == other, timeout=LONG)
    assert viewer.canvas.overlays[CAPTION_NAME].text.startswith(other)
    assert name_of_map(session) == other.replace("/", "_")
    session.color = "tomogram"  # no class: nobody asks for the map of its middle
    qtbot.waitUntil(lambda: widget.latent.color.currentText() == "tomogram", timeout=LONG)
    assert not key.with_maps


def test_a_class_is_kept_under_a_name_by_the_right_button(
    widget: Any,
    qtbot: Any,
    tiny_run: Path,
    opened: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    session = opened(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    legend = widget.latent.legend
    names = np.where(np.arange(len(session.latents)) % 3 == 0, "1", "2")
    session.add_columns(pd.DataFrame({"cluster": names}, index=session.latents.index))
    session.color = "cluster"
    qtbot.waitUntil(lambda: widget.latent.color.currentText() == "cluster", timeout=LONG)

    def choose(row: int, words: str) -> None:
        at = QPoint(30, (row + 1) * legend.key.line_px + 4)
        QTest.mouseClick(legend.key, Qt.MouseButton.RightButton, pos=at)
        menu = QApplication.activePopupWidget()
        entries = {one.text(): one for one in menu.actions()}
        box = menu.actionGeometry(entries[words])
        QTest.mouseClick(menu, LEFT, pos=box.center())

    ones, twos = (frozenset(session.latents.index[names == one]) for one in "12")
    choose(0, "Select these")
    qtbot.waitUntil(lambda: session.selection == ones, timeout=LONG)
    choose(1, "Add these to the selection")
    qtbot.waitUntil(lambda: session.selection == ones | twos, timeout=LONG)
    choose(0, "Take these from the selection")
    qtbot.waitUntil(lambda: session.selection == twos, timeout=LONG)
    asked = []

    def answer(_parent: Any, *words: str, text: str) -> tuple[str, bool]:
        asked.append((words, text))
        return "with 5S RNP", True

    monkeypatch.setattr(QInputDialog, "getText", answer)
    choose(0, "Save as a selection…")
    assert asked == [(("Save as a selection", "Name of cluster 1:"), "cluster 1")]
    qtbot.waitUntil(lambda: len(session.selections) == 1, timeout=LONG)
    kept = session.selections[0]
    assert kept.name == "with 5S RNP" and frozenset(kept.particles) == ones == session.selection
    choose(1, "Show their map")
    qtbot.waitUntil(lambda: session.class_map is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
