"""Keeps what was done as a script in the run, and hands it to the clipboard."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.actions import Action
from napari_tomodrgn.session.script import script_of

# Actions come in bursts, such as steps with an arrow key.
_WAIT_MS = 1000


class ScriptStore(Service):
    """Writes ``session.actions`` into ``analysis/scripts`` of the run, a file for each opening."""

    doing = "keeping a script in the run"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.files = self.task_queue(lambda _done: None)
        self._waiting = self.delay(_WAIT_MS, self._save)
        self._began = _now()
        self.listen(self._on_actions, "actions")

    def copy(self) -> None:
        """Put the script into the clipboard."""
        clipboard = QApplication.clipboard()
        if not self.session.actions or clipboard is None:
            self.session.show_message(
                "Nothing was done yet that a script could repeat.",
                done=lambda: bool(self.session.actions),
            )
            return
        clipboard.setText(script_of(self.session))
        count = len(self.session.actions)
        self.session.show_message(
            f"{count:,} {'step' if count == 1 else 'steps'} copied as Python: paste them into a "
            "file, and run it with python."
        )

    def _on_actions(self, now: tuple[Action, ...], _old: object = None) -> None:
        if not now:
            self._began = _now()
        elif self.session.run is not None:
            self._waiting.start()

    def _save(self) -> None:
        run = self.session.run
        if run is None or not self.session.actions:
            return
        path = run.path / "analysis" / "scripts" / f"{self._began}.py"
        # Many ids take a while to be written out, so in the thread.
        self.files.add(lambda: _written(path, script_of(self.session, path.name)))


def _written(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except BadInputError as error:
        # A run that can only be read is no reason to bother whoever looks at it; a full disk is.
        if error.code not in ("read-only", "no-permission"):
            raise


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H-%M-%S")
