"""A picture of the canvas for a page: what is on the screen, larger, on any ground."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.gui.volumes.arrangement import unfitted
from napari_tomodrgn.gui.volumes.map_labels import IS_LABELS
from napari_tomodrgn.gui.volumes.surface_layers import nudge

Picture = NDArray[np.uint8]
Background = Literal["screen", "white", "black", "transparent"]

# Larger ones are refused by some graphics cards, which draw nothing then.
LARGEST_PX = 8192
_BAR_PX, _BAR_STEPS = 150, (1, 1.25, 1.5, 2, 2.5, 5, 7.5)
# What napari draws axes in, whatever their size says, by how many dimensions are shown; and what
# the stage of a comparison draws them in, where there is less room.
_AXES_PX, SMALL_AXES_PX = {2: 100, 3: 170}, 72
_INK = {"white": "#000000", "black": "#ffffff", "transparent": "#000000"}


@dataclass(frozen=True)
class FigureOptions:
    """How a picture differs from the screen.

    Attributes
    ----------
    width_px
        Width of the picture; 0 is twice that of the canvas.
    dpi
        Pixels per inch, written into the file for programs that lay pages out.
    background
        Of the canvas; ``transparent`` for pages that have a ground of their own.
    scale_bar, labels, axes
        Whether these are drawn, if they are on the screen; ``labels`` with the title.
    """

    width_px: int = 0
    dpi: int = 300
    background: Background = "screen"
    scale_bar: bool = True
    labels: bool = True
    axes: bool = True


def take_picture(viewer: Any, options: FigureOptions) -> Picture:
    """Draw the canvas as ``(height, width, 4)`` RGBA; the viewer is as before afterwards."""
    width = viewer.canvas.size[1]
    scale = (options.width_px or 2 * width) / width
    scale = min(scale, LARGEST_PX / max(viewer.canvas.size))
    with _arranged(viewer, options), enlarged(viewer, scale):
        if options.background != "transparent":
            return _drawn(viewer, options.background, scale)
        # What is as dark on black as it is bright on white lets the ground through.
        black, white = (_drawn(viewer, one, scale).astype(float) for one in ("black", "white"))
    alpha = 255 - (white - black)[..., :3].max(axis=-1).clip(0, 255)
    color = black[..., :3] * 255 / np.maximum(alpha, 1)[..., None]
    picture = np.concatenate([color, alpha[..., None]], axis=-1)
    return np.asarray(picture.clip(0, 255).round(), np.uint8)


def take_frame(viewer: Any, options: FigureOptions) -> Picture:
    """Draw the canvas as ``(height, width, 3)`` RGB of even sizes, as movies want it."""
    picture = take_picture(viewer, options)
    height, width = (size - size % 2 for size in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, :width, :3])


def _drawn(viewer: Any, background: str, scale: float) -> Picture:
    before = viewer.canvas.background_color_override
    if background != "screen":
        viewer.canvas.background_color_override = background
    try:
        return np.asarray(viewer.screenshot(canvas_only=True, flash=False, scale=scale))
    finally:
        viewer.canvas.background_color_override = before


@contextmanager
def enlarged(viewer: Any, scale: float) -> Iterator[None]:
    """Draw everything in a canvas ``scale`` times larger, while napari makes the canvas so.

    napari enlarges the canvas alone: what is in it would stay as it is and be surrounded by more
    of the scene.
    """
    camera, overlays = viewer.scene.camera, viewer.canvas.overlays
    # The zoom first: labels choose their letters anew whenever it changes, which would undo theirs.
    sized: list[tuple[Any, str]] = [(camera, "zoom")]
    sized += [(overlay, "font_size") for overlay in overlays.values()]
    sized += [(layer.text, "size") for layer in viewer.layers if hasattr(layer, "text")]
    there = [(one, name) for one, name in sized if hasattr(one, name)]
    changes = [(one, name, getattr(one, name) * scale) for one, name in there]
    small = overlays.axes.size == SMALL_AXES_PX
    axes_px = SMALL_AXES_PX if small else _AXES_PX[viewer.dims.ndisplay]
    changes += [(overlays.axes, "size", scale * axes_px)]
    tiling = viewer.canvas.overlay_tiling  # what title and scale bar leave to the edges
    changes += [(tiling, "padding", tuple(scale * side for side in tiling.padding))]
    # Else it would be as long in pixels, of another length. A hair longer than on the screen, so
    # that nothing takes it for its own and follows the zoom, with which napari measures it anew.
    length = (overlays.scale_bar.length or bar_length(camera.zoom)) * (1 + 1e-9)
    changes.insert(0, (overlays.scale_bar, "length", length))
    with unfitted(), _set(changes):
        yield
    nudge(camera)  # else the axes stay as small as `axes.size` says


def bar_length(zoom: float) -> float:
    """Length of the scale bar that napari draws at so many pixels per unit: at most 150 pixels."""
    target = _BAR_PX / max(zoom, 1e-9)
    decade = 10.0 ** np.floor(np.log10(target))
    return float(max(step for step in _BAR_STEPS if step * decade <= target) * decade)


@contextmanager
def _arranged(viewer: Any, options: FigureOptions) -> Iterator[None]:
    """Hide what is not wanted, and write in an ink that is read on the ground."""
    overlays = viewer.canvas.overlays
    titles = [one for name, one in overlays.items() if name.startswith("tomodrgn_")]
    labels = [layer for layer in viewer.layers if IS_LABELS in layer.metadata]
    changes: list[tuple[Any, str, Any]] = []
    hidden = [] if options.scale_bar else [overlays.scale_bar]
    hidden += [] if options.axes else [overlays.axes]
    hidden += [] if options.labels else [*titles, *labels]
    changes += [(one, "visible", False) for one in hidden]
    if options.background != "screen":
        ink = _INK[options.background]
        changes += [(one, "color", ink) for one in (*titles, overlays.scale_bar)]
        changes += [(overlays.scale_bar, "colored", True)]
        changes += [(layer.text, "color", ink) for layer in labels]
    with _set(changes):
        yield


@contextmanager
def _set(changes: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Set attributes for a while."""
    before = [(one, name, getattr(one, name)) for one, name, _ in changes]
    try:
        for one, name, value in changes:
            setattr(one, name, value)
        yield
    finally:
        for one, name, value in reversed(before):
            setattr(one, name, value)
