"""What is known of the particle under the pointer: who it is, two of its images, its volume.

Worked out in threads, the newest particle first; what was found is kept. The volume comes from a
few maps that are decoded once an epoch (`learn.decoding.preview_basis`), until then from the
decoder itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.charts.colormaps import color_at, fixed, rgb
from napari_tomodrgn.gui.volumes.decoding_service import DecoderCache
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.palette import PLAIN
from napari_tomodrgn.particle_columns import (
    Column,
    latent_matrix,
    latent_of,
    row_of,
)
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.data.stack import ImageStacks
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.decoding.preview_basis import PreviewBasis
    from napari_tomodrgn.learn.run.directory import Run

Picture = NDArray[np.uint8]
RunEpoch = tuple[str, int]  # `Run.maps_key`, and one of its epochs
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

PICTURE_PX = 64
_KEPT = 1000  # particles


@dataclass(frozen=True, eq=False)
class PreviewData:
    """What is shown of one particle; pictures are None until they are there.

    Attributes
    ----------
    identity
        ``"<tomogram>/<particle>"``.
    facts
        Short lines: tilts, value of the column that colours.
    volume
        RGBA picture of the decoded map.
    tilts
        Pictures of two tilt images, with their stage tilts in degrees.
    missing
        Why there are no tilt images.
    """

    identity: str
    facts: tuple[str, ...] = ()
    volume: Picture | None = None
    tilts: tuple[tuple[float, Picture], ...] = ()
    missing: str = ""


class ParticlePreview(Service):
    """Makes the card of the hovered particle of a session, else of the one in focus."""

    doing = "previewing a particle"
    card_changed = Signal(object)  # PreviewData, or None

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.card: PreviewData | None = None
        self.fitting = self.latest_task(self._on_basis, computes=True)
        self.previews = self.latest_task(self._on_volume, computes=True)
        self.reading = self.latest_task(self._on_tilts)
        self._decoders, self._fit_decoders = DecoderCache(), DecoderCache()
        self._basis: tuple[RunEpoch, PreviewBasis] | None = None
        self._asked: RunEpoch | None = None
        self._column: Column | None = None
        self._volumes: OrderedDict[Hashable, Picture] = OrderedDict()
        self._tilts: OrderedDict[str, tuple[tuple[float, Picture], ...]] = OrderedDict()
        self._stacks: tuple[ParticleSet, ImageStacks] | None = None
        self._colored = False
        self.listen(
            self._recolor,
            "particles",
            "added_columns",
            "latents",
            "color",
            "color_limits",
            "selections",
        )
        self.listen(self.refresh, "hovered", "focused", "sigma", "shell_filter")
        self.listen(self._on_particles, "particles")

    def refresh(self, *_: object) -> None:
        """Make the card of whom the pointer is at now."""
        session, table = self.session, self.session.latents
        identity = session.hovered or session.focused
        if table is None or identity is None or row_of(table, identity) < 0:
            for queue in (self.previews, self.reading):
                queue.cancel()
            self._set_card(None)
            return
        known = self.card if self.card is not None and self.card.identity == identity else None
        tilts = self._tilts.get(identity, ())
        card = PreviewData(identity, self._facts(identity), known.volume if known else None, tilts)
        self._set_card(replace(card, missing=known.missing if known else ""))
        self._request_volume(identity)
        if not tilts:
            self._request_tilts(identity)

    # -- volume -------------------------------------------------------------------------------

    def _request_volume(self, identity: str) -> None:
        session, run, table = self.session, self.session.run_of_maps, self.session.latents
        if run is None or table is None:
            return
        at = (run.maps_key, session.epoch)
        if session.hovered is not None and self._asked != at and not session.training.busy:
            # Only those who hover need it: it costs a second or two of computing, and while it
            # trains it would be outdated as soon as it is there.
            self._asked = at
            epoch = session.epoch
            self.fitting.request(lambda: self._fit(run, epoch, table))
        color, sigma = self._color_of(identity), session.sigma
        key = (*at, identity, color, sigma)
        if key in self._volumes:
            self.previews.cancel()
            self._on_volume((key, self._volumes[key]))
            return
        z = latent_of(table, identity)
        if self._basis is not None and self._basis[0] == at:
            # Some 7 ms: sooner here than any thread could begin.
            self.previews.cancel()
            self._on_volume((key, preview_picture(self._basis[1].volume(z), sigma, color)))
            return
        epoch = session.epoch

        def steps() -> Iterator[object]:
            from napari_tomodrgn.learn.decoding.volume_decoder import PREVIEW_BOX

            decoder = self._decoders.of(run, epoch)
            for volume in decoder.decode_steps(z, min(PREVIEW_BOX, decoder.box_size_px)):
                yield None if volume is None else (key, preview_picture(volume, sigma, color))

        self.previews.request(steps)

    def _fit(self, run: Run, epoch: int, table: pd.DataFrame) -> Iterator[object]:
        from napari_tomodrgn.learn.decoding.preview_basis import fit_preview

        for basis in fit_preview(self._fit_decoders.of(run, epoch), latent_matrix(table)):
            yield None if basis is None else ((run.maps_key, epoch), basis)

    def _on_basis(self, item: tuple[RunEpoch, PreviewBasis]) -> None:
        self._basis = item

    def _on_volume(self, item: tuple[Any, Picture]) -> None:
        key, picture = item
        _keep(self._volumes, key, picture)
        if self.card is not None and self.card.identity == key[2]:
            self._set_card(replace(self.card, volume=picture))

    # -- images -------------------------------------------------------------------------------

    def _request_tilts(self, identity: str) -> None:
        particles = self.session.particles
        if particles is not None:
            stacks = self._stacks_of(particles)
            self.reading.request(
                lambda: iter([(identity, _read_tilts(particles, stacks, identity))])
            )

    def _stacks_of(self, particles: ParticleSet) -> ImageStacks:
        from napari_tomodrgn.data.stack import ImageStacks

        if self._stacks is None or self._stacks[0] is not particles:
            paths = list(particles.images["stack"].cat.categories)
            self._stacks = (particles, ImageStacks(paths, max_open=16))
        return self._stacks[1]

    def _on_tilts(self, item: tuple[str, tuple[tuple[float, Picture], ...] | str]) -> None:
        identity, found = item
        if isinstance(found, str):
            if self.card is not None and self.card.identity == identity:
                self._set_card(replace(self.card, missing=found))
            return
        _keep(self._tilts, identity, found)
        if self.card is not None and self.card.identity == identity:
            self._set_card(replace(self.card, tilts=found))

    def _on_particles(self, *_: object) -> None:
        self._tilts.clear()
        self._stacks = None

    # -- words --------------------------------------------------------------------------------

    def _facts(self, identity: str) -> tuple[str, ...]:
        session, table = self.session, self.session.latents
        facts = []
        particles = session.particles
        star = None if particles is None else particles.particles
        if star is not None and (place := row_of(star, identity)) >= 0:
            tilts: Any = star["tilts"].iloc[place]
            facts.append(f"{int(tilts)} tilts")
        shade = self._shade()
        if shade is not None and table is not None and shade.name != "tomogram":
            row = row_of(table, identity)
            facts.append(f"{column_label(shade.name)}: {value_of(shade, row)}")
        return tuple(facts)

    def _color_of(self, identity: str) -> tuple[int, int, int]:
        table, shade = self.session.latents, self._shade()
        if table is None or shade is None:
            return rgb(PLAIN)
        return rgb(color_at(shade, row_of(table, identity)))

    def _shade(self) -> Column | None:
        """What colours the particles, worked out once for all that the pointer passes."""
        if not self._colored:
            found = self.session.color_column
            self._column = found and replace(found, clip=fixed(found))
            self._colored = True
        return self._column

    def _recolor(self, *_: object) -> None:
        self._colored = False
        self.refresh()

    def _set_card(self, card: PreviewData | None) -> None:
        self.card = card
        self.card_changed.emit(card)


def value_of(column: Column, row: int) -> str:
    """A value in words."""
    value = column.values[row]
    if column.categorical:
        return column.categories[value] if value >= 0 else "none"
    return f"{value:.4g}" if np.isfinite(value) else "none"


def preview_picture(volume: Volume, sigma: float, color: tuple[int, int, int]) -> Picture:
    """RGBA of a map's surface, premultiplied."""
    from napari_tomodrgn.analysis.pictures import shaded_surface
    from napari_tomodrgn.analysis.tomogram.meshes import contour_level

    grey, opacity = shaded_surface(volume, contour_level(volume, sigma), PICTURE_PX)
    picture = np.empty((*grey.shape, 4), np.uint8)
    picture[..., :3] = grey[..., None] / 255 * np.array(color)
    picture[..., 3] = opacity
    return picture


def _read_tilts(
    particles: ParticleSet, stacks: ImageStacks, identity: str
) -> tuple[tuple[float, Picture], ...] | str:
    """The least and the most tilted image, or why there are none."""
    from napari_tomodrgn.analysis.pictures import tilt_picture

    names = particles.images["particle_id"].cat
    if identity not in names.categories:  # latents may be of more particles than the star file
        return "Tilt images not found"
    code = names.categories.get_loc(identity)
    rows = particles.images.iloc[np.flatnonzero(names.codes.to_numpy() == code)]
    tilts = rows["stage_tilt_deg"].to_numpy(np.float64)
    order = np.argsort(np.abs(tilts))
    chosen = rows.iloc[[order[0], order[-1]]]
    try:
        images = stacks.read(chosen["stack"].cat.codes.to_numpy(), chosen["stack_index"].to_numpy())
    except (BadInputError, OSError):
        return "Tilt images not found"
    angles = tilts[order[[0, -1]]]
    return tuple(
        (float(angle), tilt_picture(image, PICTURE_PX))
        for angle, image in zip(angles, images, strict=True)
    )


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > _KEPT:
        kept.popitem(last=False)
