"""The tab *Tomogram*: which tomogram, where its file is, and how particles are shown in it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QHBoxLayout,
    QHeaderView,
    QRadioButton,
    QTabWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.gui.tomogram.display_page import DisplayPage
from napari_tomodrgn.gui.tomogram.files_row import FilesRow
from napari_tomodrgn.gui.tomogram.neighborhood_page import NeighborhoodPage
from napari_tomodrgn.gui.tomogram.scene import NO_POSITIONS
from napari_tomodrgn.gui.widgets.qt import scrolled
from napari_tomodrgn.gui.widgets.steady_label import SteadyLabel
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from pathlib import Path

_EMPTY = "Open a star file or a run: its tomograms are listed here."
_LATENT_SPACE = (
    "In the latent space, click a point for its map; Clusters finds clusters, and Validate "
    "compares them."
)
_ALONE = "Click a tomogram to see its particles in place; without its file they are shown alone."
_FILE_COLUMN = 2
_ANOTHER, _CHOOSE = "Double-click to choose another file.", "Click to choose the file …"
_MODES = {
    "particle": "The decoded volume of the particle in focus",
    "tomogram": "The tomogram with its particles in place",
    "comparison": "The groups compared last, beside their difference",
}
_ROWS = 6  # of the list that are seen at once
_FOUND, _MISSING = "found", "not found"
_ARROW = Qt.CursorShape.ArrowCursor


class _TomogramList(QTreeWidget):
    """A table that hears the left button alone: what is marked is what is on show."""

    def mousePressEvent(self, event: Any) -> None:
        """Mark nothing that would not be shown."""
        if event.button() == Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)


class TomogramPanel(QWidget):
    """List of tomograms, and three pages: how to look, surroundings, export."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.particle, self.tomogram = QRadioButton("Particle"), QRadioButton("Tomogram")
        self.comparison = QRadioButton("A − B")
        self.files = FilesRow(session)
        self.list = _TomogramList()
        # What is below stays as its words come: the longest are the advice of a run.
        self.status = SteadyLabel(f"{_LATENT_SPACE} {_ALONE}")
        self._drawn = ""  # what the scene says of the tomogram
        self.look, self.context = DisplayPage(session), NeighborhoodPage(session)
        self.pages = QTabWidget()
        self.pages.addTab(self.look, "View")
        self.pages.addTab(scrolled(self.context), "Context")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(self._stage_row())
        layout.addWidget(self.files)
        layout.addWidget(self.list)
        layout.addWidget(self.status)
        layout.addWidget(self.pages, 1)
        self._set_up_list()
        self._connect()
        self.refresh()

    def set_status(self, words: str) -> None:
        """One line on what is drawn in the tomogram."""
        self._drawn = words
        self.status.setText(self._words())

    def _words(self) -> str:
        """What is on show, and how the other is seen."""
        session = self._session
        if not session.tomogram:
            return self._advice()
        focus = session.focused
        match session.canvas_mode:
            case "particle":
                decoded = session.decoded
                if decoded is not None and decoded.point is not None:
                    return "On show: the map at a point of the latent space, not of one particle."
                return f"On show: the map of {focus}." if focus else self._advice()
            case "comparison":
                return "On show: the groups that were compared."
            case _:
                words = self._drawn or self._advice()
                return f"{words} {focus}: its map is under Particle." if focus else words

    def _stage_row(self) -> QHBoxLayout:
        """What the canvas shows; each of the others is a click away."""
        row, group = QHBoxLayout(), QButtonGroup(self)
        for mode, tip in _MODES.items():
            button: QRadioButton = getattr(self, mode)
            button.setToolTip(tip)
            button.clicked.connect(partial(setattr, self._session, "canvas_mode", mode))
            group.addButton(button)
            row.addWidget(button)
        row.addStretch(1)
        return row

    def _set_up_list(self) -> None:
        self.list.setHeaderLabels(["Tomogram", "Particles", "File"])
        self.list.setRootIsDecorated(False)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setToolTip("Click a tomogram to see it with its particles in place")
        header: Any = self.list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)

    def _connect(self) -> None:
        self.list.itemClicked.connect(self._open)
        self.list.itemDoubleClicked.connect(self._choose_another)
        viewport: Any = self.list.viewport()
        viewport.setMouseTracking(True)  # else nothing is heard of a pointer that passes
        self.list.itemEntered.connect(self._show_link)
        self.list.viewportEntered.connect(lambda: viewport.setCursor(_ARROW))
        events = self._session.events
        shown = ("particles", "latents", "tomogram_files", "tomogram", "comparison", "canvas_mode")
        for name in shown:
            getattr(events, name).connect(self.refresh)
        for event in (events.focused, events.decoded):
            event.connect(lambda *_: self.status.setText(self._words()))

    # -- session to panel ---------------------------------------------------------------------

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session = self._session
        self._fill_list()
        for mode in _MODES:
            button: QRadioButton = getattr(self, mode)
            with QSignalBlocker(button):
                button.setChecked(session.canvas_mode == mode)
        self.tomogram.setEnabled(bool(session.tomogram))
        self.comparison.setEnabled(session.comparison is not None)
        self.pages.setEnabled(session.particles is not None)
        self.status.setText(self._words())

    def _advice(self) -> str:
        if self._session.particles is None:
            return _EMPTY
        if not self._session.particles.has_positions:
            return NO_POSITIONS
        return f"{_LATENT_SPACE} {_ALONE}" if self._session.latents is not None else _ALONE

    def _fill_list(self) -> None:
        session = self._session
        counts: dict[str, int] = {}
        if session.particles is not None:
            names = session.particles.particles["tomogram"].astype(str)
            found = names.value_counts()
            counts = {str(name): int(found[name]) for name in sorted(found.index)}
        rows = []
        for name, count in counts.items():
            path = session.tomogram_files.get(name)
            row = QTreeWidgetItem([name, f"{count:,}", ""])
            row.setData(0, Qt.ItemDataRole.UserRole, name)
            row.setToolTip(0, name)
            self._show_file(row, path)
            row.setTextAlignment(1, Qt.AlignmentFlag.AlignRight)
            rows.append(row)
        line = self.list.fontMetrics().height() + 4
        self.list.setFixedHeight(line * (1 + min(max(len(rows), 1), _ROWS)) + 8)
        with QSignalBlocker(self.list):
            self.list.clear()
            self.list.addTopLevelItems(rows)
            for row in rows:
                if row.data(0, Qt.ItemDataRole.UserRole) == session.tomogram:
                    self.list.setCurrentItem(row)

    def _show_file(self, row: QTreeWidgetItem, path: Path | None) -> None:
        """Whether there is one; where there is none the words are a link, and look like one."""
        row.setText(_FILE_COLUMN, _FOUND if path else _MISSING)
        font = row.font(_FILE_COLUMN)
        font.setUnderline(path is None)
        row.setFont(_FILE_COLUMN, font)
        tip = f"{path}. {_ANOTHER}" if path else f"No such file in the folder above. {_CHOOSE}"
        row.setToolTip(_FILE_COLUMN, tip)

    def _show_link(self, row: QTreeWidgetItem, column: int) -> None:
        """Show by the pointer what a click does."""
        shape = Qt.CursorShape.PointingHandCursor if _is_link(row, column) else _ARROW
        viewport: Any = self.list.viewport()
        viewport.setCursor(shape)

    # -- panel to session ---------------------------------------------------------------------

    def _open(self, row: QTreeWidgetItem, column: int) -> None:
        """Show the tomogram; on a file that was not found, ask for it."""
        if _is_link(row, column):
            self._choose_file(row)
            return
        name = str(row.data(0, Qt.ItemDataRole.UserRole))
        if name == self._session.tomogram:
            self._session.canvas_mode = "tomogram"
        else:
            self._session.tomogram = name

    def _choose_another(self, row: QTreeWidgetItem, column: int) -> None:
        if column == _FILE_COLUMN and not _is_link(row, column):  # which has asked at the click
            self._choose_file(row)

    def _choose_file(self, row: QTreeWidgetItem) -> None:
        """The file of one tomogram, where its name follows no pattern."""
        self.files.choose_file(str(row.data(0, Qt.ItemDataRole.UserRole)))


def _is_link(row: QTreeWidgetItem, column: int) -> bool:
    """Whether a click there asks for a file."""
    return column == _FILE_COLUMN and row.text(column) == _MISSING
