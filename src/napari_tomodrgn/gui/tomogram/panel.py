"""The tab *Tomogram*: which tomogram, where its file is, and how particles are shown in it."""

from __future__ import annotations

from functools import partial
from typing import Any

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
from napari_tomodrgn.gui.widgets.letter_size import LetterSize
from napari_tomodrgn.gui.widgets.qt import make_label, scrolled
from napari_tomodrgn.session import Session

_EMPTY = "Open a star file or a run: its tomograms are listed here."
_LATENT_SPACE = (
    "In the latent space, click a point for its map; Clusters makes classes, and Validate compares "
    "them."
)
_FILE_COLUMN, _CHOOSE = 2, "Double-click to choose another file."
_MODES = {
    "particle": "The decoded volume of the particle in focus",
    "tomogram": "The tomogram with its particles in place",
    "comparison": "The groups compared last, beside their difference",
}
_ROWS = 6  # of the list that are seen at once
_STATUS_LINES = 3  # that have room from the start
_FOUND, _MISSING = "found", "not found"


class TomogramPanel(QWidget):
    """List of tomograms, and three pages: how to look, surroundings, export."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.particle, self.tomogram = QRadioButton("Particle"), QRadioButton("Tomogram")
        self.comparison = QRadioButton("A − B")
        self.files = FilesRow(session)
        self.list = QTreeWidget()
        self.status = make_label(_EMPTY)
        self._drawn = ""  # what the scene says of the tomogram
        LetterSize(self.status, self._keep_room)  # what is below stays as its words come
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
                return f"On show: the map of {focus}." if focus else self._advice()
            case "comparison":
                return "On show: the groups that were compared."
            case _:
                words = self._drawn or self._advice()
                return f"{words} {focus}: its map is under Particle." if focus else words

    def _keep_room(self) -> None:
        self.status.setMinimumHeight(_STATUS_LINES * self.status.fontMetrics().lineSpacing())

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
        self.list.itemDoubleClicked.connect(self._choose_file)
        events = self._session.events
        shown = ("particles", "latents", "tomogram_files", "tomogram", "comparison", "canvas_mode")
        for name in shown:
            getattr(events, name).connect(self.refresh)
        events.focused.connect(lambda *_: self.status.setText(self._words()))

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
        alone = "Click a tomogram. Without its file the particles are shown alone."
        return f"{_LATENT_SPACE} {alone}" if self._session.latents is not None else alone

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
            row = QTreeWidgetItem([name, f"{count:,}", _FOUND if path else _MISSING])
            row.setData(0, Qt.ItemDataRole.UserRole, name)
            row.setToolTip(0, name)
            row.setToolTip(2, f"{path or 'No such file in the folder above'}. {_CHOOSE}")
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

    # -- panel to session ---------------------------------------------------------------------

    def _open(self, row: QTreeWidgetItem) -> None:
        name = str(row.data(0, Qt.ItemDataRole.UserRole))
        if name == self._session.tomogram:
            self._session.canvas_mode = "tomogram"
        else:
            self._session.tomogram = name

    def _choose_file(self, row: QTreeWidgetItem, column: int) -> None:
        """The file of one tomogram, where its name follows no pattern."""
        if column != _FILE_COLUMN:
            return
        self.files.choose_file(str(row.data(0, Qt.ItemDataRole.UserRole)))
