"""Finds clusters of the latents in a thread, as a column that colours the particles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.particle_columns import CLUSTER, cluster_column
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.actions import Action

if TYPE_CHECKING:
    import pandas as pd


class ClusterService(Service):
    """Puts k-means clusters of the latents on show into ``session.added_columns``."""

    doing = "finding clusters"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_clusters)

    def find(self, count: int) -> None:
        """Find so many clusters and colour the particles by them."""
        latents = self.session.latents
        if latents is None:
            self.session.show_message("Open a run first: clusters are found in its latents.")
            return
        self.session.record(Action.of("find_clusters", count))
        self.queue.request(lambda: iter([cluster_column(latents, count)]))

    def _on_clusters(self, column: pd.DataFrame) -> None:
        session = self.session
        if session.latents is None or len(session.latents) != len(column):
            return  # another run was opened meanwhile
        session.add_columns(column)
        session.color = CLUSTER
        found = column[CLUSTER].nunique()
        session.show_message(
            f"{found} clusters (k-means). A click on a name in the legend selects its particles."
        )
