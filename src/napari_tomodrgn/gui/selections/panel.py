"""Named selections: what is selected, what it is called, where it goes."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.gui.widgets.qt import Signal, make_button
from napari_tomodrgn.gui.widgets.recent_paths import export_folder
from napari_tomodrgn.gui.widgets.saving import ask_for_file, kind_of_list, name_of_particles
from napari_tomodrgn.gui.widgets.steady_label import SteadyLabel
from napari_tomodrgn.palette import PLAIN
from napari_tomodrgn.particle_columns import SELECTIONS
from napari_tomodrgn.session import Session

_HINT = (
    "Nothing is selected. In the latent space, click a name in the legend, or take the lasso and "
    "draw a line around points."
)
# Rows of the list that are seen at once.
_FEWEST_ROWS, _MOST_ROWS = 4, 6
_EXPORT_TIP = (
    "The selected particles as the program that they came from reads them, with the columns that "
    "were added; of a list that was extracted here its rows for them, in a file beside it"
)


class SelectionsPanel(QWidget):
    """Count, name, list of the named ones, export."""

    save_requested = Signal(str)
    show_requested = Signal(str)
    delete_requested = Signal(str)
    export_requested = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.count = SteadyLabel(_HINT)  # a lasso moves nothing under the mouse
        self.name, self._known = QLineEdit(), set[str]()
        self.name.setToolTip(
            "Name of the selection, such as 60S only: letters, digits, spaces and _ . + -"
        )
        self.name.returnPressed.connect(self._save)
        self.name.textChanged.connect(self._enable)
        self.keep = make_button(
            "Save",
            "Save the selection in the run under this name, numbered where another has it",
            self._save,
        )
        self.list = QListWidget()
        self.list.setToolTip("A click selects these particles again")
        self.list.itemClicked.connect(lambda item: self._show(item))
        self.list.currentItemChanged.connect(self._enable)
        self.delete = make_button("Delete", "Delete this selection; its particles stay", self._drop)
        self.color = make_button(
            "Colour by selection", "Each point in the colour of its selection", self._color
        )
        self.export = make_button("Export star file…", _EXPORT_TIP, self._export)
        self._lay_out()
        chosen = ("selection", "selections", "selections_in_writing")
        for name in (*chosen, "latents", "run", "particles"):
            session.events[name].connect(self.refresh)
        session.events.particles.connect(self._name_export)
        self._name_export()
        self.refresh()

    def _name_export(self, *_: object) -> None:
        """Say that particles of a list are written as its rows as well."""
        kind = kind_of_list(self._session)
        self.export.setText(f"Export star file and {kind} list…" if kind else "Export star file…")

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session = self._session
        table, selected = session.latents, len(session.selection)
        share = f"{selected:,} of {len(table):,} particles selected." if table is not None else ""
        self.count.setText(share if selected else _HINT)
        self.name.setPlaceholderText(f"Name, or leave it: {session.next_selection_name}")
        self._clear_saved_name()
        self._fill()
        self._enable()

    def _fill(self) -> None:
        chosen = self._chosen()
        with QSignalBlocker(self.list):
            self.list.clear()
            for selection in self._session.selections:
                words = f"{selection.name}   {len(selection.particles):,}"
                item = QListWidgetItem(_chip(selection.color or PLAIN), words)
                item.setData(Qt.ItemDataRole.UserRole, selection.name)
                self.list.addItem(item)
                # Marked as long as it is what is selected.
                if selection.name == chosen and self._is_selected(selection.particles):
                    self.list.setCurrentItem(item)
        # As high as what is in it: an empty list would push what follows out of sight.
        rows = min(max(len(self._session.selections), _FEWEST_ROWS), _MOST_ROWS)
        self.list.setFixedHeight(rows * (self.list.fontMetrics().height() + 6) + 8)

    def _is_selected(self, particles: tuple[str, ...]) -> bool:
        selected = self._session.selection
        return len(particles) == len(selected) and selected.issuperset(particles)

    def _enable(self, *_: object) -> None:
        session, some = self._session, bool(self._session.selection)
        self.keep.setEnabled(some and session.run is not None)
        self.export.setEnabled(some and session.particles is not None)
        self.delete.setEnabled(bool(self._chosen()))
        self.color.setEnabled(bool(session.selections))

    def _lay_out(self) -> None:
        naming = QHBoxLayout()
        naming.addWidget(self.name, 1)
        naming.addWidget(self.keep)
        buttons = QGridLayout()
        buttons.addWidget(self.color, 0, 0)
        buttons.addWidget(self.delete, 0, 1)
        buttons.addWidget(self.export, 1, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.count)
        layout.addLayout(naming)
        layout.addWidget(self.list)
        layout.addLayout(buttons)

    def _chosen(self) -> str:
        item = self.list.currentItem()
        return str(item.data(Qt.ItemDataRole.UserRole)) if item is not None else ""

    def _save(self) -> None:
        self.save_requested.emit(self.name.text().strip() or self._session.next_selection_name)

    def _clear_saved_name(self) -> None:
        """The name that was typed goes once there is a selection of it, not if it is refused."""
        names, typed = {one.name for one in self._session.selections}, self.name.text().strip()
        new, self._known = names - self._known, names
        if typed and any(name == typed or name.startswith(f"{typed} ") for name in new):
            self.name.clear()

    def _show(self, item: QListWidgetItem) -> None:
        self.show_requested.emit(str(item.data(Qt.ItemDataRole.UserRole)))

    def _drop(self) -> None:
        if name := self._chosen():
            self.delete_requested.emit(name)

    def _color(self) -> None:
        self._session.color = SELECTIONS

    def _export(self) -> None:
        folder = export_folder(self._session.source)
        proposed = str(folder / f"{name_of_particles(self._session)}.star")
        name = ask_for_file(self, "Save the particles", proposed, "Star files (*.star)")
        if name:
            self.export_requested.emit(name)


def _chip(color: str) -> QIcon:
    picture = QPixmap(12, 12)
    picture.fill(QColor(color))
    return QIcon(picture)
