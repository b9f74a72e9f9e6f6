"""Lays the docks of the window out: their places, their sizes, and napari's own out of the way."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QWidget

from napari_tomodrgn.gui.widgets.qt import soon
from napari_tomodrgn.gui.widgets.wrapped_tips import WrappedTips

# px with text of the height that napari comes with; on fewer than the least its pages are cut off.
_RIGHT_WIDTH, _LEAST_WIDTH = 330, 310
_TEXT_HEIGHT = 15
_LARGEST_SHARE = 0.36  # of the window
_TALLEST_SHARE = 0.45
_BOTTOM_HEIGHT = 330
_LEFT_WIDTH = 200  # px, for napari's list of layers
# A window this wide and this much wider than high has room for the scatter beside the volume.
_WIDE_PX, _WIDE_ASPECT = 1800, 1.5
_WIDE_SHARE = 0.5  # of what canvas and scatter have together


def lay_out(window: QMainWindow, right: Any, latent: Any, wanted: tuple[int, float]) -> None:
    """Give both docks their place and size.

    Parameters
    ----------
    window
        napari's.
    right, latent
        Dock of the steps, and of the latent space.
    wanted
        Width of the right dock in pixels, and how much larger than usual text is.
    """
    set_dock_title(right, "tomoDRGN")  # whoever opened it
    width, enlarged = wanted
    bottom = Qt.Corner.BottomLeftCorner, Qt.Corner.BottomRightCorner
    areas = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
    for corner, area in zip(bottom, areas, strict=True):
        window.setCorner(corner, area)
    sized: Any = window
    horizontal, vertical = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
    sized.resizeDocks([right], [min(width, round(_LARGEST_SHARE * window.width()))], horizontal)
    layers = dock_of(window, "layer list")
    if layers is not None:
        sized.resizeDocks([layers], [_LEFT_WIDTH], horizontal)
    if is_wide(window) and not latent.isFloating():
        # The scatter square beside the volume, instead of flat below it.
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, latent, horizontal)
        free = window.width() - _LEFT_WIDTH - width
        sized.resizeDocks([latent], [round(_WIDE_SHARE * free)], horizontal)
        return
    sized.resizeDocks([latent], [_bottom_height(window, enlarged)], vertical)


def make_room(window: QMainWindow, right: Any, latent: Any, wanted: tuple[int, float]) -> None:
    """Widen docks that have become too small for their letters; the others keep the user's sizes.

    Parameters as in `lay_out`.
    """
    width, enlarged = wanted
    sized: Any = window
    width = min(width, round(_LARGEST_SHARE * window.width()))
    if not right.isFloating() and right.width() < width:
        sized.resizeDocks([right], [width], Qt.Orientation.Horizontal)
    height = _bottom_height(window, enlarged)
    if not is_wide(window) and not latent.isFloating() and latent.height() < height:
        sized.resizeDocks([latent], [height], Qt.Orientation.Vertical)


def _bottom_height(window: QMainWindow, enlarged: float) -> int:
    height = min(_BOTTOM_HEIGHT * enlarged, _TALLEST_SHARE * window.height())
    return round(max(_BOTTOM_HEIGHT, height))


def keep_on_screen(window: QMainWindow) -> None:
    """Make a window no larger than its screen, and let none of it be outside.

    Docks that are added let it grow, to the right and downwards.
    """
    screen: Any = window.screen()
    if screen is None or window.isMaximized() or window.isFullScreen():
        return
    room, frame = screen.availableGeometry(), window.frameGeometry()
    over = frame.height() - room.height(), frame.width() - room.width()
    if max(over) > 0:
        height, width = window.height() - max(over[0], 0), window.width() - max(over[1], 0)
        window.resize(width, height)
    left = min(frame.x(), room.right() + 1 - min(frame.width(), room.width()))
    top = min(frame.y(), room.bottom() + 1 - min(frame.height(), room.height()))
    if (left, top) != (frame.x(), frame.y()):
        window.move(max(left, room.x()), max(top, room.y()))


class DockLayout(QObject):
    """Gives the docks place and size: when they appear, when letters or the window become larger.

    Tips in them are shown in lines, too.

    Parameters
    ----------
    panel, latent
        What the dock of the steps and that of the latent space hold.
    letters
        A widget with text of the size that napari is set to.
    """

    def __init__(self, panel: QWidget, latent: QWidget, letters: QWidget) -> None:
        super().__init__(panel)
        self._panel, self._latent, self._letters = panel, latent, letters
        self._window: Callable[[], Any] = lambda: None
        for root in (panel, latent):
            WrappedTips(root)

    def start(self, window: QMainWindow) -> None:
        """Lay the docks out in napari's window, and from now on when it becomes wider."""
        self._window = weakref.ref(window)
        window.installEventFilter(self)
        self.lay_out()

    def stop(self) -> None:
        """Touch the window no more."""
        if (window := self._window()) is not None:
            window.removeEventFilter(self)
        self._window = lambda: None

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Look whether the window has become wider, as when it is maximised."""
        if event.type() == QEvent.Type.Resize and event.size().width() > event.oldSize().width():
            self.make_room()
        return False

    @property
    def enlarged(self) -> float:
        """How much larger than it comes with napari's text is set."""
        return max(1.0, self._letters.fontMetrics().height() / _TEXT_HEIGHT)

    @property
    def width(self) -> int:
        """Wider where napari's text is set larger, so that nothing is cut off."""
        return round(_RIGHT_WIDTH * self.enlarged)

    def lay_out(self) -> None:
        """Give both docks their place and size, once Qt has placed them."""
        soon(self, lambda: self._fit(lay_out))

    def make_room(self) -> None:
        """Widen what has become too small, likewise."""
        soon(self, lambda: self._fit(make_room))

    def _fit(self, fit: Callable[..., None]) -> None:
        window = self._window()
        if not isinstance(window, QMainWindow):
            return
        self._panel.setMinimumWidth(min(round(_LEAST_WIDTH * self.enlarged), _RIGHT_WIDTH))
        docks = self._panel.parentWidget(), self._latent.parentWidget()
        if None not in docks:
            for dock in docks:
                let_go_of_least_size(dock)
            fit(window, *docks, (self.width, self.enlarged))
            soon(self, lambda: self._keep_on_screen())  # once the docks have their sizes

    def _keep_on_screen(self) -> None:
        window = self._window()
        if isinstance(window, QMainWindow):
            keep_on_screen(window)


