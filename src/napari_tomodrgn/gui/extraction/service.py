"""Extraction in threads: what is there, where particles are predicted, and cutting itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.workers import Stop
from napari_tomodrgn.gui.extraction.layers import PredictedLayers
from napari_tomodrgn.gui.extraction.words import in_fields
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.gui.widgets.tomogram_places import load_places, save_places
from napari_tomodrgn.session import Message, Session

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_tomodrgn.extract.settings import ExtractConfig
    from napari_tomodrgn.extract.survey import Predicted, SurveyRow


class ExtractionService(Service):
    """Looks at folders, shows where particles would be cut, and cuts; one extraction at a time."""

    doing = "extracting tilt images"

    surveyed = Signal(object)  # list of SurveyRow
    progressed = Signal(str, float)  # what is done, and how much of it, 0 to 1
    extracted = Signal(str)  # the optimisation set
    ended = Signal()
    filled = Signal(object)  # folders that were found, by the names of their fields

    def __init__(self, session: Session, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.layers = PredictedLayers(viewer)
        self.queue = self.latest_task(self._on_survey)
        self.prediction = self.latest_task(self._on_predicted)
        self.job = self.long_task("cutting tilt images (goes on where it stopped)", self._on_event)
        self.job.ended.connect(self._on_ended)
        self._stopped = ""  # where the user stopped it
        self._tomograms: Path | None = None  # their folder, of what is being cut
        self._out = ""  # where to
        self._told: Message | None = None  # what was wrong when it was looked last
        self.listen(self._on_focused, "focused")
        self.listen(self._make_way, "free_point", "canvas_mode", "comparison", "particles")

    def look(self, config: ExtractConfig) -> None:
        """Find what is there of each tomogram, and folders of what was not named."""
        if self._told is not None and self.session.message is self._told:
            self.session.message = None  # it was of another list, or of other folders
        self.queue.request(lambda: _looked(config))

    def predict(self, config: ExtractConfig) -> None:
        """Show where particles of the first tomogram are predicted in its least tilted image."""

        def predicted() -> Iterator[object]:
            from napari_tomodrgn.extract.survey import predict

            yield predict(config)

        self.prediction.request(predicted)

    def start(self, config: ExtractConfig, out: str) -> None:
        """Decide what files do not settle, cut, and tell where the result is."""
        if not self.job.is_busy:
            self.session.message = None
            self._tomograms, self._out, self._stopped = config.tomograms, out, ""
            self.job.start(lambda stop: _steps(config, Path(out).expanduser(), stop))

    def stop(self) -> None:
        """Stop; the same extraction goes on later."""
        self._stopped = self._out
        self.job.stop()

    def _on_ended(self) -> None:
        if self._stopped:
            self.session.show_message(
                f"Stopped. Images that were cut stay in {self._stopped}; Extract and open goes on "
                "with them."
            )
        self._stopped = ""
        self.ended.emit()

    def on_failed(self, error: Exception) -> None:
        """Tell what went wrong, in the words of the form."""
        if isinstance(error, BadInputError):
            self.session.show_message(in_fields(str(error)), self.failure_severity)
            self._told = self.session.message
        else:
            super().on_failed(error)

    def _on_survey(self, seen: tuple[dict[str, Path], list[SurveyRow]]) -> None:
        folders, rows = seen
        if folders:
            self.filled.emit(folders)
        self.surveyed.emit(rows)

    def _on_predicted(self, predicted: Predicted) -> None:
        self.session.canvas_mode = "particle"  # a tomogram or a comparison gives the canvas up
        self.layers.show(predicted)

    def _make_way(self, now: object, before: object = None) -> None:
        """Whoever asks for a map, a tomogram or a comparison is shown that."""
        if now is not None:
            self.layers.leave()

    def _on_focused(self, _now: object, before: str | None = None) -> None:
        if before is not None:  # else it is the first particle, which nobody clicked
            self.layers.leave()

    def _on_event(self, event: Any) -> None:
        from napari_tomodrgn.extract.events import (
            Extracted,
            ExtractNotice,
            ExtractProgress,
            TomogramDone,
        )

        if isinstance(event, ExtractNotice):
            self.progressed.emit(event.message, 0.0)
        elif isinstance(event, ExtractProgress):
            words = f"{event.done:,} of {event.total:,} images"
            self.progressed.emit(words, event.done / max(1, event.total))
        elif isinstance(event, TomogramDone):
            self.progressed.emit(f"{event.name}: {event.images:,} images", 1.0)
        elif isinstance(event, Extracted):
            self._stopped = ""  # it was all done already
            self.layers.leave()  # the images themselves come instead
            self._keep_tomograms(event.optimisation_set)
            self.extracted.emit(str(event.optimisation_set))

    def _keep_tomograms(self, star: Path) -> None:
        """Where the tomograms are was said here: it need not be said again beside the scatter."""
        if self._tomograms is not None:
            places = load_places(star.resolve())
            folder = str(self._tomograms.expanduser().resolve())
            save_places(star.resolve(), replace(places, folder=places.folder or folder))


def _looked(config: ExtractConfig) -> Iterator[tuple[dict[str, Path], list[SurveyRow]]]:
    from napari_tomodrgn.extract.lists import read_list
    from napari_tomodrgn.extract.survey import folders_beside, survey

    particles = read_list(config.particles)
    folders = folders_beside(config, particles)
    yield folders, survey(config.model_copy(update=folders), particles)


def _steps(config: ExtractConfig, out: Path, stop: Stop) -> Iterator[object]:
    from napari_tomodrgn.extract.run import extract

    for event in extract(config, out):
        yield event
        if stop():
            return
