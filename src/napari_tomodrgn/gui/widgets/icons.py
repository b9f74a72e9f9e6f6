"""Small drawings on buttons, in the colour of the theme's text, sharp on any screen.

Each is a file of ``drawings``, 16 units wide, drawn in ``currentColor``.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from qtpy.QtCore import QByteArray, QSize, Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtSvg import QSvgRenderer

from napari_tomodrgn.gui.widgets.qt import painter_on

SIZE = QSize(16, 16)  # logical pixels
_OVERSAMPLED = 4


def icon(name: str, color: str) -> QIcon:
    """The drawing of this name; buttons that are off show it faded."""
    drawing = QSvgRenderer(QByteArray(_text_of(name).replace("currentColor", color).encode()))
    result = QIcon()
    for mode, opacity in ((QIcon.Mode.Normal, 1.0), (QIcon.Mode.Disabled, 0.3)):
        pixmap = QPixmap(SIZE * _OVERSAMPLED)
        pixmap.fill(Qt.GlobalColor.transparent)
        with painter_on(pixmap) as painter:
            painter.setOpacity(opacity)
            drawing.render(painter)
        result.addPixmap(pixmap, mode)
    return result


@cache
def _text_of(name: str) -> str:
    return (files(__package__) / "drawings" / f"{name}.svg").read_text(encoding="utf-8")
