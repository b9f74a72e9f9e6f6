"""The latent space: scatter, axes, colour, legend. Turns identities into indices and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QKeySequence, QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QVBoxLayout, QWidget

from napari_tomodrgn.gui.charts.drawn_shape import MOVE, PATH, mode_for_keys
from napari_tomodrgn.gui.charts.figure_export import FigureSaver
from napari_tomodrgn.gui.charts.interactive_scatter import Click, InteractiveScatter, LassoSelection
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.charts.point_cloud import FloatArray
from napari_tomodrgn.gui.charts.vispy_renderer import MANY, make_renderer
from napari_tomodrgn.gui.latent_space.axis_bar import AxisBar
from napari_tomodrgn.gui.latent_space.color_legend import Legend, color_key
from napari_tomodrgn.gui.latent_space.pair_plot import PairButton
from napari_tomodrgn.gui.latent_space.preview_card import PreviewCard
from napari_tomodrgn.gui.latent_space.scatter_contents import (
    Enclosed,
    ScatterContents,
    ScatterLoader,
    ScatterRequest,
)
from napari_tomodrgn.gui.latent_space.selection_toolbar import SelectionTools, add_shortcut
from napari_tomodrgn.gui.latent_space.side_page import SidePage
from napari_tomodrgn.gui.latent_space.trajectories import projected
from napari_tomodrgn.gui.latent_space.trajectory_bar import TrajectoryBar
from napari_tomodrgn.gui.volumes.volume_bar import VolumeBar
from napari_tomodrgn.gui.widgets.qt import Signal, labelled
from napari_tomodrgn.gui.widgets.steady_label import SteadyLabel
from napari_tomodrgn.gui.widgets.wrapping_row import WrappingRow
from napari_tomodrgn.particle_columns import Clip, row_of, selected_mask
from napari_tomodrgn.session import Session, enclosing
from napari_tomodrgn.session.actions import Action

if TYPE_CHECKING:
    import pandas as pd

_HINT = "Open a run, or train on a star file: every particle then becomes a point here."
_DRAG = "A path is drawn by dragging: hold the button down and move along it."
_WAITING = "The first points appear with the first look."
_STEP = 0.025  # share of the view that Alt and an arrow key go


class LatentPanel(QWidget):
    """Scatter of two columns; a click focuses a particle, a lasso selects some."""

    removed = Signal()  # taken out of its dock
    pin_requested = Signal(str)
    place_requested = Signal(object, object)  # positions of the points, the place (x, y)
    line_drawn = Signal(object, object)  # positions of the points, places (place, 2)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.view = InteractiveScatter()
        self.view.set_hint(_HINT)
        self.legend, self.card = Legend(), PreviewCard()
        self.axes = AxisBar()
        self.x_axis, self.y_axis, self.color = self.axes.x_box, self.axes.y_box, self.axes.color
        self.status = SteadyLabel()
        self.status.setAlignment(Qt.AlignmentFlag.AlignBottom)
        self.pairs = PairButton()
        self.tools = SelectionTools()
        self.volumes = VolumeBar(session)
        self.path = TrajectoryBar(session)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(3)
        layout.addWidget(WrappingRow(self.axes, self.tools))
        self._middle = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._middle.addWidget(self.view, 1)
        self._side = SidePage(self.legend, self.card, labelled(self.pairs, self.status))
        self._middle.addWidget(self._side)
        layout.addLayout(self._middle, 1)
        layout.addWidget(WrappingRow(self.path, self.volumes))
        self.drawing = ScatterLoader(session, self)
        self._picture: ScatterContents | None = None  # on show
        self._drawn_as: tuple[bool, bool] = (False, False)  # density, many
        self._shown_run: tuple[Path | None, tuple[str, str]] | None = None
        self._sized_for: object = "nothing"  # the run whose size chose points or density
        self._zoomed = False
        # Several fields change together when a run is opened: they are drawn once, together.
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.timeout.connect(self.refresh)
        self.drawing.drawn.connect(self._on_drawn)
        self.drawing.enclosed.connect(self._on_enclosed)
        self.drawing.busy.connect(self.view.set_busy)
        self._connect()
        self.save_plot = FigureSaver(self.view, "latent_space", self._plotted).ask
        self.refresh()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self.view.set_theme(theme)
        self.legend.set_theme(theme)
        self.card.set_theme(theme)
        self.axes.set_theme(theme.text, theme.highlight)
        self.tools.set_theme(theme.text, theme.highlight)
        self.path.set_theme(theme)
        self.volumes.set_theme(theme)
        self.pairs.set_theme(theme)

    def event(self, event: Any) -> bool:
        """Tell when napari takes the panel out of its dock, which deletes the dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.removed.emit()
        return bool(super().event(event))

    def refresh(self, *_: object) -> None:
        """Draw what the session holds, as soon as it is worked out."""
        session, asked = self._session, ScatterRequest.of(self._session)
        for box in (self.x_axis, self.y_axis, self.color):
            box.setEnabled(asked is not None)
        if asked is not None:
            self.drawing.draw(asked)
            return
        self.drawing.stop()
        self._picture = None
        self.axes.fill([], ("", ""), [], "")
        self.pairs.plot.hide()
        self.pairs.hide()
        self.view.set_points(np.zeros((0, 2)), np.zeros((0, 3), np.uint8))
        self.view.set_hint(_WAITING if session.training.busy else _HINT)
        self.legend.set_column(None)
        self._shown_run = None
        self._show_counts()

    def _plotted(self) -> pd.DataFrame:
        """Return what the scatter shows: one row a particle."""
        import pandas as pd

        if self._picture is None:
            return pd.DataFrame()
        rows, axes = self._picture.asked.table.rows, self._picture.axes
        table = pd.DataFrame(self.view.points, columns=list(axes))
        table.insert(0, "particle_id", list(rows.index))
        shade = self._picture.shade
        if shade is not None:
            names = np.array([*shade.categories, ""], dtype=object)
            table[shade.name] = names[shade.values] if shade.categorical else shade.values
        return table

    def stop(self) -> None:
        """Nothing that is still worked out arrives; the window is going."""
        self._redraw.stop()
        self.drawing.stop()

    def _on_drawn(self, picture: ScatterContents) -> None:
        """Show what was worked out."""
        session, asked = self._session, picture.asked
        if asked.table.rows is not session.latents:
            return  # the next one is under way
        self._picture = picture
        color = "" if picture.shade is None else picture.shade.name
        self.axes.fill(picture.names, picture.axes, picture.color_names, color)
        # While it trains the cloud moves at every epoch: the view follows until the user zooms.
        shown = (session.run.path if session.run else None, picture.axes)
        keep = shown == self._shown_run and self._zoomed
        self._shown_run = shown
        if shown[0] != self._sized_for:
            self._sized_for = shown[0]
            with QSignalBlocker(self.axes.density):
                self.axes.density.setChecked(len(asked.table) > MANY)
        # Before the points: a million need not be handed over twice.
        self._choose_renderer(self.axes.density.isChecked(), len(asked.table))
        self.view.set_labels(*picture.labels)
        self.view.set_points(picture.placed, picture.colors, keep_view=keep)
        self._zoomed = keep
        maps = session.run is not None and color != "tomogram"  # which is no class
        told = picture.shade, picture.explained
        self.legend.set_column(*told, note=session.outdated, with_maps=maps)
        self.view.set_key(color_key(*told, session.outdated))
        self.pairs.set_contents(picture)
        self._mark()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put legend and card beside the scatter, or below it in a high panel: it stays square."""
        super().resizeEvent(event)
        beside, below = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom
        high = self._side.fit(self.width(), self.height())
        self._middle.setDirection(below if high else beside)

    def _connect(self) -> None:
        self.view.clicked.connect(self._on_click)
        self.view.path_clicked.connect(lambda: self._session.show_message(_DRAG))
        self.view.hovered.connect(self._on_hover)
        self.pairs.plot.hovered.connect(self._on_hover)
        self.pairs.plot.axes_chosen.connect(self._on_pair)
        self.view.lassoed.connect(self._on_lasso)
        self.view.view_changed.connect(self._on_view_changed)
        self.view.stepped.connect(self._on_step)
        self.view.path_drawn.connect(self._on_path)
        self.tools.tool_chosen.connect(self.view.set_tool)
        self.tools.mode_chosen.connect(lambda mode: setattr(self.view, "mode", mode))
        # Not for the whole panel: letters typed into an open list would choose tools, and Space
        # presses the button that has the focus.
        for keys, verb in self.tools.shortcuts():
            add_shortcut(keys, self.view, verb)
        add_shortcut(QKeySequence("Space"), self.view, self.path.play.click)
        self.axes.axes_chosen.connect(self._choose_axes)
        self.axes.color_chosen.connect(self._choose_color)
        self.axes.density_toggled.connect(self._choose_renderer)
        self.legend.clip_chosen.connect(self._on_clip)
        self.legend.category_chosen.connect(self._on_category)
        self.axes.fit_requested.connect(self.view.show_all)
        events = self._session.events
        for name in (
            *("latents", "added_columns", "axes", "color"),
            *("color_limits", "particles", "selections"),
        ):
            getattr(events, name).connect(self._ask_for_redraw)
        for name in ("pinned", "free_point", "trajectory"):
            getattr(events, name).connect(self._mark_places)
        events.focused.connect(self._mark_focused)
        events.selection.connect(self._mark)
        events.hovered.connect(self._mark_hovered)
        events.training.connect(self._training_changed)

    def _ask_for_redraw(self, *_: object) -> None:
        asked = ScatterRequest.of(self._session) if self._picture is None else None
        if asked is not None and not asked.is_large:
            # Before the canvas, whose first frame compiles shaders for most of a second.
            self.refresh()
            self.view.repaint()
        self._redraw.start()

    def _training_changed(self, *_: object) -> None:
        if self._session.latents is None:
            self._redraw.start()

    # -- session to view ----------------------------------------------------------------------

    def _mark(self, *_: object) -> None:
        table = self._session.latents
        if table is None or len(self.view.points) != len(table):
            return
        self._mark_focused()
        selected = selected_mask(table, self._session.selection)
        self.view.set_selected(selected)
        self.pairs.set_selected(selected)
        self._mark_places()
        self._show_counts()

    def _mark_focused(self, *_: object) -> None:
        self.view.set_focused(self._index_of(self._session.focused))

    def _mark_places(self, *_: object) -> None:
        """Rings of pinned particles, the trajectory, the free point on show."""
        session, table = self._session, self._session.latents
        if table is None or len(self.view.points) != len(table):
            return  # a redraw is due
        self.view.set_pinned([self._index_of(name) for name in session.pinned])
        path = session.trajectory.points if session.trajectory is not None else ()
        free = (session.free_point,) if session.free_point is not None else ()
        if self._picture is None or not (path or free):
            self.view.set_path(None, None)
            return
        axes, xy = self._picture.axes, self.view.points
        unsupported = np.array([one.unsupported for one in path], bool)
        z = np.array([one.z for one in (*path, *free)])

        def take(places: FloatArray) -> None:
            line, place = places[: len(path)], places[len(path) :]
            self.view.set_path(line if path else None, place if free else None, unsupported)

        self.drawing.run(lambda: projected(table, axes, xy, z), take, len(table))

    def _mark_hovered(self, *_: object) -> None:
        index = self._index_of(self._session.hovered)
        self.view.set_hovered(index, self._session.hovered or "")
        self.pairs.plot.set_marked(index)

    def _index_of(self, identity: str | None) -> int:
        table = None if self._picture is None else self._picture.asked.table.rows
        return -1 if table is None else row_of(table, identity)

    def _show_counts(self) -> None:
        table, selected = self._session.latents, len(self._session.selection)
        if table is None:
            self.status.setText("")
            return
        words = f"{len(table):,} particles\n{self._session.epoch_words}"
        self.status.keep_room_for(f"{words}, {len(table):,} selected")
        self.status.setText(f"{words}, {selected:,} selected" if selected else words)

    # -- view to session ----------------------------------------------------------------------

    def _identity(self, index: int) -> str | None:
        # Of the table that is on show, which may not be the newest.
        table = None if self._picture is None else self._picture.asked.table.rows
        return str(table.index[index]) if table is not None and 0 <= index < len(table) else None

    def _on_click(self, click: Click) -> None:
        identity = self._identity(click.index)
        if click.free:
            self.place_requested.emit(self.view.points, (click.x, click.y))
        elif identity is not None and click.add:
            self.pin_requested.emit(identity)
        elif identity is not None:
            again = identity == self._session.focused
            self._session.trajectory = None
            self._session.focused = identity
            self._session.free_point = None
            if again:  # whose map may be hidden by its eye
                self._session.events.focused.emit(identity, identity)

    def _on_hover(self, index: int) -> None:
        self._session.hovered = self._identity(index)

    def _on_lasso(self, lasso: LassoSelection) -> None:
        if self._picture is not None:
            axes, corners = self._picture.axes, lasso.corners
            self._enclose(lasso, None if corners is None else enclosing.lasso(axes, corners))

    def _enclose(self, lasso: LassoSelection, rule: Action | None) -> None:
        if self._picture is not None and len(lasso.mask) == len(self._picture.asked.table):
            self.drawing.select_in_lasso(self._picture.asked.table, lasso, rule)

    def _on_enclosed(self, found: Enclosed) -> None:
        self._session.select(found.selection, *found.actions)

    def _on_path(self, line: FloatArray) -> None:
        self.line_drawn.emit(self.view.points, line)
        self.tools.choose(MOVE)

    def draw_path(self) -> None:
        """Take the pen into the hand."""
        self.tools.choose(PATH)
        self.view.setFocus()

    def _on_clip(self, clip: Clip) -> None:
        self._session.color_limits = clip

    def _on_category(self, code: int, held: object) -> None:
        """A chip of the legend was clicked: select its particles."""
        shade = None if self._picture is None else self._picture.shade
        if shade is not None:
            enclosed = LassoSelection(shade.values == code, mode_for_keys(held, self.view.mode))
            value = shade.categories[code] if shade.categorical else ""
            self._enclose(enclosed, Action.of("category", shade.name, value))

    def _on_step(self, right: int, down: int, along: bool) -> None:
        """An arrow key: the next particle in that direction; along the axis, the place beside."""
        session, view = self._session, self.view
        here = self._index_of(session.focused)
        if along:
            x, y = self._shown_place(here)
            shown = view.view
            x += right * _STEP * (shown.x_max - shown.x_min)
            y -= down * _STEP * (shown.y_max - shown.y_min)
            self.place_requested.emit(view.points, (x, y))
            return
        found = view.next_to(here, right, down)
        if found >= 0:
            view.reveal(found)
            session.trajectory = None
            session.focused = self._identity(found)
            session.free_point = None

    def _shown_place(self, focused: int) -> tuple[float, float]:
        """Where the volume on show is in the chart."""
        place = self.view.place
        if place is None:
            place = self.view.points[focused] if focused >= 0 else np.zeros(2)
        return float(place[0]), float(place[1])

    def _choose_renderer(self, density: bool, count: int | None = None) -> None:
        count = len(self.view.points) if count is None else count
        wanted = (density, count > MANY)
        if wanted != self._drawn_as:
            self._drawn_as = wanted
            self.view.set_renderer(make_renderer(count, density=density))

    def _on_view_changed(self, _view: object) -> None:
        self._zoomed = not self.view.shows_all

    def _on_pair(self, axes: tuple[str, str]) -> None:
        self._session.axes = axes

    def _choose_axes(self) -> None:
        self._session.axes = self.axes.axes

    def _choose_color(self) -> None:
        self._session.color = str(self.color.currentData())
