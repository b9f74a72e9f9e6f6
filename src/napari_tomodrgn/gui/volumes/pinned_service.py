"""Volumes that stay beside the one on show, decoded again when the epoch or the look changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.charts.colormaps import CATEGORIES, color_at, color_column
from napari_tomodrgn.gui.particles.load import sentence
from napari_tomodrgn.gui.volumes.decoding_service import (
    DecoderCache,
    VolumeStyle,
    dressed,
    latent_of,
)
from napari_tomodrgn.gui.volumes.layers import VolumeLayers, box_angstrom
from napari_tomodrgn.session import Decoded, Session, row_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_tomodrgn.learn.run.directory import Run

MOST = 9


class PinnedVolumes(QObject):
    """Keeps the layers of the pinned particles in step with the session."""

    def __init__(
        self, session: Session, volumes: VolumeLayers, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.session, self._volumes = session, volumes
        self.queue = LatestTask(self, computes=True)
        self.queue.item.connect(self._take)
        self.queue.failed.connect(self._failed)
        self._decoders = DecoderCache()
        self._maps: dict[tuple[str, int, str], Decoded] = {}
        session.events.layout.connect(self._lay_out)
        for name in ("pinned", "sigma", "lowpass"):
            getattr(session.events, name).connect(self.refresh)
        for name in ("color", "clip", "selections", "surface_color", "layout"):
            getattr(session.events, name).connect(self._paint)

    def toggle(self, identity: str) -> None:
        """Pin a particle, or let it go."""
        session = self.session
        if identity in session.pinned:
            session.pinned = tuple(name for name in session.pinned if name != identity)
        elif len(session.pinned) >= MOST:
            session.say(f"{MOST} volumes are pinned already: Shift-click one to let it go.")
        else:
            session.pinned = (*session.pinned, identity)

    def refresh(self, *_: Any) -> None:
        """Bring the layers in step; called when latents change, too."""
        session, run, table = self.session, self.session.run, self.session.latents
        wanted = {_layer_name(identity) for identity in session.pinned}
        for name in list(self._volumes.beside):
            if name.startswith(_PREFIX) and name not in wanted:
                self._volumes.remove_beside(name)
        if run is None or table is None or not session.pinned:
            self.queue.cancel()
            return
        keys = [(str(run.path), session.epoch, name) for name in session.pinned]
        self._maps = {key: one for key, one in self._maps.items() if key in keys}
        known = dict(self._maps)
        latents = {one: latent_of(table, one) for one in session.pinned if row_of(table, one) >= 0}
        look, epoch = replace(VolumeStyle.of(session), difference=False), session.epoch
        self.queue.request(lambda: self._steps((run, epoch), latents, known, look))

    def _steps(
        self,
        at: tuple[Run, int],
        latents: dict[str, NDArray[np.float32]],
        known: dict[tuple[str, int, str], Decoded],
        look: VolumeStyle,
    ) -> Iterator[tuple[tuple[str, int, str], Decoded] | None]:
        run, epoch = at
        for identity, z in latents.items():
            key = (str(run.path), epoch, identity)
            found = known.get(key)
            if found is None:
                maps: list[Any] = []
                for step in self._decoders.of(run, epoch).decode_steps(z):
                    maps = [step]
                    yield None
                volume = maps[-1]
                nothing: Any = None  # `dressed` makes the mesh
                found = Decoded(volume, nothing, identity, epoch, complete=True)
            yield key, dressed(found, look)

    def _take(self, item: tuple[tuple[str, int, str], Decoded]) -> None:
        key, decoded = item
        if key[2] in self.session.pinned:
            self._maps[key] = decoded
            color = self._color_of(key[2])
            box = box_angstrom(decoded.volume)
            self._volumes.show_beside(_layer_name(key[2]), decoded.mesh, box, color)

    def _paint(self, *_: Any) -> None:
        for key, decoded in self._maps.items():
            if _layer_name(key[2]) in self._volumes.beside:
                color = self._color_of(key[2])
                box = box_angstrom(decoded.volume)
                self._volumes.show_beside(_layer_name(key[2]), decoded.mesh, box, color)

    def _lay_out(self, layout: str) -> None:
        self._volumes.set_layout(layout)

    def release_all(self) -> None:
        """Let all pinned particles go."""
        self.session.pinned = ()

    def _color_of(self, identity: str) -> str | None:
        session = self.session
        if session.surface_color:
            return session.surface_color
        table, values = session.latents, color_column(session)
        if values is None and session.layout == "overlay" and identity in session.pinned:
            return CATEGORIES[session.pinned.index(identity)]  # told apart where they overlap
        row = row_of(table, identity) if table is not None else -1
        return None if values is None or row < 0 else color_at(values, row)

    def _failed(self, error: Exception) -> None:
        self.session.say(sentence(error, "decoding a pinned volume"), "error")


_PREFIX = "pinned "


def _layer_name(identity: str) -> str:
    return f"{_PREFIX}{identity}"
