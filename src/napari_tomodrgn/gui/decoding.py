"""From a particle's latent to the volume on show: newest request first, finished ones kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.workers import LatestWins
from napari_tomodrgn.session import Decoded, Session

if TYPE_CHECKING:
    from napari_tomodrgn.learn.run import Run

# Bytes of finished volumes that are kept.
_KEPT_BYTES = 256 * 2**20

Key = tuple[str, int, str]


class Decoding(QObject):
    """Decodes the focused particle of a session in a thread and puts the volume into the session.

    Weights are read from the checkpoint that the latents on show belong to, never from a model that
    is being trained.
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.queue = LatestWins(self, computes=True)
        self.queue.item.connect(self._show)
        self._finished: OrderedDict[Key, Decoded] = OrderedDict()
        # Read and written by the one decoding thread only.
        self._decoder: tuple[tuple[str, int], Any] | None = None

    def request(self, identity: str) -> None:
        """Show this particle as soon as possible."""
        session = self.session
        if session.run is None or session.latents is None or identity not in session.latents.index:
            return
        key = (str(session.run.path), session.epoch, identity)
        if key in self._finished:
            self.queue.cancel()
            self._finished.move_to_end(key)
            session.decoded = self._finished[key]
            return
        names = [name for name in session.latents.columns if str(name).startswith("mu_")]
        z = session.latents.loc[identity, names].to_numpy(np.float32)
        run = session.run
        self.queue.request(lambda: self._steps(run, key, z))

    def cancel(self) -> None:
        """Drop whatever is still to come."""
        self.queue.cancel()

    def _steps(self, run: Run, key: Key, z: NDArray[np.float32]) -> Iterator[Decoded | None]:
        decoder = self._decoder_for(run, key[1])
        yield None
        for volume in decoder.progressive(z):
            if volume is None:
                yield None
                continue
            complete = volume.box_size_px >= decoder.box_size_px
            yield Decoded(volume, key[2], key[1], complete)

    def _decoder_for(self, run: Run, epoch: int) -> Any:
        wanted = (str(run.path), epoch)
        if self._decoder is None or self._decoder[0] != wanted:
            self._decoder = (wanted, run.decoder(epoch))
        return self._decoder[1]

    def _show(self, decoded: Decoded) -> None:
        run = self.session.run
        if run is not None and decoded.complete and decoded.particle_id is not None:
            self._keep((str(run.path), decoded.epoch, decoded.particle_id), decoded)
        self.session.decoded = decoded

    def _keep(self, key: Key, decoded: Decoded) -> None:
        self._finished[key] = decoded
        held = sum(one.volume.data.nbytes for one in self._finished.values())
        while held > _KEPT_BYTES and len(self._finished) > 1:
            _, oldest = self._finished.popitem(last=False)
            held -= oldest.volume.data.nbytes
