"""Asks for the condition of each tomogram, and draws how clusters are shared out between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QByteArray, Qt
from qtpy.QtSvgWidgets import QSvgWidget
from qtpy.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.evidence.condition_service import ConditionService
from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection
from napari_tomodrgn.gui.widgets.qt import make_button, make_label
from napari_tomodrgn.gui.widgets.recent_paths import export_folder
from napari_tomodrgn.gui.widgets.saving import ask_for_file
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.latents.class_shares import ClassShares

_TITLE = "Conditions of tomograms"
_TIP = (
    "Which tomograms were treated, which not: each cluster's share in each condition, with its "
    "interval over tomograms, and whether conditions differ"
)
_WHAT = "Type the condition of each tomogram, such as treated or control, or open a table."
_ROWS = 6  # of the table, before it scrolls


class ConditionPanel(CollapsibleSection):
    """Folded until someone asks."""

    def __init__(self, session: Session, service: ConditionService) -> None:
        self._session, self._service = session, service
        self._chart = ""
        self._shares: ClassShares | None = None
        self.table = QTableWidget(0, 2)
        self.table.setHorizontalHeaderLabels(["tomogram", "condition"])
        self.table.setAccessibleName(_TITLE)
        for column in (0, 1):
            header: Any = self.table.horizontalHeader()
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        numbers: Any = self.table.verticalHeader()
        numbers.hide()
        tip = "A CSV table with the columns tomogram and condition"
        self.open = make_button("Open a table (CSV) …", tip, self._open)
        self.compare = make_button("Compare conditions", _TIP, self._compare)
        self.sentence = make_label()
        self.picture = QSvgWidget()
        self.picture.setAccessibleName("Shares of clusters by condition")
        self.save = make_button(
            "Save figure and table …", "The figure as SVG, the table as CSV beside it", self._save
        )
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        shown = (self.table, self.open, self.compare, self.sentence, self.picture, self.save)
        for widget in (make_label(_WHAT), *shown):
            layout.addWidget(widget)
        super().__init__(_TITLE, page, _TIP)
        service.found.connect(self._on_found)
        service.known.connect(self.fill)
        for name in ("latents", "run", "added_columns"):
            getattr(session.events, name).connect(self._refresh)
        self._on_found(None)
        self._refresh()

    @property
    def conditions(self) -> dict[str, str]:
        """What stands in the table; without those that have none."""
        cells = [
            [str(self.table.item(row, column).text()).strip() for column in (0, 1)]  # type: ignore[union-attr]
            for row in range(self.table.rowCount())
        ]
        return {tomogram: condition for tomogram, condition in cells if condition}

    def fill(self, conditions: dict[str, str]) -> None:
        """Put conditions beside their tomograms; others are left as they are."""
        for row in range(self.table.rowCount()):
            name: Any = self.table.item(row, 0)
            cell: Any = self.table.item(row, 1)
            words = conditions.get(name.text()) or conditions.get(Path(name.text()).stem)
            cell.setText(words or cell.text())

    def _refresh(self, *_: Any) -> None:
        latents = self._session.latents
        names = [] if latents is None else sorted(set(latents["tomogram"].astype(str)))
        for widget in (self.table, self.open, self.compare):
            widget.setEnabled(len(names) > 1)
        there = [self.table.item(row, 0) for row in range(self.table.rowCount())]
        if [item.text() for item in there if item is not None] == names:
            return
        known = self.conditions
        self.table.setRowCount(len(names))
        for row, name in enumerate(names):
            item = QTableWidgetItem(name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.table.setItem(row, 0, item)
            self.table.setItem(row, 1, QTableWidgetItem(known.get(name, "")))
        lines = min(len(names), _ROWS) + 1
        self.table.setFixedHeight(lines * max(24, self.table.rowHeight(0)) + 6)

    def _open(self) -> None:
        from napari_tomodrgn.analysis.latents.class_shares import read_conditions

        beside = str(export_folder(self._session.source))
        path, _ = QFileDialog.getOpenFileName(
            self, "Conditions of tomograms", beside, "Tables (*.csv)"
        )
        if not path:
            return
        try:
            known = read_conditions(Path(path))
        except BadInputError as error:
            self._session.show_message(str(error), "error")
            return
        self.fill(known)
        missing = self.table.rowCount() - len(self.conditions)
        if missing:
            self._session.show_message(
                f"{Path(path).name} gives no condition for {missing} of these tomograms.", "warning"
            )

    def _compare(self) -> None:
        self._service.compare(self.conditions)

    def _on_found(self, found: ClassShares | None) -> None:
        from napari_tomodrgn.analysis.latents.figures import HEIGHT, WIDTH, share_chart
        from napari_tomodrgn.analysis.report.conditions import share_words

        self._shares = found
        for widget in (self.sentence, self.picture, self.save):
            widget.setVisible(found is not None)
        if found is None:
            return
        self._chart = share_chart(found.table, found.p_values)
        self.picture.load(QByteArray(self._chart.encode("utf-8")))
        self.picture.setFixedHeight(round(max(self.width() - 12, 240) * HEIGHT / WIDTH))
        self.sentence.setText(share_words(found))

    def _save(self) -> None:
        proposed = str(export_folder(self._session.source) / "shares.svg")
        path = ask_for_file(self, "Save figure and table", proposed, "Figures (*.svg)")
        if path and self._shares is not None:
            self._service.save(path, self._chart, self._shares)
