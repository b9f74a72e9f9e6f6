"""From a particle's latent to the volume on show: newest request first, finished ones kept."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.error_message import error_message
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.throttle import Throttle
from napari_tomodrgn.gui.volumes.isosurfaces import difference, make_isosurface
from napari_tomodrgn.particle_columns import latent_matrix, latent_of, row_of
from napari_tomodrgn.session import Decoded, DecodedMap, LatentPoint, Session
from napari_tomodrgn.session.shown_maps import lowpassed
from napari_tomodrgn.work_status import TrainingStatus

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
    from napari_tomodrgn.learn.run.directory import Run

# Bytes of finished volumes that are kept.
_KEPT_BYTES = 256 * 2**20
# A whole map that is there within this time is shown at once: a preview would only be a second
# picture to draw, which takes the window longer than decoding it takes the thread.
_SOON_S = 0.3

# Decoding takes a core from the training, and a redraw the window: not at each epoch of a second.
MILLISECONDS_BETWEEN_VOLUMES = 3000
_REMEDY = (
    "Only volumes need this file: points and selections can still be used. Restore it from a copy, "
    "or train again."
)

Key = tuple[str, int, str]


class DecoderCache:
    """The decoder of the run and epoch asked for last; for one thread only."""

    def __init__(self) -> None:
        self._held: tuple[tuple[str, int], VolumeDecoder] | None = None

    def of(self, run: Run, epoch: int) -> VolumeDecoder:
        """The decoder after an epoch."""
        wanted = (run.maps_key, epoch)
        if self._held is None or self._held[0] != wanted:
            self._held = (wanted, run.decoder(epoch))
        return self._held[1]


@dataclass(frozen=True)
class VolumeStyle:
    """How volumes are to be seen: contour in σ, low-pass in Å (0: none), against another map.

    ``against`` is the particle of that other map; empty for the mean of all latents.
    ``fine`` surfaces take the window longer to draw; while a training shares its cores they wait.
    """

    sigma: float
    lowpass: float
    difference: bool = False
    fine: bool = True
    against: str = ""

    @classmethod
    def of(cls, session: Session) -> VolumeStyle:
        """How a session wants them."""
        pinned = session.pinned[:1] if session.style == "from pinned" else ()
        compared, fine = session.style == "difference" or bool(pinned), not session.training.busy
        return cls(session.sigma, session.lowpass, compared, fine, *pinned)

    def is_of(self, decoded: Decoded) -> bool:
        """Whether a finished volume looks so already."""
        compared = decoded.difference is not None
        look = (decoded.mesh.sigma, decoded.lowpass, compared, decoded.against)
        fine_enough = decoded.mesh.fine or not self.fine
        return fine_enough and look == (self.sigma, self.lowpass, self.difference, self.against)


class DecodingService(Service):
    """Decodes the focused particle of a session in a thread and puts the volume into the session.

    Weights are read from the checkpoint that the latents on show belong to, never from a model that
    is being trained.
    """

    doing = "decoding a volume"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_decoded, computes=True)
        self._finished: OrderedDict[Key, Decoded] = OrderedDict()
        self._decoders = DecoderCache()
        self._mean: tuple[object, Volume] | None = None  # of which run, epoch and particle
        self._whole_s: dict[str, float] = {}  # how long the last whole map of a run took
        self.throttle = Throttle(MILLISECONDS_BETWEEN_VOLUMES, self)
        self.throttle.due.connect(self.refresh)
        self.listen(self._on_focused, "focused")
        self.listen(
            self.refresh, "free_point", "sigma", "lowpass", "shell_filter", "style", "map_source"
        )
        self.listen(self._on_pinned, "pinned")
        self.listen(self._on_latents, "latents")
        self.listen(self._on_training, "training")

    def refresh(self, *_: object) -> None:
        """Decode what is to be shown: the free point, else the particle in focus."""
        session = self.session
        if shows_images(session):
            self.queue.cancel()  # who made that map shows it anew
        elif session.free_point is not None:
            self.request_point(session.free_point)
        elif session.focused is not None:
            self.request(session.focused)
        else:
            self.queue.cancel()

    def _on_pinned(self, *_: object) -> None:
        if self.session.style == "from pinned":
            self.refresh()

    def _on_focused(self, *_: object) -> None:
        """A particle that is chosen takes the place of a free point."""
        if self.session.free_point is not None:
            self.session.free_point = None  # which refreshes
        else:
            self.refresh()

    def _on_latents(self, latents: pd.DataFrame | None, _old: object = None) -> None:
        if latents is None:
            self.queue.cancel()
        elif self.session.focused is not None:  # a first particle is decoded as it is chosen
            self.throttle.request()

    def _on_training(self, status: TrainingStatus, _old: object = None) -> None:
        if status.phase == "idle":
            self.throttle.flush()
            decoded = self.session.decoded
            if decoded is not None and not decoded.mesh.fine:
                self.refresh()

    def request(self, identity: str) -> None:
        """Show this particle, contoured at the session's level, as soon as possible."""
        latents = self.session.latents
        if latents is not None and row_of(latents, identity) >= 0:
            self._request(identity, latent_of(latents, identity), None)

    def request_point(self, point: LatentPoint) -> None:
        """Show a place that is no particle's."""
        self._request(_key_of(point), np.array(point.z, np.float32), point)

    def on_failed(self, error: Exception) -> None:
        """Tell why there is no volume, and what to do about it."""
        if not isinstance(error, BadInputError) or error.code == "imported":
            super().on_failed(error)
        else:
            remedy = "" if error.remedy else f" {_REMEDY}"
            self.session.show_message(error_message(error, self.doing) + remedy, "error")

    def _request(self, name: str, z: NDArray[np.float32], point: LatentPoint | None) -> None:
        session, run = self.session, self.session.run_of_maps
        if run is None:
            return
        key = (run.maps_key, session.epoch, name)
        look = VolumeStyle.of(session)
        finished = self._finished.get(key)
        at, table = (run, session.epoch), session.latents
        if finished is None:
            blank = partial(
                DecodedMap,
                particle_id=None if point else name,
                epoch=session.epoch,
                point=point,
                shell_filtered=run.shell_filter(session.epoch) is not None,
            )
            shown = session.decoded
            again = shown is not None and shown.complete and shown.particle_id == name
            # Whoever goes on before a volume is there would see none until the end.
            hurried = self.queue.is_busy
            soon = not hurried and self._whole_s.get(key[0], np.inf) < _SOON_S
            at_once = again or soon
            self.queue.request(lambda: self._steps(at, z, blank, look, table, at_once))
        elif look.is_of(finished):
            self.queue.cancel()
            self._finished.move_to_end(key)
            session.decoded = finished
        else:
            self.queue.request(lambda: self._dressed(at, finished, look, table))

    def _steps(
        self,
        at: tuple[Run, int],
        z: NDArray[np.float32],
        blank: Callable[..., DecodedMap],
        look: VolumeStyle,
        table: pd.DataFrame | None,
        at_once: bool,
    ) -> Iterator[Decoded | None]:
        """Preview, then the whole; ``at_once``: the whole only, as a preview is not worth it.

        It is not where the whole map is there soon, as the last one of this run was, nor where the
        particle is on show, as it was an epoch ago: its volume stays until the whole new one is
        there, instead of blurring at each epoch.
        """
        decoder, maps = self._decoders.of(*at), at[0].maps_key
        yield None
        began = time.perf_counter()
        for volume in decoder.decode_steps(z) if at_once else decoder.progressive(z):
            if volume is None:
                yield None
                continue
            complete = volume.box_size_px >= decoder.box_size_px
            if complete:
                self._whole_s[maps] = time.perf_counter() - began
            decoded = blank(volume, complete=complete)
            if complete and look.difference:
                yield from self._dressed(at, decoded, look, table)
            else:
                yield dressed(decoded, look)
            began = time.perf_counter()

    def _dressed(
        self,
        at: tuple[Run, int],
        decoded: DecodedMap,
        look: VolumeStyle,
        table: pd.DataFrame | None,
    ) -> Iterator[Decoded | None]:
        """The map as it is to be seen; what it is compared with is decoded where it is needed."""
        mean = None
        if look.difference and table is not None:
            key = (at[0].maps_key, at[1], look.against)
            if self._mean is None or self._mean[0] != key:
                z = latent_matrix(table).mean(axis=0).astype(np.float32)
                z = latent_of(table, look.against) if look.against else z
                for volume in self._decoders.of(*at).decode_steps(z):
                    yield None
                    if volume is not None:
                        self._mean = (key, volume)
            mean = self._mean[1] if self._mean is not None else None
        yield dressed(decoded, look, mean)

    def _on_decoded(self, decoded: Decoded) -> None:
        run = self.session.run_of_maps
        if run is not None and decoded.complete:
            name = decoded.particle_id or (_key_of(decoded.point) if decoded.point else "")
            self._keep((run.maps_key, decoded.epoch, name), decoded)
        if not shows_images(self.session):
            self.session.decoded = decoded

    def _keep(self, key: Key, decoded: Decoded) -> None:
        self._finished[key] = decoded
        self._finished.move_to_end(key)
        held = sum(_bytes(one) for one in self._finished.values())
        while held > _KEPT_BYTES and len(self._finished) > 1:
            _, oldest = self._finished.popitem(last=False)
            held -= _bytes(oldest)


