"""Clusters of the latents: a column, a colour, and never those of another run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_tomodrgn.gui.latent_space.cluster_service import ClusterService
from napari_tomodrgn.session import Session


def _latents() -> pd.DataFrame:
    centres = np.repeat([-5.0, 0.0, 5.0], 10)
    values = centres + np.random.default_rng(0).normal(scale=0.1, size=30)
    table = pd.DataFrame({"mu_0": values, "mu_1": 0.0, "tomogram": "TS"})
    table.index = pd.Index([f"TS/{row}" for row in range(30)], name="particle_id")
    return table


def test_clusters_are_a_column_that_colours(qtbot: Any) -> None:
    session = Session(latents=_latents())
    service = ClusterService(session)
    service.find(3)
    qtbot.waitUntil(lambda: session.color == "cluster", timeout=30_000)
    column = session.color_column
    assert column is not None and column.categories == ("1", "2", "3")
    assert np.bincount(column.values).tolist() == [10, 10, 10]
    assert "3 clusters" in session.message.text


def test_without_a_run_it_says_what_to_do() -> None:
    session = Session()
    ClusterService(session).find(3)
    assert "Open a run first" in session.message.text
