"""Finds clusters of the latents in a thread, as a column that colours the particles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.particle_columns import CLUSTER, latent_matrix
from napari_tomodrgn.session import Session

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
        self.queue.request(lambda: _clusters(latents, count))

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


def _clusters(latents: pd.DataFrame, count: int) -> Iterator[pd.DataFrame]:
    import pandas as pd

    from napari_tomodrgn.analysis.latents.clusters import clusters_of

    labels = clusters_of(latent_matrix(latents), count).labels
    # Names, so that it is a category; they sort as the numbers do.
    width = len(str(labels.max()))
    yield pd.DataFrame({CLUSTER: [f"{one:0{width}d}" for one in labels]}, index=latents.index)
