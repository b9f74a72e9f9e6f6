"""Saves a plot for paper: a vector or a pixel picture, with its data beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QPoint, QRect, Qt
from qtpy.QtGui import QPixmap
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QMenu, QMessageBox, QWidget

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import all_or_none, written_atomically
from napari_tomodrgn.gui.charts.paper import PaintsFigure
from napari_tomodrgn.gui.widgets.qt import Signal, painter_on
from napari_tomodrgn.gui.widgets.saving import ask_for_file

if TYPE_CHECKING:
    import pandas as pd

_KINDS = "Vector picture (*.svg);;Pixel picture (*.png)"
_ENDINGS = (".svg", ".png")
_ENLARGED = 3  # of pixel pictures, over the screen


def save_figure(widget: QWidget, path: Path, data: pd.DataFrame) -> list[Path]:
    """Save what a chart shows as SVG or PNG, and its data as CSV of the same name.

    Parameters
    ----------
    widget
        A plot.
    path
        File; its ending decides, SVG if it has none.
    data
        What is plotted, a column a quantity.

    Returns
    -------
    The files that were written.

    Raises
    ------
    BadInputError
        If they cannot be written, or a table of that name is there without a picture.
    """
    path = path if path.suffix else path.with_suffix(".svg")
    table = path.with_suffix(".csv")
    # The dialog asked about the picture alone: a table that belongs to no picture is somebody's.
    if table.exists() and not any(path.with_suffix(kind).exists() for kind in _ENDINGS):
        raise BadInputError(
            f"{table}: exists already, without a picture.", remedy="Choose another name."
        )
    with all_or_none(overwrite=path.exists() or table.exists()):
        with written_atomically(path) as temporary:
            _write_picture(widget, temporary, path.suffix.lower())
        with written_atomically(table) as temporary:
            data.to_csv(temporary, index=False)
    return [path, table]


def _write_picture(widget: QWidget, file: Path, ending: str) -> None:
    size = widget.figure_size() if isinstance(widget, PaintsFigure) else widget.size()
    if ending == ".svg":
        paper: Any = QSvgGenerator()
        paper.setFileName(str(file))
        paper.setSize(size)
        paper.setViewBox(QRect(QPoint(0, 0), size))
        _paint(widget, paper, 1)
        return
    pixels = QPixmap(size * _ENLARGED)
    _paint(widget, pixels, _ENLARGED)
    if not pixels.save(str(file), "PNG"):
        raise BadInputError(f"{file.parent}: the picture cannot be written.")


class FigureSaver(QObject):
    """Gives a plot a menu on the right button that saves it.

    Parameters
    ----------
    widget
        The plot.
    name
        Of the file that is proposed.
    data
        What is plotted.
    """

    saved = Signal(str)  # a sentence that names the files

    def __init__(self, widget: QWidget, name: str, data: Callable[[], pd.DataFrame]) -> None:
        super().__init__(widget)
        self._widget, self._name, self._data = widget, name, data
        widget.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        widget.customContextMenuRequested.connect(self._show_menu)

    def ask(self) -> None:
        """Ask for a file and write the plot into it."""
        start = str(Path.home() / f"{self._name}.svg")
        path = ask_for_file(self._widget, "Save plot and data", start, _KINDS)
        if not path:
            return
        try:
            written = save_figure(self._widget, Path(path), self._data())
        except BadInputError as error:
            QMessageBox.warning(self._widget, "Not saved", str(error))
            return
        names = " and ".join(file.name for file in written)
        self.saved.emit(f"{names} written to {written[0].parent}.")

    def _show_menu(self, at: Any) -> None:
        menu = QMenu(self._widget)
        entry: Any = menu.addAction("Save plot and data…")
        entry.triggered.connect(lambda _checked=False: self.ask())
        menu.popup(self._widget.mapToGlobal(at))


def _paint(widget: QWidget, paper: Any, scale: int) -> None:
    with painter_on(paper) as painter:
        painter.scale(scale, scale)
        if isinstance(widget, PaintsFigure):
            painter.setFont(widget.font())
            widget.paint_figure(painter, scale)
        else:
            widget.render(painter, QPoint(0, 0))
