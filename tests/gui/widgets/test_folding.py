"""Headings that fold what is below them, and rows that fold into several."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLabel, QWidget

from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection
from napari_tomodrgn.gui.widgets.wrapping_row import WrappingRow, tight_row


def test_a_heading_without_room_stands_in_two_lines(qtbot: Any) -> None:
    words = "From an averaging package's list"
    section = CollapsibleSection(words, QLabel("what is below"))
    qtbot.addWidget(section)
    section.resize(600, 200)
    section.show()
    qtbot.waitUntil(lambda: section.heading.width() > 500)
    assert section.heading.text() == words
    whole, height = section.heading.sizeHint().width(), section.heading.height()
    section.resize(whole * 3 // 4, 200)
    qtbot.waitUntil(lambda: "\n" in section.heading.text())
    assert section.heading.text() == "From an averaging\npackage's list"
    assert section.heading.sizeHint().width() <= section.heading.width()
    qtbot.waitUntil(lambda: section.heading.height() > height)
    assert section.heading.accessibleName() == words
    section.resize(600, 200)
    qtbot.waitUntil(lambda: section.heading.text() == words)


def test_a_row_within_a_row_folds_before_it_is_cut(qtbot: Any) -> None:
    """The outer row stays folded where both stand in one row only because the inner one folds."""
    inner = WrappingRow(*(QLabel("inner words") for _ in range(2)))
    holder = QWidget()
    tight_row(holder).addWidget(inner)
    outer = WrappingRow(QLabel("outer words"), holder)
    qtbot.addWidget(outer)
    outer.show()
    word = QLabel("inner words").minimumSizeHint().width()
    for width, folded in ((5 * word, (False, False)), (int(2.5 * word), (True, False))):
        outer.resize(width, 100)
        qtbot.waitUntil(lambda folded=folded: (outer.folded, inner.folded) == folded, timeout=5000)
    outer.resize(int(1.5 * word), 100)
    qtbot.waitUntil(lambda: outer.folded and inner.folded)
    assert outer.minimumSizeHint().width() < 1.5 * word
