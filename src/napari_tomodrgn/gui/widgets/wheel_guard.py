"""The wheel scrolls the page: it turns no choice that happens to lie under the mouse.

Whoever scrolls a page down and passes a box of group A would compare another group than the one
that was chosen, without a word; a slider that is passed would draw maps at another contour.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget


class WheelGuard(QObject):
    """Keeps the wheel from boxes with choices, and from numbers and sliders without the focus.

    Parameters
    ----------
    root
        The widget whose boxes and sliders, at any depth, are kept; those that are added later are
        not. Scroll bars are left alone.
    """

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        for kind in (QComboBox, QAbstractSpinBox, QAbstractSlider):
            for box in root.findChildren(kind):
                if isinstance(box, QScrollBar):
                    continue
                # Else the wheel itself gives it the focus, before it is asked for below.
                if box.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                box.installEventFilter(self)

    def eventFilter(self, box: QObject | None, event: QEvent | None) -> bool:
        """Hand a turn of the wheel on to what is around the box."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        at: Any = box
        if isinstance(at, QAbstractSpinBox | QAbstractSlider) and at.hasFocus():
            return False
        event.ignore()
        return True