def let_go_of_least_size(dock: Any) -> None:
    """Let a dock become smaller again when what is in it needs less.

    napari gives its docks a least size of their own, of 50 pixels. Qt's layout of a dock writes
    that of the contents over it, takes what it wrote for the user's wish, and so only ever raises
    it. Without a size of its own the dock is at least as large as its contents, no more.
    """
    dock.setMinimumSize(0, 0)


def is_wide(window: QMainWindow) -> bool:
    """Whether there is room for the scatter beside the volume."""
    return window.width() >= _WIDE_PX and window.width() >= _WIDE_ASPECT * window.height()


def dock_of(window: QMainWindow, name: str) -> QDockWidget | None:
    """Return napari's own dock of this name."""
    docks: list[Any] = window.findChildren(QDockWidget)
    return next((dock for dock in docks if dock.objectName() == name), None)


def show_layer_controls(window: QMainWindow, shown: bool) -> None:
    """Show napari's controls of a layer, or fold them: ours do the same for our layers.

    They come back through napari's menu *Window*.
    """
    dock = dock_of(window, "layer controls")
    if dock is not None:
        dock.setVisible(shown)


def set_dock_title(dock: Any, title: str) -> None:
    """Call a dock so; napari names it after whoever opened it."""
    dock.setWindowTitle(title)
    bar = dock.titleBarWidget()
    for label in bar.findChildren(QLabel) if bar is not None else ():
        label.setText(title)


def hide_welcome(window: QMainWindow) -> None:
    """Take napari's "Drag file(s) here" off the canvas: something is open, if not drawn yet."""
    widgets: list[Any] = window.findChildren(QWidget)
    for widget in widgets:
        if widget.metaObject().className() == "QtWelcomeWidget":
            widget.hide()
