"""Surroundings as columns, and what they go with: the page *Context* of the tab *Tomogram*."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHeaderView,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.gui.selections.column_filter import ColumnFilter
from napari_tomodrgn.gui.widgets.qt import Signal, fill_box, make_button, make_label
from napari_tomodrgn.particle_columns import SELECTIONS
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.tomogram.context_tests import ContextTest

_NO_STATE, _NO_LAYER = "no state", "no surface"
_HINT = (
    "Columns are computed for all particles and become axes and colours of the latent space "
    "as well. The test asks whether a state is associated with them, within tomograms."
)
_HEADER = ("Column", "Effect", "p", "q")
_MEASURES = {
    "cliffs_delta": "Cliff's delta: chance that the value is larger in the later of the two "
    "states (by name) minus that it is smaller, −1 to 1",
    "eta_squared": "eta squared: share of the variance of ranks between states, 0 to 1",
    "spearman": "Spearman's rank correlation, −1 to 1",
    "cramers_v": "Cramér's V, 0 to 1",
    "agreement": "share of neighbours in the same state beyond chance, at most 1",
    "": "not enough particles, or all the same",
}
_LEAST_ROWS = 3  # of the table, where there are fewer


class NeighborhoodPage(QWidget):
    """Asks for columns and tests; shows associations."""

    compute_requested = Signal(float, str, object)  # radius, state, layer or None
    test_requested = Signal(str, int)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._layers: list[Any] = []
        self.radius, self.permutations = QSpinBox(), QSpinBox()
        self.state, self.surface = QComboBox(), QComboBox()
        self.table = QTableWidget(0, 4)
        self.filter = ColumnFilter(session)
        self.words = make_label(_HINT)
        self.compute = make_button(
            "Compute columns",
            "Neighbours, density, place in the tomogram, defocus, distance and angle to a surface",
            self._compute,
        )
        self.test = make_button(
            "Test", "Whether the state is associated with any of the columns", self._test
        )
        self._set_up()
        self._set_up_table()
        self._lay_out()
        for name in ("particles", "latents", "added_columns", "selections"):
            getattr(session.events, name).connect(self.refresh)
        session.events.particles.connect(self._forget)
        session.events.run.connect(self._on_run)
        self.refresh()

    def set_layers(self, layers: list[Any]) -> None:
        """Labels and surface layers that can be the surface."""
        self._layers = layers
        _fill(self.surface, [_NO_LAYER, *(layer.name for layer in layers)])

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session, table = self._session, self._session.table
        names = [SELECTIONS] if session.selections else []
        if table is not None:
            names += table.color_names
        names = [name for name in names if name != "tomogram"]
        chosen = self._state() if self._state() in names else ""
        if not chosen and session.color in names:
            chosen = session.color
        fill_box(self.state, {"": _NO_STATE} | {name: _readable(name) for name in names}, chosen)
        added_columns = session.added_columns
        self.test.setEnabled(
            added_columns is not None and "neighbour_distance_angstrom" in added_columns
        )

    def show_associations(self, tested: ContextTest | None) -> None:
        """Show associations, the clearest first; None: what was tested has changed since."""
        if tested is None:
            self._forget()
            return
        found = tested.table.sort_values(["p_value", "effect"], ascending=[True, False])
        self.table.setRowCount(len(found))
        for row, (name, one) in enumerate(found.iterrows()):
            cells = (
                _readable(str(name)),
                f"{one['effect']:+.2f}",
                f"{one['p_value']:.3f}",
                f"{one['q_value']:.3f}",
            )
            tip = f"{_MEASURES[one['measure']]}; {int(one['particles']):,} particles"
            for place, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{_readable(str(name))}: {tip}")
                if place:
                    item.setTextAlignment(
                        int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                    )
                if name in tested.clear:  # beyond chance, for so many columns
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.table.setItem(row, place, item)
        self._fit_table()
        self.words.setText(tested.sentence)

    def _fit_table(self) -> None:
        """As high as its rows: the page scrolls, and not the table in it as well."""
        self.table.resizeRowsToContents()
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None
        assert rows is not None
        least = _LEAST_ROWS * rows.defaultSectionSize()
        frame = 2 * self.table.frameWidth()
        self.table.setFixedHeight(header.sizeHint().height() + max(rows.length(), least) + frame)

    def _set_up(self) -> None:
        self.radius.setRange(10, 100_000)
        self.radius.setSingleStep(50)
        self.radius.setValue(500)
        self.radius.setSuffix(" Å")
        self.radius.setToolTip("Centres within this distance count as neighbours")
        self.state.setToolTip(
            "State of the particles: clusters, named selections, or any other column"
        )
        self.surface.setToolTip(
            "Labels or surface layer of the tomogram on show, such as a membrane"
        )
        self.permutations.setRange(99, 99_999)
        self.permutations.setValue(999)
        self.permutations.setToolTip(
            "Times that states are dealt out anew within tomograms; p is 1/1000 at best with 999"
        )
        for box in (self.state, self.surface):
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setVerticalSpacing(4)
        form.addRow("Radius", self.radius)
        form.addRow("Surface", self.surface)
        form.addRow("State", self.state)
        form.addRow(self.compute)
        form.addRow("Shuffles", self.permutations)
        form.addRow(self.test)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(form)
        layout.addWidget(self.words)
        layout.addWidget(self.table)
        layout.addWidget(self.filter)
        layout.addStretch(1)

    def _set_up_table(self) -> None:
        tips = (
            "What the state is tested against",
            "Size of the effect within tomograms; the pointer on a row tells the measure",
            "Chance of so large an effect if states were dealt out at random in each tomogram",
            "The same, corrected for the number of columns (Benjamini and Hochberg)",
        )
        for place, tip in enumerate(tips):
            self.table.setHorizontalHeaderItem(place, _with_tip(_HEADER[place], tip))
        header: Any = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        rows: Any = self.table.verticalHeader()
        rows.hide()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._fit_table()

    def _on_run(self, run: object) -> None:
        """Another run begins: what was tested was a state of the latents before."""
        if run is None:
            self._forget()

    def _forget(self, *_: object) -> None:
        self.table.setRowCount(0)
        self._fit_table()
        self.words.setText(_HINT)

    def _compute(self) -> None:
        place = self.surface.currentIndex() - 1
        layer = self._layers[place] if 0 <= place < len(self._layers) else None
        self.compute_requested.emit(float(self.radius.value()), self._state(), layer)

    def _test(self) -> None:
        if not self._state():
            self._session.show_message(
                "Choose the state that is to be tested.", "warning", lambda: bool(self._state())
            )
            return
        self.test_requested.emit(self._state(), self.permutations.value())

    def _state(self) -> str:
        return str(self.state.currentData() or "")


def _readable(column: str) -> str:
    """A column's name in words, its unit in brackets; of a neighbour the state is what counts."""
    if column == "neighbour_id":
        column = "neighbour_state"
    return column_label(column if not column.startswith("z ") else f"latent {column}")


def _with_tip(words: str, tip: str) -> QTableWidgetItem:
    item = QTableWidgetItem(words)
    item.setToolTip(tip)
    return item


def _fill(box: QComboBox, words: list[str]) -> None:
    chosen = box.currentText()
    with QSignalBlocker(box):
        box.clear()
        box.addItems(words)
        if chosen in words:
            box.setCurrentText(chosen)
