"""`InteractiveScatter` with a real mouse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.gui.charts.interactive_scatter import InteractiveScatter

POINTS = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [1.0, -1.0]])
LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def view(qtbot: Any) -> InteractiveScatter:
    view = InteractiveScatter()
    qtbot.addWidget(view)
    view.resize(420, 300)
    view.set_points(POINTS, np.full((4, 3), 220, np.uint8))
    view.set_labels("PC 1", "PC 2")
    view.show()
    qtbot.waitExposed(view)
    return view


def _drag(
    view: InteractiveScatter, corners: list[QPoint], held: Any = Qt.KeyboardModifier.NoModifier
) -> None:
    QTest.mousePress(view, LEFT, held, corners[0])
    for corner in corners[1:]:
        QTest.mouseMove(view, corner)
    QTest.mouseRelease(view, LEFT, held, corners[-1])


def _picture(view: InteractiveScatter) -> Any:
    from napari._qt.utils import QImg2array

    return QImg2array(view.grab().toImage())


def test_a_click_tells_the_point(view: InteractiveScatter, qtbot: Any) -> None:
    for index in range(4):
        with qtbot.waitSignal(view.clicked) as heard:
            QTest.mouseClick(view, LEFT, pos=view.position_of(index).toPoint())
        assert heard.args[0].index == index
        assert heard.args[0].x == pytest.approx(POINTS[index, 0], abs=0.02)


def test_shift_and_alt_are_told(view: InteractiveScatter, qtbot: Any) -> None:
    at = view.position_of(2).toPoint()
    with qtbot.waitSignal(view.clicked) as heard:
        QTest.mouseClick(view, LEFT, SHIFT, at)
    assert heard.args[0].add
    with qtbot.waitSignal(view.clicked) as heard:
        QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.AltModifier, QPoint(120, 60))
    assert heard.args[0].free
    assert heard.args[0].index == -1


def test_a_click_beside_all_points_is_none(view: InteractiveScatter, qtbot: Any) -> None:
    with qtbot.assertNotEmitted(view.clicked):
        QTest.mouseClick(view, LEFT, pos=QPoint(120, 60))


def test_hover_tells_and_forgets(view: InteractiveScatter, qtbot: Any) -> None:
    heard: list[int] = []
    view.hovered.connect(heard.append)
    QTest.mouseMove(view, view.position_of(3).toPoint())
    qtbot.waitUntil(lambda: heard == [3])
    QTest.mouseMove(view, QPoint(120, 60))
    qtbot.waitUntil(lambda: heard == [3, -1])


def test_a_point_out_of_sight_has_no_label(view: InteractiveScatter) -> None:
    """A stub of its name was in the corner of the chart."""
    view._set_view(view.view.zoomed(0.2, (0.0, 0.0)))
    bare = _picture(view)
    view.set_hovered(0, "TS_001.tomostar/17")  # as from the pointer over the tomogram
    np.testing.assert_array_equal(_picture(view), bare)
    view.set_hovered(1, "TS_001.tomostar/17")
    assert (_picture(view) != bare).any()


def test_a_drag_moves_the_view_and_is_no_click(view: InteractiveScatter, qtbot: Any) -> None:
    before = view.position_of(1)
    with qtbot.assertNotEmitted(view.clicked):
        _drag(view, [QPoint(200, 100), QPoint(215, 105), QPoint(240, 120)])
    moved = view.position_of(1) - before
    assert (moved.x(), moved.y()) == pytest.approx((40, 20), abs=0.01)
    assert not view.shows_all


def test_the_wheel_zooms_where_the_pointer_is_and_a_double_click_shows_all(
    view: InteractiveScatter,
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


def test_a_lasso_selects_what_it_encloses(view: InteractiveScatter, qtbot: Any) -> None:
    one, other = view.position_of(2), view.position_of(3)
    left, right = round(one.x()) - 25, view.width() - 12
    top, bottom = round(one.y()) - 8, round(other.y()) + 8
    corners = [QPoint(left, top), QPoint(right, top), QPoint(right, bottom), QPoint(left, bottom)]
    with qtbot.waitSignal(view.lassoed) as heard, qtbot.assertNotEmitted(view.clicked):
        _drag(view, corners, SHIFT)
    assert heard.args[0].mask.tolist() == [False, False, True, True]
    assert heard.args[0].mode == "add"
    for held, mode in ((Qt.KeyboardModifier.AltModifier, "subtract"), (PLAIN, "replace")):
        view.set_tool("lasso")
        with qtbot.waitSignal(view.lassoed) as heard:
            _drag(view, corners, held)
        assert heard.args[0].mode == mode


def _around(view: InteractiveScatter, *indices: int, margin: int = 9) -> list[QPoint]:
    """The corners of a box around points, in a way that a pointer might go."""
    places = [view.position_of(index) for index in indices]
    x = [place.x() for place in places]
    y = [place.y() for place in places]
    left, right = round(min(x)) - margin, round(max(x)) + margin
    top, bottom = round(min(y)) - margin, round(max(y)) + margin
    return [QPoint(left, top), QPoint(right, top), QPoint(right, bottom), QPoint(left, bottom)]


def test_a_rectangle_is_drawn_from_corner_to_corner(view: InteractiveScatter, qtbot: Any) -> None:
    view.set_tool("rectangle")
    corners = _around(view, 1, 2)
    with qtbot.waitSignal(view.lassoed) as heard, qtbot.assertNotEmitted(view.view_changed):
        _drag(view, [corners[0], corners[2]], SHIFT | Qt.KeyboardModifier.ControlModifier)
    assert heard.args[0].mask.tolist() == [False, True, True, False]
    assert heard.args[0].mode == "intersect"


def test_a_polygon_is_clicked_and_closed(view: InteractiveScatter, qtbot: Any) -> None:
    view.set_tool("polygon")
    view.mode = "add"
    corners = _around(view, 0, 3)
    astray = QPoint(corners[0].x(), corners[0].y() - 60)
    with qtbot.assertNotEmitted(view.lassoed):
        for corner in (*corners, astray):
            QTest.mouseClick(view, LEFT, pos=corner)
            QTest.mouseMove(view, corner)
        QTest.keyClick(view, Qt.Key.Key_Backspace)
    with qtbot.waitSignal(view.lassoed) as heard:
        QTest.keyClick(view, Qt.Key.Key_Return)
    assert heard.args[0].mask.tolist() == [True, False, False, True]
    assert heard.args[0].mode == "add"
    with qtbot.assertNotEmitted(view.lassoed):
        QTest.mouseClick(view, LEFT, pos=corners[0])
        QTest.keyClick(view, Qt.Key.Key_Escape)
        QTest.keyClick(view, Qt.Key.Key_Return)


def test_a_drawn_path_is_told_in_units_of_the_axes(view: InteractiveScatter, qtbot: Any) -> None:
    view.set_tool("path")
    way = [view.position_of(index).toPoint() for index in (0, 1, 2)]
    with qtbot.waitSignal(view.path_drawn) as heard:
        _drag(view, way)
    drawn = heard.args[0]
    np.testing.assert_allclose(drawn[[0, -1]], POINTS[[0, 2]], atol=0.02)
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1], atol=0.02)
    with qtbot.waitSignals([view.path_clicked, view.clicked]):  # which says that one must drag
        QTest.mouseClick(view, LEFT, pos=way[0])


def test_arrow_keys_tell_a_step_and_home_shows_all(view: InteractiveScatter, qtbot: Any) -> None:
    with qtbot.waitSignal(view.stepped) as heard:
        QTest.keyClick(view, Qt.Key.Key_Up)
    assert heard.args == [0, -1, False]
    assert view.next_to(3, 0, -1) == 2
    assert view.next_to(2, 0, -1) == -1
    QTest.keyClick(view, Qt.Key.Key_Plus)
    assert not view.shows_all
    view.reveal(2)
    assert view.view.x_max >= 1 and view.view.y_max >= 1
    QTest.keyClick(view, Qt.Key.Key_Home)
    assert view.shows_all


def test_points_axes_ring_and_fading_are_painted(view: InteractiveScatter) -> None:
    plain = _picture(view)
    at = view.position_of(0).toPoint()
    assert plain[at.y(), at.x(), :3].max() > 150
    view.set_selected(np.array([False, True, False, False]))
    faded = _picture(view)
    assert 60 < faded[at.y(), at.x(), :3].max() < 120, "fainter, but still to be seen"
    view.set_selected(None)
    view.set_focused(1)
    view.set_hovered(2, "TS_01/12")
    assert (_picture(view) != plain).any(axis=-1).sum() > 100


def test_an_empty_view_says_what_to_do(view: InteractiveScatter) -> None:
    view.set_points(np.zeros((0, 2)), np.zeros((0, 3), np.uint8))
    empty = _picture(view)
    view.set_hint("Open a run.")
    assert (_picture(view) != empty).any()


def test_marks_do_not_outlive_their_points(view: InteractiveScatter) -> None:
    view.set_focused(3)
    view.set_selected(np.array([True, False, False, True]))
    view.set_points(POINTS[:2], np.zeros((2, 3), np.uint8))
    _picture(view)


def test_the_view_can_be_kept_while_points_move(view: InteractiveScatter) -> None:
    kept = view.view
    view.set_points(POINTS * 3, np.zeros((4, 3), np.uint8), keep_view=True)
    assert view.view == kept
    view.show_all()
    assert view.view != kept


def test_a_lasso_closed_at_its_start_is_no_click(view: InteractiveScatter, qtbot: Any) -> None:
    around = view.position_of(1).toPoint()
    corners = [around + QPoint(dx, dy) for dx, dy in ((-30, -30), (30, -30), (30, 30), (-30, 30))]
    clicked: list[Any] = []
    view.clicked.connect(clicked.append)
    with qtbot.waitSignal(view.lassoed) as heard:
        _drag(view, [*corners, corners[0]], SHIFT)
    assert heard.args[0].mask.tolist() == [False, True, False, False]
    assert clicked == []
