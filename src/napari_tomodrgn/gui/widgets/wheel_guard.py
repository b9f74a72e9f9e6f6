"""The wheel scrolls the page: it turns no choice that happens to lie under the mouse.

Whoever scrolls a page down and passes a box of group A would compare another group than the one
that was chosen, without a word.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QWidget


class WheelGuard(QObject):
    """Keeps the wheel from boxes with choices, and from numbers that are not being typed.

    Parameters
    ----------
    root
        The widget whose boxes, at any depth, are kept; boxes that are added later are not.
    """

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        for kind in (QComboBox, QAbstractSpinBox):
            for box in root.findChildren(kind):
                box.installEventFilter(self)

    def eventFilter(self, box: QObject | None, event: QEvent | None) -> bool:
        """Hand a turn of the wheel on to what is around the box."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        typing: Any = box
        if isinstance(typing, QAbstractSpinBox) and typing.hasFocus():
            return False
        event.ignore()
        return True
