"""Two things that vispy does over again though nothing has changed, left out; sizes of letters.

**Shaders of surfaces.** A mesh of vispy puts a new function for its colours into its program each
time that it gets other triangles, though the function says the same. The program is then written,
compiled and linked anew, which takes longer than drawing the mesh; on a computer without a graphics
card, and while a training runs in another thread, several times as long. napari draws surfaces so,
and the boxes behind its words.

**Drawings.** A transform tells that it has changed when it is given numbers that are not its own to
the last bit, and its own are of single precision. napari places its scale bar anew, in double
precision, within each drawing after words have changed; the same place is then another one, and all
is drawn again: twice for each click that names another particle.

**Letters of axes.** napari writes x, y and z in one size, however large the axes are: in a picture
of the canvas they are as tiny as the picture is large. They go with those of the scale bar.

**Boxes behind words.** napari measures words for a screen of 96 dots per inch and draws them for
the one that there is: on one of 100 the dark box behind a title ended before its last letter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from vispy.visuals.mesh import MeshVisual
    from vispy.visuals.shaders import Function
    from vispy.visuals.transforms import STTransform

# What the function of `_METHOD` depends on is known of these versions; others are left as they are.
_FROM, _BEFORE = (0, 14), (0, 18)
_METHOD = "_build_color_transform"
# What draws napari's axes when their size and the view change, and the size of their letters.
_DRAWS_AXES, _AXES_LETTERS = ("_on_size_change", "_on_angles_change"), 10
_SETTER, _KEPT = "_set_st", ("_scale", "_translate")

Build = Callable[["MeshVisual", np.ndarray], "Function"]


def patch_vispy() -> None:
    """Make all changes, once a process."""
    patch_mesh_colors()
    patch_transforms()
    patch_axes_letters()
    patch_text_sizes()


def patch_mesh_colors() -> bool:
    """Give a mesh the function for its colours that it has, where it would be the same.

    Holds for all meshes of the process, and is done once. Returns whether it could be done; where
    not, meshes are drawn as they always were, only later.
    """
    import vispy
    from vispy.visuals.mesh import MeshVisual

    build = getattr(MeshVisual, _METHOD, None)
    if hasattr(build, "__wrapped__"):
        return True
    version = tuple(int(part) for part in vispy.__version__.split(".")[:2])
    if build is None or not _FROM <= version < _BEFORE:
        return False
    setattr(MeshVisual, _METHOD, _remembering(build))
    return True


def _remembering(build: Build) -> Build:
    """A method that answers as it did before, where it was asked the same."""
    answers: WeakKeyDictionary[MeshVisual, tuple[object, Function]] = WeakKeyDictionary()

    @functools.wraps(build)
    def remembered(visual: MeshVisual, colors: np.ndarray) -> Function:
        mapped = colors.ndim == 2 and colors.shape[1] == 1
        asked = (visual.cmap.glsl_map, *visual._clim_values) if mapped else None
        before = answers.get(visual)
        if before is None or before[0] != asked:
            before = answers[visual] = (asked, build(visual, colors))
        return before[1]

    return remembered


def patch_transforms() -> bool:
    """Compare what a transform is given with what it has in the precision that it has.

    Returns whether it could be done.
    """
    from vispy.visuals.transforms import STTransform

    given = getattr(STTransform, _SETTER, None)
    if hasattr(given, "__wrapped__"):
        return True
    if given is None or not all(hasattr(STTransform(), name) for name in _KEPT):
        return False
    setattr(STTransform, _SETTER, _in_own_precision(given))
    return True


def _in_own_precision(given: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(given)
    def rounded(
        transform: STTransform,
        scale: np.ndarray | None = None,
        translate: np.ndarray | None = None,
        update: bool = True,
    ) -> None:
        parts = [
            None if part is None else np.asarray(part, dtype=getattr(transform, name).dtype)
            for name, part in zip(_KEPT, (scale, translate), strict=True)
        ]
        given(transform, *parts, update)

    return rounded


def patch_axes_letters() -> bool:
    """Write x, y and z as much larger as the scale bar's words are than they come.

    Returns whether it could be done: another napari may draw its axes otherwise.
    """
    try:
        from napari._vispy.overlays.canvas_axes import VispyCanvasAxesOverlay as AxesOverlay
    except ImportError:
        return False
    for name in _DRAWS_AXES:
        drawn = getattr(AxesOverlay, name, None)
        if drawn is None:
            return False
        if not hasattr(drawn, "__wrapped__"):
            setattr(AxesOverlay, name, _with_letters(drawn))
    return True


def _with_letters(drawn: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(drawn)
    def lettered(axes: Any, *_: Any) -> None:
        drawn(axes)
        bar = axes.viewer.canvas.overlays.scale_bar
        usual = type(bar).model_fields["font_size"].default
        axes.node.axes.text.font_size = _AXES_LETTERS * bar.font_size / usual

    return lettered


def patch_text_sizes() -> bool:
    """Measure words at the resolution that they are drawn at, where there are more dots than 96.

    Returns whether it could be done.
    """
    try:
        from napari._vispy.visuals.text import Text
    except ImportError:
        return False
    measured = getattr(Text, "get_width_height", None)
    if measured is None or not hasattr(Text, "dpi_ratio"):
        return False
    if not hasattr(measured, "__wrapped__"):
        Text.get_width_height = _as_drawn(measured)
    return True


def _as_drawn(measured: Callable[[Any], tuple[float, float]]) -> Callable[[Any], Any]:
    @functools.wraps(measured)
    def drawn(text: Any) -> tuple[float, float]:
        width, height = measured(text)
        finer = max(1.0, float(text.dpi_ratio))
        return width * finer, height * finer

    return drawn
