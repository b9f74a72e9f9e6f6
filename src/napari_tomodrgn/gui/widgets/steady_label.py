"""A label whose place is as high as the longest of its words, so that nothing below it moves."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel


class SteadyLabel(QLabel):
    """Wraps its words; is never lower than these others would be at its width.

    Parameters
    ----------
    others
        Words that come and go in it, while the mouse may be over what is below.
    """

    def __init__(self, *others: str) -> None:
        super().__init__()
        self._others: list[QLabel] = []
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.keep_room_for(*others)

    def keep_room_for(self, *others: str) -> None:
        """Take other words that may come."""
        if [one.text() for one in self._others] == list(others):
            return
        for one in self._others:
            one.deleteLater()
        self._others = [self._unseen(words) for words in others]
        self.updateGeometry()

    def heightForWidth(self, width: int) -> int:
        """Height of the longest words, in the letters of now."""
        heights = [super().heightForWidth(width)]
        for one in self._others:
            one.ensurePolished()  # by the style sheet, as if it were on show
            one.setAlignment(self.alignment())  # Qt leaves more room above words at the top
            heights.append(one.heightForWidth(width))
        return max(heights)

    def _unseen(self, words: str) -> QLabel:
        """A label that wraps its words as this one does, styled as part of it."""
        label = QLabel(words, self)
        label.setWordWrap(True)
        label.hide()
        return label
