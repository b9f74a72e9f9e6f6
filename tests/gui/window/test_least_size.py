"""How narrow the window can be made: as narrow as a fresh one, whatever it went through before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractSpinBox, QDockWidget, QVBoxLayout, QWidget

from napari_tomodrgn.gui.latent_space.side_page import SidePage
from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection
from napari_tomodrgn.gui.window.dock import open_dock
from napari_tomodrgn.gui.window.layout import let_go_of_least_size

SMALL, LARGE = 9, 13  # points
LONG = 30_000


def _settled(window: Any, qtbot: Any) -> int:
    """Wait until letters and docks have their sizes; return the least width of the window."""
    for _ in range(40):
        before = window.minimumSizeHint().width(), window.minimumWidth(), window.width()
        qtbot.wait(150)
        after = window.minimumSizeHint().width(), window.minimumWidth(), window.width()
        if before == after:
            return int(after[0])
    raise AssertionError(f"the window does not settle: {before}, {after}")


def _fresh(make_napari_viewer: Callable[..., Any], points: int, qtbot: Any) -> tuple[Any, Any, int]:
    get_settings().appearance.font_size = points
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1100, 720)
    widget = open_dock(viewer)
    qtbot.waitUntil(lambda: widget.latent.isVisible())
    return viewer, widget, _settled(widget.window(), qtbot)


def test_no_word_in_a_box_for_numbers_is_cut_where_the_dock_is_narrowest(
    make_napari_viewer: Callable[..., Any], qtbot: Any, tiny_run: Path
) -> None:
    _viewer, widget, _ = _fresh(make_napari_viewer, SMALL, qtbot)
    widget.open(tiny_run)
    qtbot.waitUntil(lambda: widget.session.latents is not None)
    qtbot.waitUntil(lambda: widget.controller.idle)
    window, dock = widget.window(), widget
    while not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    said = []
    for tab in range(widget.tabs.count()):
        widget.tabs.setCurrentIndex(tab)
        for section in widget.tabs.widget(tab).findChildren(CollapsibleSection):
            section.set_open(True)
        window.resizeDocks([dock], [200], Qt.Orientation.Horizontal)
        _settled(window, qtbot)
        assert dock.width() < 320
        for spin in widget.tabs.widget(tab).findChildren(QAbstractSpinBox):
            words = spin.specialValueText()
            if words and spin.isVisible():
                said.append(words)
                needed = spin.fontMetrics().horizontalAdvance(words)
                assert needed <= spin.lineEdit().width() - 4, words
    assert {"of the tilt series", "off"} <= set(said)
    widget.controller.close()


def test_the_least_width_is_that_of_a_fresh_window_after_all_letters_and_sizes(
    make_napari_viewer: Callable[..., Any], qtbot: Any, tiny_run: Path
) -> None:
    viewer, widget, least_large = _fresh(make_napari_viewer, LARGE, qtbot)
    widget.controller.close()
    qtbot.waitUntil(lambda: widget.controller.idle)
    viewer.close()
    viewer, widget, least_small = _fresh(make_napari_viewer, SMALL, qtbot)
    window = widget.window()
    least = {SMALL: least_small, LARGE: least_large}
    assert least_small < least_large < 1280  # the screen of a small laptop
    widget.open(tiny_run)
    qtbot.waitUntil(lambda: widget.session.latents is not None)
    qtbot.waitUntil(lambda: widget.controller.idle)
    for points, width in (
        *((LARGE, 1700), (SMALL, 1100), (LARGE, 1300), (SMALL, 1500)),
        *((SMALL, 1150), (LARGE, 1440), (SMALL, 1440)),
    ):
        get_settings().appearance.font_size = points
        window.resize(width, 720)
        _settled(window, qtbot)
        # Under load letters come to the last of the labels late.
        qtbot.waitUntil(
            lambda points=points: window.minimumSizeHint().width() == least[points], timeout=LONG
        )
    _settled(window, qtbot)
    window.resize(600, 720)
    assert _settled(window, qtbot) == least_small == window.width()
    widget.controller.close()
    qtbot.waitUntil(lambda: widget.controller.idle)


def test_a_dock_is_given_back_what_its_contents_no_longer_need(viewer: Any, qtbot: Any) -> None:
    contents = QWidget()
    dock = viewer.window.add_dock_widget(contents, area="bottom")
    let_go_of_least_size(dock)
    contents.setMinimumSize(700, 300)
    qtbot.waitUntil(lambda: dock.minimumSizeHint().width() >= 700)
    contents.setMinimumSize(110, 90)
    qtbot.waitUntil(lambda: dock.minimumSizeHint().width() < 200)
    assert dock.minimumSizeHint().height() < 200


@pytest.mark.parametrize("high", [False, True])
def test_legend_and_card_keep_no_share_of_a_window_that_was_larger(qtbot: Any, high: bool) -> None:
    panel = SidePage(QWidget(), QWidget(), QVBoxLayout())
    qtbot.addWidget(panel)

    def room(length: int) -> tuple[int, int]:
        assert panel.fit(*((300, length) if high else (length, 300))) == high
        hint, least = panel.sizeHint(), panel.minimumSize()
        return (hint.height(), least.height()) if high else (hint.width(), least.width())

    assert [room(length) for length in (500, 1000, 5000, 500)] == [
        *((200, 200), (300, 200), (420, 200), (200, 200))
    ]