def shows_images(session: Session) -> bool:
    """Whether the map on show is from images, as wanted, and of what is chosen now."""
    shown = session.decoded
    if session.map_source != "images" or shown is None or shown.effective_particles is None:
        return False
    if session.free_point is not None:
        return shown.point == session.free_point
    return shown.point is None and shown.particle_id == session.focused


def dressed(decoded: DecodedMap, look: VolumeStyle, mean: Volume | None = None) -> Decoded:
    """The same map, filtered and contoured as it is to be seen, against a mean if one is given."""
    filtered = lowpassed(decoded.volume, look.lowpass)
    mesh = make_isosurface(filtered, look.sigma, fine=look.fine and decoded.complete)
    against = None
    if mean is not None:
        against = difference(filtered, lowpassed(mean, look.lowpass), look.sigma)
    return Decoded(
        decoded.volume,
        decoded.particle_id,
        decoded.epoch,
        decoded.complete,
        decoded.point,
        decoded.effective_particles,
        decoded.resolution_angstrom,
        decoded.shell_filtered,
        mesh=mesh,
        lowpass=look.lowpass,
        filtered=filtered,
        difference=against,
        against=look.against if against is not None else "",
    )


def _key_of(point: LatentPoint) -> str:
    return "point " + " ".join(f"{part:.6g}" for part in point.z)


def _bytes(decoded: Decoded) -> int:
    volumes = decoded.volume.data.nbytes + decoded.shown.data.nbytes
    meshes = [decoded.mesh, *(decoded.difference or ())]
    return volumes + sum(mesh.vertices.nbytes + mesh.faces.nbytes for mesh in meshes)
