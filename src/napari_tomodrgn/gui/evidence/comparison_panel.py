"""Compares two groups: which ones, how far it is, the sentence, the curves, what to do with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.analysis.evidence.drawn_difference import FIRST_ERRORS
from napari_tomodrgn.gui.charts.line_plot import Curve, LinePlot
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.evidence.group_choice import (
    AT_RANDOM,
    MATCHED,
    REST,
    ChosenGroup,
    offered_groups,
    rest_of,
)
from napari_tomodrgn.gui.volumes.map_labels import unbroken
from napari_tomodrgn.gui.widgets.qt import (
    Signal,
    fill_box,
    labelled,
    make_button,
    make_heading,
    make_label,
    set_next,
)
from napari_tomodrgn.gui.widgets.saving import ask_for_comparison, ask_for_report
from napari_tomodrgn.palette import DIFFERENCE
from napari_tomodrgn.session import ComparedGroups, Session
from napari_tomodrgn.work_status import training_words

_NOTHING = "Select particles, name selections or find clusters: two groups can then be compared."
_ERRORS = (2.0, 10.0)
_STEPS_PER_ERROR = 2
_TIPS = {
    "errors": "Contour of A − B, in standard errors of the difference; pieces smaller than its "
    "resolution are left out",
    "compare": "Whether the groups differ, judged by images that did not choose them: particles "
    "are assigned to A and B by one half of their tilts and compared in the other half",
    "kept": "What this run keeps of comparisons made before: choose one to see it again",
    "stage": "Show A, B and A − B side by side in the canvas, or go back to single maps",
    "halves": "Both half maps of A and of B, unfiltered, in four cells of the canvas",
    "export": "A new folder with both maps, their half maps and FSC curves, the difference with "
    "its standard error, who was in which group, and a star file of each",
    "report": "The whole run as one HTML page that opens anywhere, this comparison in it",
}


class ComparisonPanel(QWidget):
    """Asks for a comparison and shows its result."""

    compare_requested = Signal(object, object, bool)  # A, B, whether B is drawn at random like A
    groups_chosen = Signal(object, object, bool)  # the same, before it is asked
    kept_chosen = Signal(str)  # the folder of a comparison that the run keeps
    stop_requested = Signal()
    errors_chosen = Signal(float)
    halves_toggled = Signal(bool)
    export_requested = Signal(str)
    report_requested = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._groups: dict[str, ChosenGroup] = {}
        self._names: dict[str, str] = {}  # of the comparisons that the run keeps, by folder
        self._chosen: tuple[ChosenGroup, ChosenGroup, bool] | None = None
        self._a_before = ""  # the key of A, which B takes where A takes that of B
        self._shown: object = None  # what was found, of the comparison on show
        self.a, self.b = QComboBox(), QComboBox()
        for box, tip in ((self.a, "Group A"), (self.b, "Group B, what A is compared with")):
            box.setToolTip(tip)
            box.setAccessibleName(tip)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            box.activated.connect(lambda _row: self.refresh())
        self.compare = make_button("Compare", _TIPS["compare"], self._press)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.status = make_label()
        self.sentence, self.numbers = make_label(), make_label()
        self.sentence.setStyleSheet("font-weight: bold;")
        self.plot = LinePlot("Resolution", "FSC", resolution=True)
        self.plot.setToolTip("Half maps of A, half maps of B, and of halves of A − B")
        self.errors = QSlider(Qt.Orientation.Horizontal)
        self.errors.setRange(*(round(limit * _STEPS_PER_ERROR) for limit in _ERRORS))
        self.errors.setValue(round(FIRST_ERRORS * _STEPS_PER_ERROR))
        self.errors.setToolTip(_TIPS["errors"])
        self.errors.setAccessibleName(self.errors.toolTip())
        self.errors_words = QLabel()
        self._make_actions()
        self._lay_out()
        self.errors.valueChanged.connect(self._on_errors)
        for name in (
            *("latents", "selection", "selections", "added_columns", "checks", "particles"),
            *("comparison", "comparison_status", "canvas_mode"),
        ):
            getattr(session.events, name).connect(self.refresh)
        self.refresh()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self.plot.set_theme(theme)

    def refresh(self, *_: Any) -> None:
        """Show what the session holds."""
        session, compared = self._session, self._session.comparison
        self._offer()
        if self._choose():  # what was found for them comes back, and here with it
            compared = session.comparison
        busy = session.comparison_status.busy
        self.compare.setText("Stop comparing" if busy else "Compare")
        self.compare.setEnabled(busy or (bool(self._groups) and session.has_images))
        known = compared is not None and self._is_of_chosen(compared)
        set_next(self.compare, not busy and not known)
        set_next(self.report, known)
        self.bar.setVisible(busy)
        self.bar.setValue(round(1000 * session.comparison_status.fraction))
        self.status.setText(self._advice())
        self.status.setVisible(bool(self.status.text()))
        self._result.setVisible(compared is not None)
        self._show_kept()
        shown = session.canvas_mode == "comparison"
        found = None if compared is None else compared.found
        halves = shown and self.halves.isChecked() and found is self._shown  # else its maps are up
        self._shown = found
        for button, on in ((self.stage, shown), (self.halves, halves)):
            with QSignalBlocker(button):
                button.setChecked(on)
        if compared is not None:
            self._show(compared)

    def set_kept(self, names: dict[str, str]) -> None:
        """Offer what the run keeps, by the folder of each."""
        self._names = names
        self._show_kept()

    def choose_groups_of(self, compared: object) -> None:
        """Choose the groups of a comparison that is shown again, where they are offered."""
        if not isinstance(compared, ComparedGroups) or self._is_of_chosen(compared):
            return
        a, b = compared.groups
        key = next((key for key, one in self._groups.items() if one.ids == a), "")
        if not key:
            return
        other = next((name for name, one in self._groups.items() if one.ids == b), "")
        if b is None or b == rest_of(self._session, self._groups[key]).ids:
            other = MATCHED if b is None else other or REST
        self.a.setCurrentIndex(self.a.findData(key))
        self._offer()
        if (row := self.b.findData(other)) >= 0:
            self.b.setCurrentIndex(row)
        self.refresh()

    def _show_kept(self) -> None:
        compared = self._session.comparison
        shown = "" if compared is None else str(compared.folder or "")
        choose = {} if shown in self._names else {"": "choose one …"}
        fill_box(self.kept, choose | self._names, shown if shown in self._names else "")
        self._kept_row.setVisible(bool(self._names))

    def _advice(self) -> str:
        session, compared = self._session, self._session.comparison
        below = ""
        if compared is not None and self._groups and not self._is_of_chosen(compared):
            below = "what is below is of {} and {}.".format(*compared.names)
        if (status := session.comparison_status).busy:
            words = training_words(status.what, status.fraction, status.left, "the comparison")
            return f"{words}\n{below[:1].upper()}{below[1:]}" if below else words
        if session.latents is None:
            return "Open a run first: groups of its particles are compared."
        if not session.has_images:
            return "The tilt images are not on this computer: nothing can be compared."
        if below:
            return f"{below[:1].upper()}{below[1:]}"
        return "" if self._groups else _NOTHING

    def _offer(self) -> None:
        """Offer the groups that there are; of A and B what was chosen stays."""
        self._groups = groups = offered_groups(self._session)
        names = {key: f"{one.name} ({len(one.ids):,})" for key, one in groups.items()}
        a, b = self.a.currentData(), self.b.currentData()
        a = a if a in groups else next(iter(groups), "")
        if b == a:
            b = self._a_before
        self._a_before = str(a)
        fill_box(self.a, names, str(a))
        others = {key: name for key, name in names.items() if key != a}
        if groups:
            others |= {REST: "all others", MATCHED: "random others, matched to A"}
        fill_box(self.b, others, str(b) if b in others else next(iter(others), ""))
        for box in (self.a, self.b):
            box.setEnabled(bool(groups))

    def _choose(self) -> bool:
        """Note which groups are chosen, and tell if these are others than before."""
        a, other = self._groups.get(str(self.a.currentData())), str(self.b.currentData())
        chosen = None
        if a is not None:
            b = self._groups.get(other) or rest_of(self._session, a)
            if other == MATCHED:
                b = ChosenGroup(AT_RANDOM, b.color, b.ids)
            chosen = (a, b, other == MATCHED)
        changed, self._chosen = chosen != self._chosen, chosen
        if changed and chosen is not None:
            self.groups_chosen.emit(*chosen)
        return changed

    def _is_of_chosen(self, compared: ComparedGroups) -> bool:
        if self._chosen is None:
            return False
        a, b, matched = self._chosen
        return compared.groups == (a.ids, None if matched else b.ids)

    def _show(self, compared: ComparedGroups) -> None:
        # Which brings torch with it, and is there where something was compared.
        from napari_tomodrgn.analysis.evidence.records import molecule_words, other_places

        record = compared.record
        self.sentence.setText(unbroken(compared.sentence))
        counts = f"A {record['particles_a']:,}, B {record['particles_b']:,} particles"
        kept = f" Kept in the run as {compared.folder.name}." if compared.folder is not None else ""
        places = other_places(record)
        self.numbers.setText(unbroken(f"{molecule_words(record)} {counts}.{places}{kept}"))
        self.numbers.setToolTip(f"Maps, half maps and curves: {compared.folder or 'not saved'}")
        curves = []
        for letter, color, made in zip(
            "AB", compared.colors, compared.found.maps or (), strict=False
        ):
            x, y = made.fsc.frequency_per_angstrom, made.fsc.correlation
            curves.append(Curve(letter, np.asarray(x)[1:], np.asarray(y)[1:], color))
        apart = compared.found.difference.fsc
        x, y = np.asarray(apart.frequency_per_angstrom)[1:], np.asarray(apart.correlation)[1:]
        curves.append(Curve("A − B", x, y, DIFFERENCE))
        low = min([-0.05, *(float(np.nanmin(one.y)) for one in curves)])
        self.plot.set_curves(curves, limits=(low, 1.05), level=apart.threshold)
        self.errors_words.setText(f"{self.errors.value() / _STEPS_PER_ERROR:g} SE")

    # -- layout -------------------------------------------------------------------------------

    def _make_actions(self) -> None:
        self.kept = QComboBox()
        self.kept.setToolTip(_TIPS["kept"])
        self.kept.setAccessibleName(_TIPS["kept"])
        self.kept.setSizeAdjustPolicy(self.a.sizeAdjustPolicy())
        self.kept.activated.connect(self._choose_kept)
        self.stage = make_button("Show side by side", _TIPS["stage"], self._toggle_stage)
        self.halves = make_button("Open half maps", _TIPS["halves"], self._toggle_halves)
        for button in (self.stage, self.halves):
            button.setCheckable(True)
        self.export = make_button("Export both…", _TIPS["export"], self._ask_export)
        self.report = make_button("Save report…", _TIPS["report"], self._ask_report)

    def _lay_out(self) -> None:
        choice = QGridLayout()
        for row, (words, box) in enumerate((("A", self.a), ("B", self.b))):
            choice.addWidget(QLabel(words), row, 0)
            choice.addWidget(box, row, 1)
        choice.setColumnStretch(1, 1)
        contour = QHBoxLayout()
        for widget in (QLabel("Contour of A − B"), self.errors, self.errors_words):
            contour.addWidget(widget, int(widget is self.errors))
        self._kept_row = QWidget()
        before = labelled(QLabel("Earlier"), self.kept)
        before.setContentsMargins(0, 0, 0, 0)
        self._kept_row.setLayout(before)
        self._result = QWidget()
        result = QVBoxLayout(self._result)
        result.setContentsMargins(0, 0, 0, 0)
        buttons = QGridLayout()
        for place, button in enumerate((self.stage, self.halves, self.export, self.report)):
            buttons.addWidget(button, *divmod(place, 2))
        for shown in (self.sentence, self.numbers, self.plot):
            result.addWidget(shown)
        result.addLayout(contour)
        result.addLayout(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(make_heading("Compare two groups"))
        layout.addLayout(choice)
        for part in (self.compare, self.bar, self.status, self._kept_row, self._result):
            layout.addWidget(part)

    # -- panel to session ---------------------------------------------------------------------

    def _press(self) -> None:
        if self._session.comparison_status.busy:
            self.stop_requested.emit()
            return
        self._choose()
        if self._chosen is not None:
            self.compare_requested.emit(*self._chosen)

    def _choose_kept(self, _row: int) -> None:
        if folder := str(self.kept.currentData() or ""):
            self.kept_chosen.emit(folder)

    def _toggle_stage(self) -> None:
        self._session.canvas_mode = "comparison" if self.stage.isChecked() else "particle"

    def _toggle_halves(self) -> None:
        self.halves_toggled.emit(self.halves.isChecked())
        if self.halves.isChecked():  # also of a comparison that is not on show yet
            self._session.canvas_mode = "comparison"

    def _on_errors(self, value: int) -> None:
        self.errors_words.setText(f"{value / _STEPS_PER_ERROR:g} SE")
        self.errors_chosen.emit(value / _STEPS_PER_ERROR)

    def _ask_export(self) -> None:
        if folder := ask_for_comparison(self, self._session):
            self.export_requested.emit(folder)

    def _ask_report(self) -> None:
        if path := ask_for_report(self, self._session):
            self.report_requested.emit(path)
