"""Layers that leave a viewer, without a pause.

After each layer that goes napari collects the garbage of the whole process, against a crash of
graphics drivers on Windows (`VispyCanvas._clean_and_update_scenegraph`). With all that a window of
napari, torch and pandas holds, that takes 0.25 to 0.3 s a layer, in which nothing moves: half the
time in which a run of a million particles opens, and longer than a click that shows its volume.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

# So much of what layers held may wait for Python's own collection, which can be long in coming.
_MOST_WAITING_BYTES = 200_000_000


class _Waiting:
    """What layers held that went, and that was not collected since."""

    data_bytes = 0


def remove_layers(viewer: Viewer, layers: Iterable[Layer | None]) -> None:
    """Remove those of these layers that are in a viewer, all in one go.

    Layers that the user removed before, and None, are passed over. Where much memory waits for it,
    as after a tomogram, garbage is collected as napari does, once.
    """
    there = [layer for layer in layers if layer is not None and layer in viewer.layers]
    if not there:
        return
    _Waiting.data_bytes += sum(map(_data_bytes, there))
    late = sys.platform != "win32" and _Waiting.data_bytes <= _MOST_WAITING_BYTES
    if not late:
        _Waiting.data_bytes = 0
    with _collected_later(late), viewer.layers.batched_update():
        for layer in there:
            viewer.layers.remove(layer)


def _data_bytes(layer: Layer) -> int:
    parts = layer.data if isinstance(layer.data, Sequence) else [layer.data]
    return sum(int(part.nbytes) for part in parts)


@contextmanager
def _collected_later(late: bool) -> Iterator[None]:
    """Leave what there is out of collections meanwhile, so that it comes to a later one.

    Frozen objects are passed over by `gc.collect`; both calls only join lists. Whoever has frozen
    objects for purposes of his own keeps them frozen, and waits.
    """
    if not late or gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
