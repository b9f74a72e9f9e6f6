"""Headings that fold what is below them."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLabel

from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection


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
