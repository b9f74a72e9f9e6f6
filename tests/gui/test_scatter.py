"""`LatentView` with a real mouse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.gui.scatter import LatentView

POINTS = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [1.0, -1.0]])
LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def view(qtbot: Any) -> LatentView:
    view = LatentView()
    qtbot.addWidget(view)
    view.resize(420, 300)
    view.set_points(POINTS, np.full((4, 3), 220, np.uint8))
    view.set_labels("PC 1", "PC 2")
    view.show()
    qtbot.waitExposed(view)
    return view


def _drag(
    view: LatentView, corners: list[QPoint], held: Any = Qt.KeyboardModifier.NoModifier
) -> None:
    QTest.mousePress(view, LEFT, held, corners[0])
    for corner in corners[1:]:
        QTest.mouseMove(view, corner)
    QTest.mouseRelease(view, LEFT, held, corners[-1])


def _picture(view: LatentView) -> Any:
    from napari._qt.utils import QImg2array

    return QImg2array(view.grab().toImage())


def test_a_click_tells_the_point(view: LatentView, qtbot: Any) -> None:
    for index in range(4):
        with qtbot.waitSignal(view.clicked) as heard:
            QTest.mouseClick(view, LEFT, pos=view.position_of(index).toPoint())
        assert heard.args[0].index == index
        assert heard.args[0].x == pytest.approx(POINTS[index, 0], abs=0.02)


def test_shift_and_alt_are_told(view: LatentView, qtbot: Any) -> None:
    at = view.position_of(2).toPoint()
    with qtbot.waitSignal(view.clicked) as heard:
        QTest.mouseClick(view, LEFT, SHIFT, at)
    assert heard.args[0].add
    with qtbot.waitSignal(view.clicked) as heard:
        QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.AltModifier, QPoint(120, 60))
    assert heard.args[0].free
    assert heard.args[0].index == -1


def test_a_click_beside_all_points_is_none(view: LatentView, qtbot: Any) -> None:
    with qtbot.assertNotEmitted(view.clicked):
        QTest.mouseClick(view, LEFT, pos=QPoint(120, 60))


def test_hover_tells_and_forgets(view: LatentView, qtbot: Any) -> None:
    heard: list[int] = []
    view.hovered.connect(heard.append)
    QTest.mouseMove(view, view.position_of(3).toPoint())
    qtbot.waitUntil(lambda: heard == [3])
    QTest.mouseMove(view, QPoint(120, 60))
    qtbot.waitUntil(lambda: heard == [3, -1])


def test_a_drag_moves_the_view_and_is_no_click(view: LatentView, qtbot: Any) -> None:
    before = view.position_of(1)
    with qtbot.assertNotEmitted(view.clicked):
        _drag(view, [QPoint(200, 100), QPoint(215, 105), QPoint(240, 120)])
    moved = view.position_of(1) - before
    assert (moved.x(), moved.y()) == pytest.approx((40, 20), abs=0.01)
    assert not view.shows_all


def test_the_wheel_zooms_where_the_pointer_is_and_a_double_click_shows_all(
    view: LatentView,
) -> None:
    at = view.position_of(2)
    turn = QWheelEvent(
        at,
        view.mapToGlobal(at),
        QPoint(),
        QPoint(0, 240),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    before = view.view
    QApplication.sendEvent(view, turn)
    after = view.position_of(2)
    assert (after.x(), after.y()) == pytest.approx((at.x(), at.y()), abs=1e-6)
    assert view.view.x_max - view.view.x_min < before.x_max - before.x_min
    QTest.mouseDClick(view, LEFT, pos=QPoint(200, 250))
    assert view.shows_all


def test_a_lasso_selects_what_it_encloses(view: LatentView, qtbot: Any) -> None:
    one, other = view.position_of(2), view.position_of(3)
    left, right = round(one.x()) - 25, view.width() - 12
    top, bottom = round(one.y()) - 8, round(other.y()) + 8
    corners = [QPoint(left, top), QPoint(right, top), QPoint(right, bottom), QPoint(left, bottom)]
    with qtbot.waitSignal(view.lassoed) as heard, qtbot.assertNotEmitted(view.clicked):
        _drag(view, corners, SHIFT)
    assert heard.args[0].mask.tolist() == [False, False, True, True]
    assert heard.args[0].how == "add"
    for held, how in ((Qt.KeyboardModifier.AltModifier, "subtract"), (PLAIN, "replace")):
        view.lasso_tool = True
        with qtbot.waitSignal(view.lassoed) as heard:
            _drag(view, corners, held)
        assert heard.args[0].how == how


def test_points_axes_ring_and_fading_are_painted(view: LatentView) -> None:
    plain = _picture(view)
    at = view.position_of(0).toPoint()
    assert plain[at.y(), at.x(), :3].max() > 150
    view.set_selected(np.array([False, True, False, False]))
    faded = _picture(view)
    assert faded[at.y(), at.x(), :3].max() < 120
    view.set_selected(None)
    view.set_focused(1)
    view.set_hovered(2, "TS_01/12")
    assert (_picture(view) != plain).any(axis=-1).sum() > 100


def test_an_empty_view_says_what_to_do(view: LatentView) -> None:
    view.set_points(np.zeros((0, 2)), np.zeros((0, 3), np.uint8))
    empty = _picture(view)
    view.set_hint("Open a run.")
    assert (_picture(view) != empty).any()


def test_marks_do_not_outlive_their_points(view: LatentView) -> None:
    view.set_focused(3)
    view.set_selected(np.array([True, False, False, True]))
    view.set_points(POINTS[:2], np.zeros((2, 3), np.uint8))
    _picture(view)


def test_the_view_can_be_kept_while_points_move(view: LatentView) -> None:
    kept = view.view
    view.set_points(POINTS * 3, np.zeros((4, 3), np.uint8), keep_view=True)
    assert view.view == kept
    view.show_all()
    assert view.view != kept
