"""Clusters of the latents: a column, a colour, and never those of another run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from napari_tomodrgn.gui.latent_space.cluster_service import AS_LATENTS_ASK, ClusterService
from napari_tomodrgn.particle_columns import cluster_column
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import TrainingStatus


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


def test_as_many_clusters_as_the_latents_ask_for(qtbot: Any) -> None:
    session = Session(latents=_latents())
    service = ClusterService(session)
    said: list[str] = []
    session.events.message.connect(lambda message, _old: said.append(message.text))
    service.find(AS_LATENTS_ASK)
    qtbot.waitUntil(lambda: session.color == "cluster", timeout=30_000)
    assert "Asking how many clusters there are: 2 of 3 numbers tried …" in said
    assert session.added_columns["cluster"].nunique() == 3
    assert "The data show 3 clusters" in session.message.text
    assert [one.arguments for one in session.actions] == [(3,)], "a script makes the same"
    one_heap = _latents()
    one_heap["mu_0"] = np.random.default_rng(1).normal(size=30)
    other = Session(latents=one_heap)
    service = ClusterService(other)
    service.find(AS_LATENTS_ASK)
    qtbot.waitUntil(lambda: "No clusters were made" in other.message.text, timeout=30_000)
    assert "one cluster" in other.message.text and other.added_columns is None


def _sixteen_states() -> pd.DataFrame:
    """Shares of 25 to 0.5 %, each particle's latent as unsure as it says."""
    rng = np.random.default_rng(0)
    sizes = [375, 277, 207, 155, 118, 89, 68, 52, 40, 31, 24, 19, 16, 12, 10, 7]
    noise = np.array([0.003, 0.015, 0.04, 0.07, 0.08, 0.14])
    truth = np.repeat(rng.normal(size=(16, 6)), sizes, axis=0)
    means = (truth + np.sqrt(noise) * rng.normal(size=truth.shape)) / (1 + noise)
    widths = np.log(np.broadcast_to(noise / (1 + noise), truth.shape))
    columns = {f"mu_{axis}": means[:, axis] for axis in range(6)}
    columns |= {f"logvar_{axis}": widths[:, axis] for axis in range(6)}
    ids = pd.Index([f"TS/{row}" for row in range(len(truth))], name="particle_id")
    return pd.DataFrame({"tomogram": "TS", **columns}, index=ids)


def test_many_unequal_states_are_found_by_how_sure_latents_are(qtbot: Any) -> None:
    latents = _sixteen_states()
    session = Session(latents=latents)
    service = ClusterService(session)
    service.find(AS_LATENTS_ASK)
    qtbot.waitUntil(lambda: session.color == "cluster", timeout=60_000)
    words = "16 states, found by how sure each particle's latent is."
    assert f"The data show {words}" in session.message.text
    assert [one.line() for one in session.actions] == ["work.find_clusters(16, method='states')"]
    again = cluster_column(latents, 16, "states")
    assert session.added_columns["cluster"].tolist() == again["cluster"].tolist()


def test_clusters_of_the_run_before_do_not_arrive_in_the_next(qtbot: Any) -> None:
    """It has as many particles: the answer is known by the run it was asked of."""
    session: Any = Session(latents=_latents(), run=SimpleNamespace(path=Path("one")))
    service = ClusterService(session)
    service.find(3)
    session.start_run(TrainingStatus("training"))
    session.update(latents=_latents(), run=SimpleNamespace(path=Path("two")))
    qtbot.waitUntil(lambda: not service.is_busy, timeout=30_000)
    assert session.added_columns is None and session.color == ""


def test_without_a_run_it_says_what_to_do() -> None:
    session = Session()
    ClusterService(session).find(3)
    assert "Open a run first" in session.message.text
