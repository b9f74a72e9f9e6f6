"""A long tip is shown in lines, whatever it belongs to and whenever that was made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import (
    QApplication,
    QLabel,
    QListWidget,
    QMenu,
    QToolTip,
    QTreeWidget,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.gui.widgets.wrapped_tips import WrappedTips

LONG = (
    "The filter of the shells that held-out images support, as they were found when the run ended"
)


@pytest.fixture
def page(qtbot: Any) -> Iterator[QWidget]:
    page = QWidget()
    QVBoxLayout(page)
    qtbot.addWidget(page)
    page.resize(300, 300)
    page.show()
    WrappedTips(page)
    yield page
    QToolTip.hideText()


def _shown(widget: QWidget, at: QPoint) -> str:
    kind = QHelpEvent.Type.ToolTip
    QApplication.sendEvent(widget, QHelpEvent(kind, at, widget.mapToGlobal(at)))
    return QToolTip.text()


def _is_in_lines(words: str) -> bool:
    return words.replace("\n", " ") == LONG and max(map(len, words.split("\n"))) <= 50


def test_a_label_that_was_added_later(page: QWidget) -> None:
    inner = QWidget()
    label = QLabel("Filter")
    QVBoxLayout(inner).addWidget(label)
    page.layout().addWidget(inner)
    label.setToolTip(LONG)
    inner.show()
    assert _is_in_lines(_shown(label, QPoint(2, 2)))
    assert label.toolTip() == LONG, "as it was set"
    label.setToolTip("Short")
    assert _shown(label, QPoint(2, 2)) == "Short"


def test_items_headers_and_entries_of_menus(page: QWidget) -> None:
    rows, tree, menu = QListWidget(), QTreeWidget(), QMenu(page)
    for one in (rows, tree):
        page.layout().addWidget(one)
        one.show()
    rows.addItem("run1")
    rows.item(0).setToolTip(LONG)
    tree.headerItem().setToolTip(0, LONG)
    menu.setToolTipsVisible(True)
    entry = menu.addAction("Along PC 1")
    entry.setToolTip(LONG)
    menu.popup(page.mapToGlobal(QPoint(0, 0)))
    try:
        assert _is_in_lines(_shown(rows.viewport(), rows.visualItemRect(rows.item(0)).center()))
        assert _is_in_lines(_shown(tree.header().viewport(), QPoint(5, 5)))
        assert _is_in_lines(_shown(menu, menu.actionGeometry(entry).center()))
    finally:
        menu.close()


def test_tips_of_the_window_are_wrapped(widget: Any) -> None:
    button = widget.export.classes
    words = _shown(button, QPoint(5, 5))
    assert words.replace("\n", " ") == button.toolTip()
    assert max(map(len, words.split("\n"))) <= 50
    QToolTip.hideText()
