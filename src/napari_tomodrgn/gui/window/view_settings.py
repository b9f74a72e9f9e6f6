"""What the window goes on with: what was opened before, and the view that each run had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.analysis.latents.components import STRIP
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.widgets.recent_paths import add_recent
from napari_tomodrgn.gui.widgets.stored_settings import load_setting, save_setting
from napari_tomodrgn.particle_columns import CLUSTER, SELECTIONS, resolve_axes
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari_tomodrgn.learn.run.directory import Run


class ViewSettings(Service):
    """Keeps them, and gives a run its axes and its colour back when it is opened again."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._shown: Path | None = None  # run whose view is on show
        self._held: tuple[str, str] | None = None  # axes that nobody chose
        self.listen(self._on_source, "source")
        self.listen(self._on_latents, "latents")
        self.listen(self._on_training, "training")
        self.listen(self._save_view, "axes", "color")

    def _on_source(self, *_: object) -> None:
        source = self.session.source
        if source is not None:
            add_recent(source)

    def _on_latents(self, *_: object) -> None:
        session, run = self.session, self.session.run
        if session.latents is None or run is None:
            self._shown = None
        elif self._shown != run.path:
            self._give_back(run)
            self._shown = run.path
            if run.path != session.source:  # trained here: nothing was opened
                add_recent(run.path)
        if session.latents is not None and session.training.phase != "idle":
            self._hold_axes()

    def _give_back(self, run: Run) -> None:
        """The view that the run had, else its copy elsewhere; else its clusters, if it has any."""
        session = self.session
        for place in (run.path, _wherever(run)):
            axes = load_setting("axes", place).split("\t")
            color = load_setting("colour", place)
            if len(axes) == 2:
                session.axes = (axes[0], axes[1])
                if color and (place == run.path or _is_known(session, color)):
                    session.color = color
                return
        if _is_known(session, CLUSTER):
            session.color = CLUSTER

    def _hold_axes(self) -> None:
        """While it trains, axes that nobody chose stay those of the first latents.

        A second component comes and goes from epoch to epoch. Only where it grows wide a strip,
        which would hide it, gives way.
        """
        session, table = self.session, self.session.table
        if table is not None and (session.axes == ("", "") or STRIP in session.axes):
            session.axes = self._held = resolve_axes(session.axes, table.axis_names)

    def _on_training(self, *_: object) -> None:
        """Once it is over, axes that nobody chose are those of the latents that stay."""
        session = self.session
        if session.training.phase == "idle" and self._held is not None:
            if session.axes == self._held:
                session.axes = ("", "")
            self._held = None

    def _save_view(self, *_: object) -> None:
        session = self.session
        if self._shown is not None and session.run is not None:
            for place in (session.run.path, _wherever(session.run)):
                save_setting("axes", place, "\t".join(session.axes))
                save_setting("colour", place, session.color)


def _wherever(run: Run) -> Path:
    """What stands for a run and all copies of it, as its folder does for that one."""
    return Path("/") / f"run {run.info.created} {run.info.source_sha256[:12]}"


def _is_known(session: Session, color: str) -> bool:
    """Whether there is such a column now: a copy may have been made before it was worked out."""
    table = session.table
    return table is not None and color in (SELECTIONS, *table.color_names)
