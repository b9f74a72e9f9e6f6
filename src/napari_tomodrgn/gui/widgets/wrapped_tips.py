"""Long tips in lines: Qt writes plain words in one, which lay over plot and legend, 900 px wide.

What is said is left as it was set; it is broken as it is shown, so that no tip is forgotten.
"""

from __future__ import annotations

from textwrap import fill
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QToolTip, QWidget

_LETTERS = 50  # of a line
_TIP = Qt.ItemDataRole.ToolTipRole


class WrappedTips(QObject):
    """Shows the tips of a widget, and of all that is in it, now or later, in short lines."""

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        self._watch(root)

    def _watch(self, root: QWidget) -> None:
        for widget in (root, *root.findChildren(QWidget)):
            widget.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Show a tip that is longer than a line; leave all else to Qt."""
        if event is None:
            return False
        # Not when it is added: it is no widget yet.
        if event.type() == QEvent.Type.ChildPolished and isinstance(event.child(), QWidget):
            self._watch(event.child())
        if event.type() != QEvent.Type.ToolTip:
            return False
        words = tip_at(watched, event.pos())
        lines = tip_lines(words)
        if lines == words:
            return False
        QToolTip.showText(event.globalPos(), lines, watched)
        return True


def tip_lines(words: str) -> str:
    """Break words where a line would be too long; lines that there are stay."""
    if words.lstrip().startswith("<"):
        return words  # which Qt breaks
    return "\n".join(
        line if len(line) <= _LETTERS else fill(line, _LETTERS, break_on_hyphens=False)
        for line in words.split("\n")
    )


def tip_at(widget: Any, at: Any) -> str:
    """What Qt would say at a place of a widget: of an entry or an item, or of the widget."""
    if isinstance(widget, QMenu):
        action: Any = widget.actionAt(at) if widget.toolTipsVisible() else None
        return action.toolTip() if action is not None else ""
    view: Any = widget.parentWidget()
    if isinstance(view, QAbstractItemView) and view.viewport() is widget:
        return _of_item(view, at) or view.toolTip()
    return str(widget.toolTip())


def _of_item(view: Any, at: Any) -> str:
    model: Any = view.model()
    if isinstance(view, QHeaderView):
        section = view.logicalIndexAt(at)
        said = model.headerData(section, view.orientation(), _TIP) if section >= 0 else None
    else:
        index = view.indexAt(at)
        said = index.data(_TIP) if index.isValid() else None
    return str(said or "")
