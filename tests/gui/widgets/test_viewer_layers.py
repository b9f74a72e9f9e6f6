"""Layers go without the pause of a collection, unless much memory waits for it."""

import gc
import sys

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_tomodrgn.gui.widgets import viewer_layers
from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers


@pytest.fixture
def collected(monkeypatch):
    """Objects looked at by each collection that the viewer asks for, as napari's canvas does."""
    looked_at = []
    monkeypatch.setattr(viewer_layers._Waiting, "data_bytes", 0)
    viewer = ViewerModel()

    def collect(*_):
        looked_at.append(len(gc.get_objects()))

    viewer.layers.events.end_batch.connect(collect)
    frozen = gc.get_freeze_count()
    gc.unfreeze()  # the tests of gui freeze what they share
    yield viewer, looked_at
    if frozen:
        gc.freeze()


def test_several_layers_go_in_one_collection_that_passes_over_what_there_is(collected):
    viewer, looked_at = collected
    layers = [viewer.add_points(np.zeros((3, 3)), name=str(number)) for number in range(4)]
    other = viewer.add_points(np.zeros((3, 3)))
    there = len(gc.get_objects())
    remove_layers(viewer, [*layers, None])
    assert list(viewer.layers) == [other]
    assert len(looked_at) == 1
    if sys.platform != "win32":
        assert looked_at[0] < 0.1 * there
    assert gc.get_freeze_count() == 0


def test_nothing_is_collected_for_layers_that_are_gone(collected):
    viewer, looked_at = collected
    layer = viewer.add_points(np.zeros((3, 3)))
    viewer.layers.remove(layer)
    remove_layers(viewer, [layer, None])
    assert looked_at == []


def test_a_large_image_is_collected_at_once(collected, monkeypatch):
    viewer, looked_at = collected
    monkeypatch.setattr(viewer_layers, "_MOST_WAITING_BYTES", 1_000_000)
    levels = [np.zeros((80, 80, 80), np.float32), np.zeros((40, 40, 40), np.float32)]
    layer = viewer.add_image(levels, multiscale=True)
    surface = viewer.add_surface((np.eye(3), np.array([[0, 1, 2]]), np.ones(3)))
    there = len(gc.get_objects())
    remove_layers(viewer, [surface])
    remove_layers(viewer, [layer])
    assert looked_at[-1] > 0.5 * there
    assert viewer_layers._Waiting.data_bytes == 0


def test_what_was_frozen_stays_frozen(collected):
    viewer, _ = collected
    layer = viewer.add_points(np.zeros((3, 3)))
    gc.freeze()
    try:
        remove_layers(viewer, [layer])
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
