"""A map of each class is an export of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.gui.widgets.saving import name_of_classes
from napari_tomodrgn.particle_columns import CLUSTER, cluster_column, latent_matrix

LONG = 60_000


def test_a_map_of_each_class_is_written_where_classes_colour(
    widget: Any, opened: Any, tiny_run: Path, tmp_path: Path, qtbot: Any
) -> None:
    session, page = opened(tiny_run), widget.export
    assert not page.classes.isEnabled()
    assert page.classes.text() == "Map of each cluster (MRC) …"
    session.add_columns(cluster_column(session.latents, 2))
    session.color = CLUSTER
    assert page.classes.isEnabled()
    assert page.classes.text() == "Map of each cluster (MRC) …"
    assert name_of_classes(session) == "maps_of_cluster"
    folder = tmp_path / "maps_of_cluster"
    page.class_maps_requested.emit(str(folder))
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    table = pd.read_csv(folder / "classes.csv")
    assert list(table["class"]) == ["cluster 1", "cluster 2"]
    assert table["particles"].sum() == len(session.latents)
    assert list(table["map_source"]) == ["decoded", "decoded"]
    assert list(table["map"]) == ["01_cluster_1.mrc", "02_cluster_2.mrc"]
    decoder = session.run.decoder(session.epoch)
    rows = [session.latents.index.get_loc(one) for one in table["decoded_at"]]
    for name, row in zip(table["map"], rows, strict=True):
        z = latent_matrix(session.latents)[row].astype(np.float32)
        assert np.array_equal(read_volume(folder / name).data, decoder.decode(z).data)
    assert "2 decoded maps and classes.csv" in widget.banner.text
    widget.open(folder / "classes.csv")  # whoever takes it for something to open is told
    qtbot.waitUntil(lambda: "“Map of each cluster” has written" in widget.banner.text, timeout=LONG)
    assert "positions" not in widget.banner.text and session.latents is not None
