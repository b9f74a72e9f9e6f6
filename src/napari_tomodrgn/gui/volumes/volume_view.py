"""Shows the decoded volume of a session and the last reconstruction beside it, as layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.charts.colormaps import MISSING, color_at
from napari_tomodrgn.gui.volumes.arrangement import RECONSTRUCTION
from napari_tomodrgn.gui.volumes.decoding_service import VolumeStyle
from napari_tomodrgn.gui.volumes.layers import FROM_IMAGES, LAYER_NAME, VolumeLayers
from napari_tomodrgn.gui.volumes.surface_layers import box_angstrom
from napari_tomodrgn.learn.run.epoch_files import epoch_name
from napari_tomodrgn.particle_columns import row_of
from napari_tomodrgn.session import Decoded, Session, Validation

if TYPE_CHECKING:
    from napari_tomodrgn.config import RunConfig

# As `analysis.evidence.kernel_map` asks, which brings torch with it.
MIN_EFFECTIVE = 20
# Words on a wait that is shorter would be two more pictures to draw, and flicker.
_MILLISECONDS_BEFORE_WORDS = 300
# New words draw the whole canvas anew, some 40 ms without a graphics card. With 20 clicks a second
# the gaps of the window had p99 69 ms where each click changed them, 35 ms where they wait.
_MILLISECONDS_OF_REST = 150
_RECONSTRUCTION_COLOR = "#f0d68a"  # not of a category: it shows images, not the network


class VolumeView(Service):
    """Keeps the layers of volumes in step with the session."""

    def __init__(
        self, session: Session, layers: VolumeLayers, parent: QObject | None = None
    ) -> None:
        super().__init__(session, parent)
        self.layers = layers
        self.waiting = self.delay(_MILLISECONDS_BEFORE_WORDS, self._show_waiting)
        self.beginning = self.delay(_MILLISECONDS_BEFORE_WORDS, self._say_awaited)
        self._decoding = False
        self.renaming = self.delay(_MILLISECONDS_OF_REST, self._show_waiting)
        self.listen(self._on_decoded, "decoded", "style", "map_source")
        self.listen(self._on_choice, "focused", "free_point")
        self.listen(self._on_focused, "focused")
        self.listen(self._on_decoded, "color", "color_limits", "selections", "surface_color")
        self.listen(self._on_decoded, "class_map")
        self.listen(self._on_columns, "added_columns")
        self.listen(self._on_reconstruction, "validation")
        self.listen(self._on_data, "latents", "particles")
        self.stepping = self.delay(0, layers.image.step_by_voxel)
        self.following = self.delay(0, layers.follow_removed)
        layers.viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        layers.viewer.layers.events.removed.connect(self._on_removed)
        self._training = False
        self.listen(self._on_training, "training")

    def close(self) -> None:
        """Follow the viewer no more."""
        self.layers.viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        self.layers.viewer.layers.events.removed.disconnect(self._on_removed)
        super().close()

    def _on_removed(self, _event: object = None) -> None:
        """No words of a map that the user deleted; a click on its particle brings it back."""
        self.following.start()
        if self.session.decoded is not None and self.layers.layer is None:
            self.layers.set_caption("")

    def _on_ndisplay(self, _event: object = None) -> None:
        self.stepping.start()

    def set_decoding(self, decoding: bool) -> None:
        """Say in the canvas that a volume is being decoded, unless it is there before one looks."""
        self._decoding = decoding
        if decoding:
            self.waiting.start()
            return
        self.waiting.stop()
        self.renaming.stop()
        if self.session.decoded is not None:
            self.layers.set_caption(self._caption(self.session.decoded))

    def _on_data(self, *_: object) -> None:
        """Say what the canvas waits for, before there is anything in it."""
        session = self.session
        if session.decoded is not None:
            return
        if session.latents is None and session.particles is None:
            # Nothing is awaited any more, be it that the window closes amid a training.
            self.beginning.stop()
            self.layers.set_caption("")
        else:
            self.layers.set_up_canvas()
            if session.latents is None:
                self._say_awaited()
            else:
                # Points first: without a graphics card the first words take half a second.
                self.beginning.start()

    def _say_awaited(self) -> None:
        if self.session.decoded is None:
            self.layers.set_caption(self._awaited())

    def _on_training(self, *_: object) -> None:
        """A training begins or ends: the canvas waits for something else."""
        session, before = self.session, self._training
        self._training = session.training.busy
        if self._training != before and session.decoded is None and session.particles is not None:
            self.layers.set_caption(self._awaited())

    def _awaited(self) -> str:
        session = self.session
        if session.latents is not None:
            return "Decoding first volume …"
        if session.particles is None or session.run is not None or session.validation is not None:
            return ""
        if session.training.busy:
            return "The first map appears with the first points"
        return "No map yet: train, or make a quick reconstruction"

    def _on_columns(self, *_: object) -> None:
        """Clusters that were made anew have other colours, and the map on show with them."""
        if self.session.decoded is not None:
            self._on_decoded()

    def _on_choice(self, *_: object) -> None:
        """Name the one that is decoded now, where the words name another, once clicks rest."""
        if self._decoding and not self.waiting.isActive():
            self.renaming.start()

    def _on_focused(self, *_: object) -> None:
        """Show the map of whoever is chosen, also where the last one was hidden by its eye."""
        decoded, focused = self.session.decoded, self.session.focused
        if focused is None:
            return
        if self.layers.layer is None and decoded is not None and decoded.particle_id == focused:
            self._on_decoded()  # its layer was deleted
        self.layers.bring_back()

    def _show_waiting(self) -> None:
        """Say whose volume is being decoded; the answer replaces the words."""
        session = self.session
        name = "latent point" if session.free_point is not None else session.focused
        self.layers.set_caption(f"{name}  ·  decoding …")

    def _on_decoded(self, *_: object) -> None:
        decoded, layers = self.session.decoded, self.layers
        if decoded is None:
            layers.clear()
            layers.set_caption(self._awaited())
            return
        color, box = self._color_of(decoded), box_angstrom(decoded.volume)
        source = LAYER_NAME if decoded.effective_particles is None else FROM_IMAGES
        layers.show_mesh(decoded.mesh, box, self._caption(decoded), color, source)
        layers.show_map(decoded.shown, projected=self.session.style == "projection")
        layers.image.step_by_voxel()
        if decoded.difference is not None:
            layers.show_difference(*decoded.difference)
        elif not VolumeStyle.of(self.session).difference:  # else it is still to be computed
            layers.hide_difference()

    def _caption(self, decoded: Decoded) -> str:
        waiting = self.session.map_source == "images" and decoded.effective_particles is None
        session = self.session
        who, run = who_is(decoded, session.class_map), session.run
        words = caption(decoded, who, None if run is None else run.config)
        return words + ("  ·  decoded; from images follows …" if waiting else "")

    def remove_reconstructions(self) -> None:
        """Remove the reconstructions that stand beside the decoded volume."""
        beside = self.layers.companions
        self.layers.remove_companions(*(one for one in beside if one.startswith(RECONSTRUCTION)))

    def _on_reconstruction(self, *_: object) -> None:
        found = self.session.validation
        if found is None:
            self.remove_reconstructions()
            return
        if self.session.decoded is None:
            self.layers.set_caption("")
        name, box = f"{RECONSTRUCTION} {found.name}", box_angstrom(found.volume)
        color = self._colors_of_selections().get(found.name, _RECONSTRUCTION_COLOR)
        self.layers.show_companion(name, found.mesh, box, color, reconstruction_label(found))

    def _colors_of_selections(self) -> dict[str, str]:
        return {one.name: one.color for one in self.session.selections if one.color}

    def _color_of(self, decoded: Decoded) -> str | None:
        session = self.session
        few = decoded.effective_particles
        if few is not None and few < MIN_EFFECTIVE:
            return MISSING
        if decoded.point is not None and decoded.point.unsupported:
            return MISSING
        if session.surface_color:
            return session.surface_color
        values = session.color_column
        if values is None or session.latents is None or decoded.particle_id is None:
            return None
        row = row_of(session.latents, decoded.particle_id)
        return color_at(values, row) if row >= 0 else None


def reconstruction_label(found: Validation) -> str:
    """Say whose reconstruction it is, from what, how well resolved, and at which contour."""
    resolved = math.isfinite(found.resolution_angstrom)
    limit = f"{found.resolution_angstrom:.1f} Å" if resolved else "half maps do not agree"
    return (
        f"{found.name}: {found.particles:,} particles\nfrom images, {limit}, {found.mesh.sigma:g} σ"
    )


def who_is(decoded: Decoded, class_map: tuple[str, str] | None) -> str:
    """Say whose map it is: of a particle, which may stand for a class, or of a place."""
    who, name = class_map or ("", "")
    if who and who == decoded.particle_id:
        return f"{name}: {who}, nearest its middle"
    return decoded.particle_id or "latent point"


def caption(decoded: Decoded, who: str, config: RunConfig | None = None) -> str:
    """Say what is on show: whose map, epoch, contour, filter."""
    if decoded.effective_particles is not None:
        parts = [who, *_from_images(decoded, decoded.effective_particles)]
        if decoded.point is not None and decoded.point.unsupported:
            parts[0] = f"{who}, {_few_nearby(decoded.point.n_neighbors)}: of those around"
    else:
        if decoded.point is not None:
            who = f"{who}, {support(decoded.point.n_neighbors, decoded.point.unsupported)}"
        parts = [who, epoch_name(decoded.epoch, config)]
        if decoded.shell_filtered:
            parts.append("shell filter")
    if decoded.lowpass:
        parts.append(f"low-pass {decoded.lowpass:g} Å")
    parts.append(f"contour {decoded.mesh.sigma:g} σ")
    if not decoded.complete:
        parts.append("preview …")
    if decoded.difference is None:
        return "  ·  ".join(parts)
    other = decoded.against or "the mean"
    return "  ·  ".join(parts) + f"\nmagenta: more, green: less than {other}"


def _from_images(decoded: Decoded, count: float) -> list[str]:
    """Say how many particles stand behind a map from images, and how well its halves agree."""
    few = f", too few to trust (below {MIN_EFFECTIVE})" if count < MIN_EFFECTIVE else ""
    limit = decoded.resolution_angstrom
    resolved = limit is not None and math.isfinite(limit)
    agreement = f"{limit:.0f} Å" if resolved else "half maps do not agree"
    return [f"from images, {count:.0f} particles in effect{few}", agreement]


def support(count: int, unsupported: bool) -> str:
    """Say how many particles are near a point, and what it means where they are too few."""
    if unsupported:
        return f"interpolated: {_few_nearby(count)}, not supported by data"
    return f"{count} particles nearby"


def _few_nearby(count: int) -> str:
    few = f"only {count}" if count else "no"
    return f"{few} particle{'s' * (count != 1)} nearby"
