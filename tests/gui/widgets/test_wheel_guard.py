"""The wheel over a box scrolls the page and changes no choice."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QLabel,
    QScrollBar,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.gui.widgets.qt import scrolled
from napari_tomodrgn.gui.widgets.wheel_guard import WheelGuard


def turn(widget: QWidget) -> bool:
    """Turn the wheel a notch down over a widget; whether it kept that for itself."""
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(widget.mapToGlobal(widget.rect().center())),
        QPoint(0, 0),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return bool(event.isAccepted())


@pytest.fixture
def page(qtbot: Any) -> Any:
    """A page longer than its window, with both kinds of box and a slider at its top."""
    inner = QWidget()
    layout = QVBoxLayout(inner)
    combo, spin, rest = QComboBox(), QSpinBox(), QLabel()
    combo.addItems(["cluster 1", "cluster 2", "cluster 3"])
    rest.setFixedHeight(2000)
    for widget in (combo, spin, QSlider(Qt.Orientation.Horizontal), rest):
        layout.addWidget(widget)
    area = scrolled(inner)
    qtbot.addWidget(area)
    area.resize(300, 200)
    area.show()
    qtbot.waitExposed(area)
    return area, combo, spin


def test_it_is_left_to_the_page_and_changes_nothing(page: Any) -> None:
    area, combo, spin = page
    spin.setValue(50)
    assert turn(combo) and combo.currentIndex() == 1, "what Qt does by itself"
    WheelGuard(area)
    assert not turn(combo) and not turn(spin)
    assert (combo.currentIndex(), spin.value()) == (1, 50)


def test_a_number_that_is_being_typed_can_be_turned(page: Any, qtbot: Any) -> None:
    area, _, spin = page
    WheelGuard(area)
    area.activateWindow()
    spin.setFocus()
    qtbot.waitUntil(spin.hasFocus)
    spin.setValue(50)
    turn(spin)
    assert spin.value() == 49


def test_a_slider_is_turned_only_with_the_focus(page: Any, qtbot: Any) -> None:
    area, _, _ = page
    slider = area.findChild(QSlider)
    slider.setValue(50)
    turn(slider)
    assert slider.value() != 50, "what Qt does by itself"
    WheelGuard(area)
    slider.setValue(50)
    assert not turn(slider) and slider.value() == 50
    area.activateWindow()
    slider.setFocus()
    qtbot.waitUntil(slider.hasFocus)
    turn(slider)
    assert slider.value() != 50


def test_the_wheel_gives_nothing_the_focus_and_scroll_bars_turn(page: Any) -> None:
    area, combo, spin = page
    WheelGuard(area)
    for widget in (combo, spin, area.findChild(QSlider)):
        assert widget.focusPolicy() == Qt.FocusPolicy.StrongFocus
    bar = area.verticalScrollBar()
    assert isinstance(bar, QScrollBar)
    turn(bar)
    assert bar.value() > 0
