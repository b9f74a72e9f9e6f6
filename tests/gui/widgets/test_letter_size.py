"""Labels and rows that follow the size of the letters, up and down again."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_tomodrgn.gui.widgets.letter_size import keep_room

WIDEST = "21/21  9,999 nearby"


def test_room_for_the_widest_words_shrinks_with_the_letters(qtbot: Any) -> None:
    """It is what a label with these words needs, whatever words are there and were before."""
    page = QWidget()
    column = QVBoxLayout(page)
    labels, whole = [QLabel(), QLabel("1/21")], QLabel(WIDEST)
    for label in (*labels, whole):
        column.addWidget(label)
    for label in labels:
        keep_room(label, WIDEST)
    qtbot.addWidget(page)
    page.show()

    def spare() -> int:
        return labels[0].minimumWidth() - whole.sizeHint().width()

    seen: dict[int, int] = {}
    for points in (9, 13, 9, 18, 9, 13):
        page.setStyleSheet(f"QLabel {{ font-size: {points}pt; }}")
        qtbot.waitUntil(lambda: 0 <= spare() <= 4)
        assert labels[1].minimumWidth() == labels[0].minimumWidth()
        assert seen.setdefault(points, labels[0].minimumWidth()) == labels[0].minimumWidth()
    assert seen[9] < seen[13] < seen[18] < 2.5 * seen[9]
    assert [label.text() for label in labels] == ["", "1/21"]
