"""From an averaging package's list to tilt images: list, folders, what is there, cutting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.config import validated
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.extraction.words import DETAILS, in_fields, what_is_missing
from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection
from napari_tomodrgn.gui.widgets.folder_edit import FolderEdit
from napari_tomodrgn.gui.widgets.qt import Signal, labelled, make_button, make_label

if TYPE_CHECKING:
    from napari_tomodrgn.extract.settings import ExtractConfig
    from napari_tomodrgn.extract.survey import SurveyRow

TITLE = "From an averaging package's list"
_HINT = (
    "STOPGAP, AV3, Dynamo, PyTom, RELION, copick, emClarity, EMAN2 or CSV: choose the list, then "
    "the folder of the tilt series. What is beside them is found."
)
_LISTS = "Lists (*.star *.em *.tbl *.xml *.csv *.json *.lst);;All files (*)"
# Short words: all columns are to be seen in the narrow dock.
_COLUMNS = {
    "tomogram": "As the list calls it",
    "n": "Number of its particles",
    "stack": "Of tilt images",
    "align": "Alignment of the tilt series",
    "CTF": "Estimate of the CTF",
    "dose": "Doses and their order",
}
_MOST_ROWS = 8  # of the table that are seen without scrolling
_FOLDERS = {
    "alignment": "Alignment: IMOD, AreTomo, Warp, EMAN2, RELION",
    "ctf": "CTF: ctffind, AreTomo, IMOD, Warp, RELION",
    "dose": "Dose: mdoc, Warp, RELION",
    "tomograms": "Tomograms that the list counts voxels of",
}
_CHOICES = {
    "z": ("auto", "keep", "mirror"),
    "pose": ("auto", "keep", "inverse"),
    "origin": ("auto", "0", "1"),
    "hand": ("auto", "1", "-1"),
}
_CHOICE_TIPS = {
    "z": "Which way z of the list runs; auto asks the data",
    "pose": "Whether poses go reference → specimen; auto asks the data",
    "origin": "From where voxels of the list count; auto asks the data",
    "hand": "Sign of a particle's height in its defocus; auto asks the data",
}
_TICK, _CROSS = "✓", "–"


class ExtractionPanel(QWidget):
    """Form, table of what is there, and buttons."""

    look_requested = Signal(object)  # ExtractConfig
    predict_requested = Signal(object)
    extract_requested = Signal(object, str)
    stop_requested = Signal()
    refused = Signal(str, object)  # why settings do not go together, and whether they do by now

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = make_button("Choose a list…", "Positions and poses", self._choose_list)
        self._list_path = self._proposed = ""
        self.tilt_series = FolderEdit("One stack a tilt series", "folder", "Tilt series")
        self.folders = {
            name: FolderEdit(tip, "with the tilt series", name) for name, tip in _FOLDERS.items()
        }
        self.out = FolderEdit("A new folder", "folder to make", "Output")
        self.box, self.pixel = QSpinBox(), QDoubleSpinBox()
        self.choices = {name: QComboBox() for name in _CHOICES}
        self.table = QTableWidget(0, len(_COLUMNS))
        self.missing = make_label()
        self.status = make_label()
        self.bar = QProgressBar()
        self.look = make_button("Look", "What is there of each tomogram", self._look)
        self.start = make_button(
            "Extract and open", "Cut the tilt images, then open them", self._extract
        )
        self.stop = make_button(
            "Stop", "What is cut stays; it goes on later", self.stop_requested.emit
        )
        self._set_up()
        self._lay_out()
        self.set_running(False)

    def _set_up(self) -> None:
        self.box.setRange(16, 512)
        self.box.setSingleStep(2)
        self.box.setValue(64)
        self.box.setToolTip("Edge of the images in pixels")
        self.pixel.setRange(0, 100)
        self.pixel.setDecimals(3)
        self.pixel.setSpecialValueText("of the tilt series")
        self.pixel.setToolTip("Pixel size of the images in Å")
        for name, box in self.choices.items():
            box.addItems(_CHOICES[name])
            box.setToolTip(_CHOICE_TIPS[name])
            box.setAccessibleName(name)
        self._set_up_table()
        self.bar.setRange(0, 1000)
        # What stands in the table is of the folders above it.
        for edit in (self.tilt_series, *self.folders.values()):
            edit.changed.connect(self._look_if_ready)

    def _set_up_table(self) -> None:
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        for column, (name, tip) in enumerate(_COLUMNS.items()):
            item = QTableWidgetItem(name)
            item.setToolTip(tip)
            self.table.setHorizontalHeaderItem(column, item)
        header: Any = self.table.horizontalHeader()
        header.setStyleSheet("QHeaderView::section { padding: 2px; }")
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        beside: Any = self.table.verticalHeader()
        beside.hide()
        self._fit_table()

    def _fit_table(self) -> None:
        """As high as its rows, of which there may be hundreds."""
        rows = min(max(1, self.table.rowCount()), _MOST_ROWS)
        header, beside = self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None
        assert beside is not None
        frame = 2 * self.table.frameWidth()
        self.table.setFixedHeight(
            header.sizeHint().height() + rows * beside.defaultSectionSize() + frame
        )

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("List", self.list)
        form.addRow("Tilt series", self.tilt_series)
        details = QWidget()
        more = QFormLayout(details)
        more.setContentsMargins(0, 0, 0, 0)
        for name, edit in self.folders.items():
            more.addRow(name.upper() if name == "ctf" else name.capitalize(), edit)
        for name, box in self.choices.items():
            more.addRow(name.capitalize(), box)
        form.addRow("Box (px)", self.box)
        form.addRow("Pixel (Å)", self.pixel)
        form.addRow("Output", self.out)
        buttons = QHBoxLayout()
        for button in (self.look, self.start, self.stop):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 0, 0)
        layout.addWidget(make_label(_HINT))
        layout.addLayout(form)
        self.details = CollapsibleSection(
            DETAILS, details, "Where they are elsewhere, or files do not say"
        )
        # Above what grows: as the table fills no button moves from under the mouse.
        layout.addLayout(buttons)
        layout.addLayout(labelled(self.bar))
        layout.addWidget(self.status)
        layout.addWidget(self.details)
        layout.addWidget(self.table)
        layout.addWidget(self.missing)

    def set_list(self, path: str | Path) -> None:
        """Take a list of particles, and a folder beside it to write to."""
        path = Path(path)
        self._list_path = str(path)
        self.list.setText(path.name)
        self.list.setToolTip(str(path))
        if self.out.folder in ("", self._proposed):  # else the user named one
            self._proposed = str(path.parent / f"{path.stem}_extracted")
            self.out.set_folder(self._proposed)
        self._look_if_ready()

    def config(self) -> ExtractConfig:
        """The settings of the form.

        Raises
        ------
        BadInputError
            If the list or the folder of the tilt series is not chosen.
        """
        from napari_tomodrgn.extract.settings import ExtractConfig

        stacks = self.tilt_series.folder
        for given, what in ((self._list_path, "the list"), (stacks, "the folder of tilt series")):
            if not given:
                raise BadInputError(f"Choose {what} first.")
        folders = {name: edit.folder or None for name, edit in self.folders.items()}
        values = {
            "particles": self._list_path,
            "tilt_series": stacks,
            **folders,
            "alignment": folders["alignment"] or stacks,
            "box_px": self.box.value(),
            "pixel_size_target_angstrom": self.pixel.value() or None,
            **{name: box.currentText() for name, box in self.choices.items()},
        }
        return validated(ExtractConfig, values)

    def fill_folders(self, folders: dict[str, Path]) -> None:
        """Name the folders that were found beside stacks and list."""
        for name, path in folders.items():
            self.folders[name].set_folder(str(path))

    def show_survey(self, rows: list[SurveyRow]) -> None:
        """Tick what is there, and say what is missing."""
        self.table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            files = (row.stack, row.alignment, row.ctf, row.dose)
            texts = [row.tomogram, str(row.particles)]
            texts += [_CROSS if path is None else _TICK for path in files]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                if column > 1:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                if column > 1 and files[column - 2] is not None:
                    item.setToolTip(str(files[column - 2]))
                self.table.setItem(number, column, item)
        self._fit_table()
        self.missing.setText(what_is_missing(rows))
        complete = bool(rows) and all(row.complete for row in rows)
        if not complete:  # there are the fields that the words above name
            self.details.set_open(True)
        self.start.setEnabled(complete)
        if complete:
            self._ask(self.predict_requested)

    def set_progress(self, words: str, fraction: float) -> None:
        """Show what is being done."""
        self.set_running(True)
        self.status.setText(words)
        self.bar.setValue(round(1000 * fraction))

    def set_running(self, running: bool) -> None:
        """Whether an extraction is under way."""
        self.stop.setEnabled(running)
        self.look.setEnabled(not running)
        self.bar.setVisible(running)
        if not running:
            self.status.setText("")

    def _choose_list(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Choose a list", "", _LISTS)
        if name:
            self.set_list(name)

    def _look_if_ready(self) -> None:
        if self._list_path and self.tilt_series.folder:
            self._look()

    def _look(self) -> None:
        self._ask(self.look_requested)

    def _extract(self) -> None:
        if not self.out.folder:
            self.refused.emit("Choose the folder to write to.", lambda: bool(self.out.folder))
            return
        self._ask(self.extract_requested, self.out.folder)

    def _can_ask(self) -> bool:
        try:
            self.config()
        except BadInputError:
            return False
        return True

    def _ask(self, wish: Any, *more: Any) -> None:
        try:
            config = self.config()
        except BadInputError as error:
            self.refused.emit(in_fields(str(error)), self._can_ask)
            return
        wish.emit(config, *more)
