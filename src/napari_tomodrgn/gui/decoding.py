"""From a particle's latent to the volume on show: newest request first, finished ones kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.surfaces import contour
from napari_tomodrgn.gui.workers import LatestWins
from napari_tomodrgn.session import Decoded, Session, latent_matrix

if TYPE_CHECKING:
    import pandas as pd

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
        """Show this particle, contoured at the session's level, as soon as possible."""
        session = self.session
        if session.run is None or session.latents is None or identity not in session.latents.index:
            return
        key, sigma, run = (
            (str(session.run.path), session.epoch, identity),
            session.sigma,
            session.run,
        )
        finished = self._finished.get(key)
        if finished is not None and finished.mesh.sigma == sigma:
            self.queue.cancel()
            self._finished.move_to_end(key)
            session.decoded = finished
        elif finished is not None:
            self.queue.request(lambda: iter([_contoured(finished, sigma)]))
        else:
            z = latent_of(session.latents, identity)
            self.queue.request(lambda: self._steps(run, key, z, sigma))

    def cancel(self) -> None:
        """Drop whatever is still to come."""
        self.queue.cancel()

    def _steps(
        self, run: Run, key: Key, z: NDArray[np.float32], sigma: float
    ) -> Iterator[Decoded | None]:
        decoder = self._decoder_for(run, key[1])
        yield None
        for volume in decoder.progressive(z):
            if volume is None:
                yield None
                continue
            complete = volume.box_size_px >= decoder.box_size_px
            yield Decoded(volume, contour(volume, sigma), key[2], key[1], complete)

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
        self._finished.move_to_end(key)
        held = sum(_bytes(one) for one in self._finished.values())
        while held > _KEPT_BYTES and len(self._finished) > 1:
            _, oldest = self._finished.popitem(last=False)
            held -= _bytes(oldest)


def latent_of(latents: pd.DataFrame, identity: str) -> NDArray[np.float32]:
    """The mean of a particle's posterior."""
    row = latents.index.get_loc(identity)
    return latent_matrix(latents)[row].astype(np.float32)


def _contoured(decoded: Decoded, sigma: float) -> Decoded:
    return replace(decoded, mesh=contour(decoded.volume, sigma))


def _bytes(decoded: Decoded) -> int:
    mesh = decoded.mesh
    return decoded.volume.data.nbytes + mesh.vertices.nbytes + mesh.faces.nbytes
