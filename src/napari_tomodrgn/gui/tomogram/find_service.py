"""Looks for the files of the tomograms in a thread: in a folder, and those that were chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.error_message import error_message
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.session import Session


class TomogramFinder(Service):
    """Writes ``session.tomogram_files``; says what it found beside the folder, not to all.

    It looks whenever particles are shown anew, at the end of a training too: a message of its own
    would stand in the place of news that somebody waits for.
    """

    doing = "looking for the tomograms"
    told = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_files)

    def find(self, folder: Path | None, pattern: str, chosen: Mapping[str, Path]) -> None:
        """Look for each tomogram in a folder, unless its file was chosen and is there."""
        from napari_tomodrgn.data.tomograms import find_files, named_by_source

        particles = self.session.particles
        if particles is None:
            return
        names = list(dict.fromkeys(particles.particles["tomogram"].astype(str)))

        def work() -> Iterator[tuple[dict[str, Path], str]]:
            there = {name: path for name, path in chosen.items() if path.exists()}
            found = named_by_source(particles) | find_files(names, folder, pattern) | there
            ours = {name: path for name, path in found.items() if name in names}
            lost = (name for name in chosen if name in names and name not in there)
            gone = [chosen[name].name for name in lost]
            yield ours, _words(len(ours), len(names), gone)

        self.queue.request(work)

    def _on_files(self, answer: tuple[dict[str, Path], str]) -> None:
        files, words = answer
        self.session.tomogram_files = files
        self.told.emit(words)

    def on_failed(self, error: Exception) -> None:
        """Say beside the folder why nothing was found in it."""
        self.told.emit(error_message(error, self.doing))


def _words(found: int, of: int, gone: list[str]) -> str:
    """How many tomograms have a file, and which file that was chosen is no longer there."""
    lost = f" No longer there: {', '.join(gone)}." if gone else ""
    if not found:
        return f"No file of a tomogram here: choose their folder, or change the pattern.{lost}"
    return f"{found} of {of} tomograms have a file.{lost}"
