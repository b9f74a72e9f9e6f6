"""Sets so large that the scatter is worked out in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.gui.charts.interactive_scatter import LassoSelection
from napari_tomodrgn.gui.latent_space import scatter_contents
from napari_tomodrgn.gui.latent_space.panel import LatentPanel
from napari_tomodrgn.particle_columns import latent_matrix, principal_components
from napari_tomodrgn.session import LatentPoint, Session

COUNT = 60_000


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Latents of more particles than are drawn at once."""
    mu = np.random.default_rng(0).normal(size=(COUNT, 3)) * (3, 2, 1)
    names = pd.Index([f"TS_{row % 7}/{row}" for row in range(COUNT)], name="particle_id")
    latents = pd.DataFrame({f"mu_{axis}": mu[:, axis] for axis in range(3)}, index=names)
    latents["tomogram"] = [name[:4] for name in names]
    return latents


@pytest.fixture
def panel(qtbot: Any) -> Iterator[LatentPanel]:
    """The panel alone, with a session of its own."""
    panel = LatentPanel(Session())
    panel.resize(700, 400)
    qtbot.addWidget(panel)
    panel.show()
    yield panel
    panel._session.disconnect_all()
    panel.stop()


def _all_is_there(panel: LatentPanel, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not (panel._redraw.isActive() or panel.drawing.is_busy), timeout=20_000)


def test_a_large_set_is_worked_out_in_a_thread_and_the_chart_says_so(
    panel: LatentPanel, table: pd.DataFrame, qtbot: Any
) -> None:
    panel._session.latents = table
    panel.refresh()
    assert panel.drawing.is_busy and len(panel.view.points) == 0
    assert panel.view._busy == "Preparing 60,000 points …"
    _all_is_there(panel, qtbot)
    scores, _ = principal_components(latent_matrix(table))
    np.testing.assert_allclose(panel.view.points, scores[:, :2], atol=1e-9)
    assert panel.view._busy == "" and panel.x_axis.currentText() == "PC 1"


def test_of_several_axes_in_a_row_only_the_last_are_drawn(
    panel: LatentPanel, table: pd.DataFrame, qtbot: Any
) -> None:
    session, drawn = panel._session, []
    panel.drawing.drawn.connect(lambda picture: drawn.append(picture.axes))
    session.latents = table
    for axes in (("PC 2", "PC 3"), ("z 0", "z 1"), ("z 2", "PC 1")):
        session.axes = axes
        panel.refresh()
    _all_is_there(panel, qtbot)
    assert drawn[-1] == ("z 2", "PC 1") and len(drawn) <= 2, "one may have been ready"
    np.testing.assert_array_equal(panel.view.points[:, 0], table["mu_2"])


def test_points_of_a_set_that_is_gone_do_not_come_back(
    panel: LatentPanel, table: pd.DataFrame, qtbot: Any
) -> None:
    panel._session.latents = table
    panel.refresh()
    panel._session.latents = None
    panel.refresh()
    _all_is_there(panel, qtbot)
    assert len(panel.view.points) == 0 and panel.view._busy == ""


def test_a_lasso_and_a_place_arrive_from_the_thread(
    panel: LatentPanel, table: pd.DataFrame, qtbot: Any
) -> None:
    session = panel._session
    session.latents = table
    _all_is_there(panel, qtbot)
    first, second = np.arange(COUNT) % 3 == 0, np.arange(COUNT) % 2 == 0
    panel.view.lassoed.emit(LassoSelection(first, "replace"))
    assert panel.drawing.is_busy and not session.selection
    # Another in a hurry is combined with what the first will give.
    panel.view.lassoed.emit(LassoSelection(second, "intersect"))
    _all_is_there(panel, qtbot)
    assert session.selection == frozenset(table.index[first & second])
    assert (panel.view._selected == (first & second)).all()
    z = tuple(latent_matrix(table)[17])
    session.free_point = LatentPoint(z, 10)
    _all_is_there(panel, qtbot)
    assert panel.view.place == pytest.approx(panel.view.points[17], abs=1e-9)


def test_small_sets_are_there_at_once(panel: LatentPanel, table: pd.DataFrame) -> None:
    panel._session.latents = table.iloc[: scatter_contents.AT_ONCE]
    panel.refresh()
    assert len(panel.view.points) == scatter_contents.AT_ONCE and not panel.drawing.is_busy
