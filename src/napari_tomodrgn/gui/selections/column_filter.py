"""One row that selects particles by the values of a column: a range, or a category."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QGridLayout, QLineEdit, QWidget

from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.gui.widgets.qt import Signal, fill_box, make_button
from napari_tomodrgn.particle_columns import Column, names_where
from napari_tomodrgn.session import SelectionMode, Session
from napari_tomodrgn.session.actions import Action
from napari_tomodrgn.session.enclosing import RULES, as_done

_HOW = {
    "select": SelectionMode.REPLACE,
    "add": SelectionMode.ADD,
    "remove": SelectionMode.SUBTRACT,
    "keep only": SelectionMode.INTERSECT,
}


class ColumnFilter(QWidget):
    """Asks for a selection of the particles whose value is in a range, or of a category."""

    chosen = Signal(object, object, object)  # identities, how they combine, the rule

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.mode, self.name, self.category = QComboBox(), QComboBox(), QComboBox()
        self.low, self.high = QLineEdit(), QLineEdit()
        self.mode.addItems(list(_HOW))
        self.mode.setToolTip("What becomes of the selection; keep only: those in it that fit")
        self.name.setToolTip("Column that particles are selected by")
        self.category.setToolTip("Value that they have")
        for edit, words in ((self.low, "from"), (self.high, "to")):
            edit.setPlaceholderText(words)
            edit.setToolTip("Limit, in the column's unit; empty for none")
        self.apply = make_button("Select", "Change the selection, in both views", self._apply)
        for box in (self.name, self.category):
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.mode, 0, 0)
        layout.addWidget(self.name, 0, 1, 1, 2)
        layout.addWidget(self.low, 1, 0)
        layout.addWidget(self.high, 1, 1)
        layout.addWidget(self.category, 1, 0, 1, 2)
        layout.addWidget(self.apply, 1, 2)
        layout.setColumnStretch(1, 1)
        self.name.currentIndexChanged.connect(self._show_kind)
        for event in ("particles", "latents", "added_columns"):
            getattr(session.events, event).connect(self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the columns that there are."""
        table = self._session.table
        names = [] if table is None else table.color_names
        chosen = self.name.currentData()
        fill_box(self.name, {name: column_label(name) for name in names}, str(chosen))
        if self.name.currentIndex() < 0 and names:
            with QSignalBlocker(self.name):
                self.name.setCurrentIndex(0)
        self.setEnabled(bool(names))
        self._show_kind()

    def _column(self) -> Column | None:
        table = self._session.table
        name = self.name.currentData()
        if table is None or not name:
            return None
        return table.column(name)

    def _show_kind(self, *_: object) -> None:
        found = self._column()
        words = found is not None and found.categorical
        self.category.setVisible(words)
        for edit in (self.low, self.high):
            edit.setVisible(not words)
        if found is None:
            return
        if words:
            self.category.clear()
            self.category.addItems(list(found.categories))
        else:
            for edit, limit in zip((self.low, self.high), found.limits, strict=True):
                edit.setPlaceholderText(f"{limit:.4g}")

    def _apply(self) -> None:
        session, table, found = self._session, self._session.table, self._column()
        if table is None or found is None:
            return
        try:
            rule = self._rule(found)
        except ValueError:
            session.show_message("A limit of the filter is no number.", "warning", self._has_limits)
            return
        mode = _HOW[self.mode.currentText()]
        mask = RULES[rule.verb](table, *rule.arguments)
        self.chosen.emit(names_where(table.rows, mask), mode, as_done(table, mask, rule, mode))

    def _limits(self) -> list[float | None]:
        """What was typed; raises `ValueError` where it is no number."""
        return [float(one.text()) if one.text() else None for one in (self.low, self.high)]

    def _has_limits(self) -> bool:
        """Whether both limits are numbers, or empty."""
        try:
            self._limits()
        except ValueError:
            return False
        return True

    def _rule(self, found: Column) -> Action:
        if found.categorical:
            return Action.of("category", found.name, self.category.currentText())
        low, high = self._limits()
        return Action.of("in_range", found.name, low, high)
