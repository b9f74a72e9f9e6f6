"""Folder and pattern of the tomograms' files, and beside them what became of these."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from napari_tomodrgn.data.tomograms import DEFAULT_PATTERN, refuse_pattern
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.widgets.letter_size import LetterSize
from napari_tomodrgn.gui.widgets.qt import Signal, make_label, make_tool_button
from napari_tomodrgn.gui.widgets.tomogram_places import (
    TomogramPlaces,
    data_set_of,
    load_places,
    save_places,
    star_files_of,
)
from napari_tomodrgn.session import Session

_PATTERN_ROOM = "{name}*.mrc ___"
_PLACEHOLDER = "folder of the tomograms"
_FOLDER_TIP = "Folder with the reconstructed tomograms (MRC, OME-Zarr)"
_PATTERN_TIP = (
    "File name of a tomogram: {name} stands for its name in the star file, * for anything"
)
_LINES = 2  # of words that have room from the start
_FILES = "Tomograms (*.mrc *.rec *.map);;All files (*)"


class FilesRow(QWidget):
    """Asks for files to be found; keeps what was said of a data set once it is not refused."""

    find_requested = Signal(object, str, object)  # folder or None, pattern, files chosen by name

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._places, self._refusal = TomogramPlaces(), ""
        self.folder, self.pattern = QLineEdit(), QLineEdit()
        self.words = make_label()
        LetterSize(self.words, self._keep_room)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(self._make_row())
        layout.addWidget(self.words)
        for box in (self.folder, self.pattern):
            box.editingFinished.connect(self._edited)
        for name in ("particles", "run"):
            getattr(session.events, name).connect(self._recall)
        self._recall()

    def tell(self, words: str) -> None:
        """Say what was found, unless what was asked for cannot be looked for."""
        self.words.setText(self._refusal or words)

    def choose_file(self, tomogram: str) -> None:
        """Ask for the file of one tomogram, where its name follows no pattern."""
        title = f"Tomogram {tomogram}"
        path, _ = QFileDialog.getOpenFileName(self, title, self.folder.text(), _FILES)
        if path:
            self._choose({**self._places.chosen, tomogram: Path(path)})

    def forget_file(self, tomogram: str, path: Path) -> None:
        """What was chosen turned out to be no tomogram."""
        if self._places.chosen.get(tomogram) == path:
            self._choose({k: v for k, v in self._places.chosen.items() if k != tomogram})

    def _make_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.folder.setPlaceholderText(_PLACEHOLDER)
        self.folder.setToolTip(_FOLDER_TIP)
        self.pattern.setPlaceholderText(DEFAULT_PATTERN)
        self.pattern.setToolTip(_PATTERN_TIP)
        letters = self.pattern.fontMetrics
        LetterSize(
            self.pattern,
            lambda: self.pattern.setFixedWidth(letters().horizontalAdvance(_PATTERN_ROOM)),
        )
        row.addWidget(self.folder, 1)
        row.addWidget(make_tool_button("…", "Choose the folder", self._choose_folder))
        row.addWidget(self.pattern)
        return row

    def _keep_room(self) -> None:
        self.words.setMinimumHeight(_LINES * self.words.fontMetrics().lineSpacing())

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, "Folder of the tomograms", self.folder.text()
        )
        if chosen:
            self.folder.setText(chosen)
            self._edited()

    def _choose(self, chosen: dict[str, Path]) -> None:
        self._places = replace(self._places, chosen=chosen)
        self._keep()
        self._find()

    def _edited(self) -> None:
        """Look with what was typed and keep it; what cannot be used changes nothing."""
        if self._session.particles is None:
            return  # of no set, so there is nothing to keep it for
        folder, pattern = self.folder.text().strip(), self.pattern.text().strip()
        self._refusal = _refusal(folder, pattern)
        if self._refusal:
            self.tell("")
            return
        usual = "" if pattern == DEFAULT_PATTERN else pattern
        self._places = replace(self._places, folder=folder, pattern=usual)
        self._keep()
        self._find()

    def _keep(self) -> None:
        # Of a run's run also for itself: the run between may be deleted one day.
        for star in star_files_of(self._session):
            save_places(star, self._places)

    def _recall(self, *_: object) -> None:
        """What was said of this data set, else what is usual."""
        data_set = data_set_of(self._session)
        self._places = TomogramPlaces() if data_set is None else load_places(data_set)
        if _refusal("", self._places.pattern):  # kept by a version that did not look at it first
            self._places = replace(self._places, pattern="")
        self._keep()
        self.folder.setText(self._places.folder)
        self.pattern.setText(self._places.pattern or DEFAULT_PATTERN)
        self._refusal = _refusal(self._places.folder, "")
        self._find()

    def _find(self) -> None:
        """Look for the files where they were said to be, else where tomograms usually are."""
        if self._session.particles is None:
            self.words.setText("")
            return
        places, usual = self._places, self._beside_the_star()
        # Its end tells most, and is what would be cut off.
        self.folder.setPlaceholderText(f"…/{usual.name}" if usual else _PLACEHOLDER)
        self.folder.setToolTip(f"{_FOLDER_TIP}{f': {usual}' if usual else ''}")
        folder = Path(places.folder).expanduser() if _is_folder(places.folder) else None
        where = folder if places.folder else usual
        self.find_requested.emit(where, places.pattern or DEFAULT_PATTERN, dict(places.chosen))

    def _beside_the_star(self) -> Path | None:
        """Where tomograms often are, before a folder was chosen."""
        particles = self._session.particles
        # A run has a copy of the star file; the tomograms are beside the one it came from.
        bases = [particles.source.path.parent] if particles is not None else []
        bases += [star.parent for star in star_files_of(self._session)]
        for base in bases:
            for folder in (base / "tomograms", base.parent / "tomograms"):
                if folder.is_dir():
                    return folder
        return bases[0] if bases else None


def _refusal(folder: str, pattern: str) -> str:
    """Why files cannot be looked for like this; empty where they can."""
    if folder and not _is_folder(folder):
        return f"Not a folder: {folder}"
    try:
        refuse_pattern(pattern or DEFAULT_PATTERN)
    except BadInputError as error:
        return str(error)
    return ""


def _is_folder(words: str) -> bool:
    # Unlike the method of a path it takes whatever can be typed, and answers.
    return os.path.isdir(os.path.expanduser(words))
