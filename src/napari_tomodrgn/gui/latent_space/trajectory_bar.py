"""One row under the scatter: make a trajectory, go along it, play it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QRectF, QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QMenu, QSlider, QToolButton, QVBoxLayout, QWidget

from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.latent_space.trajectories import TYPICAL, wide_components
from napari_tomodrgn.gui.volumes.figure_dialog import ask_for_movie, canvas_of_a_page
from napari_tomodrgn.gui.widgets import icons
from napari_tomodrgn.gui.widgets.letter_size import keep_room
from napari_tomodrgn.gui.widgets.qt import Signal, painter_on
from napari_tomodrgn.gui.widgets.recent_paths import export_folder
from napari_tomodrgn.gui.widgets.saving import ask_for_new_folder
from napari_tomodrgn.gui.widgets.wrapping_row import tight_row
from napari_tomodrgn.particle_columns import ParticleTable
from napari_tomodrgn.session import MIN_SUPPORT, LatentPoint, Session

_FRAME_MS = 180
_SUPPORT = (
    f"Particles whose latents are near this frame; {TYPICAL} are near a typical particle. With "
    f"fewer than {MIN_SUPPORT} the frame is grey: interpolated, not supported by data."
)


class TrajectoryBar(QWidget):
    """Which path, slider with the support of each frame, play, loop."""

    along_requested = Signal(int)
    between_requested = Signal()
    through_requested = Signal()
    draw_requested = Signal()
    movie_requested = Signal(str, object)  # file, FigureOptions
    maps_requested = Signal(str)  # folder
    forget_requested = Signal()
    frame_requested = Signal(int)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._theme = ChartColors()
        self.canvas_px = canvas_of_a_page
        self.choose = QToolButton()
        self.choose.setText("Path  ")
        self.choose.setToolTip("A series of volumes through latent space: make one, save it")
        self.choose.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self._fill)
        self.choose.setMenu(self.menu)
        self.play = self._button("Play the path (Space)", checkable=True)
        self.loop = self._button("Loop (off: back and forth)", checkable=True)
        self.stop = self._button("Remove path")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip("Frame of the path")
        self.slider.setAccessibleName("Frame of the path")
        self.slider.setMinimumWidth(60)
        self.support = SupportStrip()
        self.words = QLabel()
        self.words.setToolTip(_SUPPORT)
        keep_room(self.words, "21/21  9,999 nearby")
        row = tight_row(self)
        for widget in (self.choose, self.play, self.loop):
            row.addWidget(widget)
        row.addLayout(self._column(), 1)
        row.addWidget(self.words)
        row.addWidget(self.stop)
        self._step, self._timer = 1, QTimer(self)
        self._timer.setInterval(_FRAME_MS)
        self._timer.timeout.connect(self._advance)
        self.stop.clicked.connect(lambda _checked=False: self.forget_requested.emit())
        self.slider.valueChanged.connect(self.frame_requested)
        self.play.toggled.connect(self._toggle)
        for name in ("trajectory", "frame", "latents"):
            getattr(session.events, name).connect(self.refresh)
        self._fill()
        self.refresh()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self._theme = theme
        self.setStyleSheet(f"QToolButton:checked {{ background: {theme.highlight}; }}")
        self._draw_icons()
        self.support.set_theme(theme)

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session, path = self._session, self._session.trajectory
        self.choose.setEnabled(session.latents is not None)
        for widget in (self.play, self.loop, self.slider, self.stop):
            widget.setEnabled(path is not None)
        self.support.set_points(path.points if path is not None else ())
        if path is None:
            self.play.setChecked(False)
            self.words.setText("")
            return
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, len(path.points) - 1)
            self.slider.setValue(session.frame)
        near = path.points[session.frame].n_neighbors
        self.words.setText(f"{session.frame + 1}/{len(path.points)}  {near:,} nearby")
        self.choose.setToolTip(f"Path {path.name}")

    def _column(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.slider)
        column.addWidget(self.support)
        return column

    def _button(self, tip: str, *, checkable: bool = False) -> QToolButton:
        button = QToolButton()
        button.setIconSize(icons.SIZE)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setCheckable(checkable)
        return button

    def _draw_icons(self) -> None:
        color = self._theme.text
        self.play.setIcon(icons.icon("pause" if self.play.isChecked() else "play", color))
        self.loop.setIcon(icons.icon("loop", color))
        self.stop.setIcon(icons.icon("clear", color))

    def _fill(self) -> None:
        """What paths there can be, just before the menu opens."""
        table, path = self._session.latents, self._session.trajectory
        menu = self.menu
        menu.clear()
        names = ParticleTable(table).axis_names if table is not None else []
        components = wide_components(names) or ["PC 1"] * bool(names)
        for number, name in enumerate(components, start=1):
            self._entry(f"Along {name}", partial(self.along_requested.emit, number))
        menu.addSeparator()
        self._entry(
            "Morph from the first pinned particle to the last",
            self.between_requested.emit,
            "The straight way; it may lead where no particle is. Shift-click pins particles.",
        )
        self._entry(
            "Through all pinned particles, along their neighbours",
            self.through_requested.emit,
            "From particle to near particle, in the order in which they were pinned",
        )
        self._entry("Draw one in the scatter (D)", self.draw_requested.emit)
        menu.addSeparator()
        for words, verb in (
            ("Save a movie…", self._ask_for_movie),
            ("Save the decoded maps of all frames…", self._ask_for_folder),
            ("Remove path", self.forget_requested.emit),
        ):
            self._entry(words, verb).setEnabled(path is not None)

    def _entry(self, words: str, verb: Callable[[], None], tip: str = "") -> Any:
        action: Any = self.menu.addAction(words)
        action.setToolTip(tip)
        action.triggered.connect(lambda _checked=False: verb())
        return action

    def _ask_for_movie(self) -> None:
        if asked := ask_for_movie(self.canvas_px(), self._folder(), "path.gif", self):
            self.play.setChecked(False)  # the film sets the frames
            self.movie_requested.emit(*asked)

    def _ask_for_folder(self) -> None:
        if name := ask_for_new_folder(self, "Folder path_maps", self._folder(), "path_maps"):
            self.maps_requested.emit(name)

    def _folder(self) -> Path:
        return export_folder(self._session.source)

    def _toggle(self, on: bool) -> None:
        self._draw_icons()
        if on:
            self.frame_requested.emit(self._session.frame)  # also from a tomogram that is on show
            self._timer.start()
        else:
            self._timer.stop()

    def _advance(self) -> None:
        session, path = self._session, self._session.trajectory
        if path is None:
            return
        if session.canvas_mode != "particle":  # who looks at something else is not called back
            self.play.setChecked(False)
            return
        shown, last = session.decoded, len(path.points) - 1
        if shown is None or shown.point != path.points[session.frame] or not shown.complete:
            return  # a slow machine plays slowly, rather than showing previews only
        if self.loop.isChecked():
            self._step = 1
            self.frame_requested.emit(session.frame + 1 if session.frame < last else 0)
            return
        if not 0 <= session.frame + self._step <= last:
            self._step = -self._step
        self.frame_requested.emit(session.frame + self._step)


class SupportStrip(QWidget):
    """How much data is behind each frame: the brighter the more, grey where there is too little."""

    def __init__(self) -> None:
        super().__init__()
        self._points: Sequence[LatentPoint] = ()
        self._theme = ChartColors()
        self.setFixedHeight(5)
        self.setToolTip(_SUPPORT)

    def set_points(self, points: Sequence[LatentPoint]) -> None:
        """Frames of the path, none for no path."""
        self._points = points
        self.update()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self._theme = theme
        self.update()

    def paintEvent(self, event: object) -> None:
        """One cell a frame."""
        with painter_on(self) as painter:
            wide = self.width() / max(1, len(self._points))
            for place, point in enumerate(self._points):
                color = QColor(self._theme.line if point.unsupported else self._theme.accent)
                if not point.unsupported:
                    color.setAlphaF(min(1.0, 0.35 + 0.65 * point.n_neighbors / TYPICAL))
                painter.fillRect(QRectF(place * wide, 1, max(1.0, wide - 1), 4), color)
