"""What the window goes on with: what was opened before, and the view that each run had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.widgets.stored_settings import recall, remember
from napari_tomodrgn.session import Session

_MOST_RECENT = 8


def recent() -> list[Path]:
    """What was opened before and is still there, the last first."""
    try:
        names = json.loads(recall("recent", None) or "[]")
        paths = [Path(name) for name in names if isinstance(name, str)]
    except (ValueError, TypeError):  # edited by hand
        return []
    return [path for path in paths if path.exists()]


def last_folder() -> Path:
    """Where dialogs begin: beside what was opened last, else where the program was started."""
    before = recent()
    return before[0].parent if before else Path.cwd()


class Settings(QObject):
    """Keeps them, and gives a run its axes and its colour back when it is opened again."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._shown: Path | None = None  # run whose view is on show
        events = session.events
        events.source.connect(self._keep_recent)
        events.latents.connect(self._give_back)
        events.axes.connect(self._keep_view)
        events.color.connect(self._keep_view)

    def _keep_recent(self, *_: Any) -> None:
        source = self.session.source
        if source is not None:
            path = source.absolute()
            paths = [path, *(one for one in recent() if one != path)]
            remember("recent", None, json.dumps([str(one) for one in paths[:_MOST_RECENT]]))

    def _give_back(self, *_: Any) -> None:
        session, run = self.session, self.session.run
        if session.latents is None or run is None:
            self._shown = None
        elif self._shown != run.path:
            axes = recall("axes", run.path).split("\t")
            color = recall("colour", run.path)
            if len(axes) == 2:
                session.axes = (axes[0], axes[1])
            if color:
                session.color = color
            self._shown = run.path

    def _keep_view(self, *_: Any) -> None:
        session = self.session
        if self._shown is not None and session.run is not None:
            remember("axes", session.run.path, "\t".join(session.axes))
            remember("colour", session.run.path, session.color)
