"""A place for words that come and go."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_tomodrgn.gui.widgets.steady_label import SteadyLabel

LONG = "Nothing is selected: take the lasso and draw a line around points of the latent space."


def test_what_is_below_stays_while_the_words_come_and_go(qtbot: Any) -> None:
    page = QWidget()
    column = QVBoxLayout(page)
    label, below, plain = SteadyLabel(LONG), QPushButton("Compare"), QLabel(LONG)
    plain.setWordWrap(True)
    for widget in (label, below, plain):
        column.addWidget(widget)
    column.addStretch(1)
    qtbot.addWidget(page)
    page.show()
    for width, points in ((260, 9), (400, 9), (260, 13), (180, 9)):
        page.setStyleSheet(f"QLabel {{ font-size: {points}pt; }}")
        page.resize(width, 600)
        places = []
        for words in (LONG, "3 of 400 particles selected.", "", LONG):
            label.setText(words)
            qtbot.wait(30)
            places.append(below.y())
            assert label.height() == plain.height() >= plain.heightForWidth(plain.width())
        assert len(set(places)) == 1
    label.keep_room_for("short")
    label.setText("short")
    qtbot.waitUntil(lambda: below.y() < places[0])
