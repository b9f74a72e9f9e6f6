"""napari's scale bar in Å however far one is: left to itself it writes "1 kÅ"."""

from __future__ import annotations

from typing import Any

# Length of the bar where napari would choose a thousand or more.
FAR_ANGSTROM = 750.0
_BAR_PX, _UNIT = 150, "angstrom"


def keep_in_angstrom(viewer: Any) -> None:
    """Give the bar a length where that of napari would have a prefix; else napari chooses it."""
    camera, bar = viewer.scene.camera, viewer.canvas.overlays.scale_bar

    def on_zoom(_event: object = None) -> None:
        if bar.length not in (None, FAR_ANGSTROM):
            return  # the user's, or of a picture that is being taken
        units = viewer.layers.units
        ours = units is not None and len(units) > 0 and str(units[-1]) == _UNIT
        far = ours and _BAR_PX / max(camera.zoom, 1e-9) >= 1000.0
        if bar.length != (wanted := FAR_ANGSTROM if far else None):
            bar.length = wanted
            # napari may have measured the bar for this zoom already, and looks at its length no
            # more; for another size of letters it does.
            bar.events.font_size.emit(bar.font_size)

    camera.events.zoom.connect(on_zoom)
