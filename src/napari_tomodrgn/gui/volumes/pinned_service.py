"""Volumes that stay beside the one on show, decoded again when the epoch or the look changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.throttle import Throttle
from napari_tomodrgn.gui.charts.colormaps import color_at
from napari_tomodrgn.gui.volumes.decoding_service import (
    MILLISECONDS_BETWEEN_VOLUMES,
    DecoderCache,
    VolumeStyle,
    dressed,
)
from napari_tomodrgn.gui.volumes.layers import VolumeLayers
from napari_tomodrgn.gui.volumes.map_labels import label_of
from napari_tomodrgn.gui.volumes.surface_layers import box_angstrom
from napari_tomodrgn.gui.volumes.volume_view import caption
from napari_tomodrgn.palette import CATEGORIES
from napari_tomodrgn.particle_columns import latent_of, row_of
from napari_tomodrgn.session import Decoded, DecodedMap, PinLayout, Session
from napari_tomodrgn.work_status import TrainingStatus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.run.directory import Run

MOST = 9


class PinnedVolumes(Service):
    """Keeps the layers of the pinned particles in step with the session."""

    doing = "decoding a pinned volume"

    def __init__(
        self, session: Session, volumes: VolumeLayers, parent: QObject | None = None
    ) -> None:
        super().__init__(session, parent)
        self._volumes = volumes
        self.queue = self.latest_task(self._on_map, computes=True)
        self._decoders = DecoderCache()
        self._maps: dict[tuple[str, int, str], Decoded] = {}
        self._drawn: set[str] = set()  # identities that have been given a layer
        # Not while napari still takes layers out of its list: maps are moved, words are drawn.
        self._removed = self.delay(0, self._follow_removed)
        volumes.viewer.layers.events.removed.connect(self._on_removed)
        self.listen(self._lay_out, "layout")
        self.listen(self.refresh, "pinned", "sigma", "lowpass", "shell_filter")
        self.throttle = Throttle(MILLISECONDS_BETWEEN_VOLUMES, self)
        self.throttle.due.connect(self.refresh)
        self.listen(self._on_latents, "latents")
        self.listen(self._on_training, "training")
        self.listen(self._paint, "color", "color_limits", "selections", "surface_color", "layout")

    def toggle(self, identity: str) -> None:
        """Pin a particle, or let it go."""
        session = self.session
        if identity in session.pinned:
            session.pinned = tuple(name for name in session.pinned if name != identity)
        elif len(session.pinned) >= MOST:
            session.show_message(
                f"{MOST} volumes are pinned already: Shift-click one to let it go.",
                done=lambda: len(session.pinned) < MOST,
            )
        else:
            session.pinned = (*session.pinned, identity)

    def close(self) -> None:
        """Follow the viewer no more."""
        self._volumes.viewer.layers.events.removed.disconnect(self._on_removed)
        super().close()

    def _on_removed(self, _event: object = None) -> None:
        if self._drawn:
            self._removed.start()

    def _follow_removed(self) -> None:
        """Unpin whose layer was deleted from napari's list: what is not there is not pinned."""
        there, session = self._volumes.companions, self.session
        gone = {one for one in self._drawn if _layer_name(one) not in there}
        self._drawn -= gone
        if gone.intersection(session.pinned):
            self._volumes.remove_companions(*map(_layer_name, gone))  # the others close up
            session.pinned = tuple(one for one in session.pinned if one not in gone)

    def refresh(self, *_: object) -> None:
        """Bring the layers in step."""
        session, run, table = self.session, self.session.run_of_maps, self.session.latents
        wanted = {_layer_name(identity) for identity in session.pinned}
        pinned = [name for name in self._volumes.companions if name.startswith(_PREFIX)]
        self._volumes.remove_companions(*(name for name in pinned if name not in wanted))
        if run is None or table is None or not session.pinned:
            self.queue.cancel()
            return
        keys = [(run.maps_key, session.epoch, name) for name in session.pinned]
        # Maps of another run or epoch go: the same particle has another latent there.
        self._maps = {key: one for key, one in self._maps.items() if key in keys}
        known = dict(self._maps)
        latents = {one: latent_of(table, one) for one in session.pinned if row_of(table, one) >= 0}
        look, epoch = replace(VolumeStyle.of(session), difference=False), session.epoch
        self.queue.request(lambda: self._steps((run, epoch), latents, known, look))

    def _on_latents(self, *_: object) -> None:
        if self.session.pinned:
            self.throttle.request()

    def _on_training(self, status: TrainingStatus, _old: object = None) -> None:
        if status.phase == "idle":
            self.throttle.flush()
            if any(not one.mesh.fine for one in self._maps.values()):
                self.refresh()

    def _steps(
        self,
        at: tuple[Run, int],
        latents: dict[str, NDArray[np.float32]],
        known: dict[tuple[str, int, str], Decoded],
        look: VolumeStyle,
    ) -> Iterator[tuple[tuple[str, int, str], Decoded] | None]:
        run, epoch = at
        for identity, z in latents.items():
            key = (run.maps_key, epoch, identity)
            found: DecodedMap | None = known.get(key)
            if found is None:
                volume: Volume | None = None
                for step in self._decoders.of(run, epoch).decode_steps(z):
                    volume = step
                    yield None
                assert volume is not None  # it comes last
                filtered = run.shell_filter(epoch) is not None
                found = DecodedMap(volume, identity, epoch, complete=True, shell_filtered=filtered)
            yield key, dressed(found, look)

    def _on_map(self, item: tuple[tuple[str, int, str], Decoded]) -> None:
        key, decoded = item
        if key[2] in self.session.pinned:
            self._maps[key] = decoded
            self._show(key[2], decoded)

    def _show(self, identity: str, decoded: Decoded) -> None:
        mesh, box, run = decoded.mesh, box_angstrom(decoded.volume), self.session.run
        # The one on show is drawn as well, and may be the same: its pin says that it is one.
        who = f"{identity} (pinned)"
        words = label_of(caption(decoded, who, None if run is None else run.config))
        color = self._color_of(identity)
        self._volumes.show_companion(_layer_name(identity), mesh, box, color, words)
        self._drawn.add(identity)

    def _paint(self, *_: object) -> None:
        for key, decoded in self._maps.items():
            if _layer_name(key[2]) in self._volumes.companions:
                self._show(key[2], decoded)

    def _lay_out(self, layout: PinLayout) -> None:
        self._volumes.set_layout(layout)

    def unpin_all(self) -> None:
        """Let all pinned particles go."""
        self.session.pinned = ()

    def _color_of(self, identity: str) -> str | None:
        session = self.session
        if session.surface_color:
            return session.surface_color
        table, values = session.latents, session.color_column
        if values is None and session.layout == "overlay" and identity in session.pinned:
            return CATEGORIES[session.pinned.index(identity)]  # told apart where they overlap
        row = row_of(table, identity) if table is not None else -1
        return None if values is None or row < 0 else color_at(values, row)


_PREFIX = "pinned "


def _layer_name(identity: str) -> str:
    return f"{_PREFIX}{identity}"
