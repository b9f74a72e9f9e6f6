"""What the user knows better than the star file: where the images are, pixel size, hand, dose."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.widgets.config_form import ConfigForm
from napari_tomodrgn.gui.widgets.folder_edit import FolderEdit
from napari_tomodrgn.gui.widgets.qt import Signal, labelled, make_button, make_label
from napari_tomodrgn.session import Session

_FIELDS = (
    "dialect",
    "overrides.pixel_size_angstrom",
    "overrides.hand",
    "overrides.dose_per_tilt_e_per_angstrom2",
    "overrides.columns",
    "data.ctf_premultiplied",
    "data.dose_weighted",
    "data.contrast",
)
_IMAGES = ReadingConfig.model_fields["images"]


class ImportForm(QWidget):
    """Fields of `ReadingConfig`, empty where the star file is right; a button reads it again."""

    read_requested = Signal(object)  # ReadingConfig

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.whose = make_label()  # of two files, where one is open and one was not opened
        self.whose.hide()
        self.images = FolderEdit(_IMAGES.description or "", "automatic", "Folder of the images")
        self.form = ConfigForm(ReadingConfig(), _FIELDS)
        self.button = make_button("Read again", "Reads and checks with what stands here", self.read)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.whose)
        layout.addLayout(labelled(QLabel(_IMAGES.title or ""), self.images))
        layout.addWidget(self.form)
        layout.addWidget(self.button)
        for name in ("import_options", "run", "asked"):
            session.events[name].connect(self.refresh)

    def refresh(self, *_: object) -> None:
        """Show how particles were read: not to be changed of a run, but of what was not opened."""
        asked = self._session.asked
        self.whose.setVisible(asked is not None)
        self.whose.setText(f"Of {asked.path.name}:" if asked is not None else "")
        reading = self._session.import_options if asked is None else asked.options
        self.images.set_folder(reading.images or "")
        self.form.set_config(reading)
        self.form.setEnabled(self._session.run is None or asked is not None)

    def config(self) -> ReadingConfig:
        """What stands in the form.

        Raises
        ------
        BadInputError
            If a value is out of bounds.
        """
        config: ReadingConfig = self.form.config()
        return config.model_copy(update={"images": self.images.folder or None})

    def read(self) -> None:
        """Ask to have the file read as the form says."""
        try:
            self.read_requested.emit(self.config())
        except BadInputError as error:
            self._session.show_message(str(error), "error")
