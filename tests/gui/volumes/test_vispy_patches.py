"""What a change of the volume asks of the window, counted: pictures, shaders, layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.charts import vispy_patches
from napari_tomodrgn.gui.volumes import decoding_service
from napari_tomodrgn.gui.volumes.isosurfaces import make_isosurface
from napari_tomodrgn.gui.volumes.layers import VolumeLayers

LONG = 60_000


@contextmanager
def _counted(owner: Any, name: str) -> Iterator[list[Any]]:
    """What a method was called on, call by call."""
    calls: list[Any] = []
    method = getattr(owner, name)

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(self)
        return method(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, counting)
        yield calls


def _ball(radius: float) -> Volume:
    axis = np.arange(32) - 16.0
    squared = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2
    return Volume(np.exp(-squared / radius**2).astype(np.float32), 10.0)


def test_another_map_builds_no_shader_and_lays_nothing_out(viewer: Any) -> None:
    from vispy.visuals.shaders.program import ModularProgram

    layers, box = VolumeLayers(viewer), 320.0
    layers.show_mesh(make_isosurface(_ball(4.0)), box, "tomogram 1/1")
    viewer.screenshot(flash=False)
    laid_out: list[Any] = []
    viewer.dims.events.range.connect(laid_out.append)
    vertices = len(layers.layer.vertices)
    with _counted(ModularProgram, "_build") as built:
        before = viewer.screenshot(flash=False)
        layers.show_mesh(make_isosurface(_ball(6.0)), box, "tomogram 1/2", "#e8743b")
        after = viewer.screenshot(flash=False)
    assert built == [] and laid_out == []
    assert len(layers.layer.vertices) > vertices and (before != after).any(), "but it is another"


def test_shaders_follow_when_a_surface_is_colored_by_its_values(viewer: Any) -> None:
    """What is kept depends on the limits: new ones have to be seen."""
    layers = VolumeLayers(viewer)
    layers.show_mesh(make_isosurface(_ball(6.0)), 320.0)
    viewer.canvas.overlays.axes.visible = viewer.canvas.overlays.scale_bar.visible = False
    layer = layers.layer
    layer.shading = "none"
    layer.colormap = "gray"
    layer.contrast_limits_range = (0.0, 2.0)
    layer.contrast_limits = (0.0, 1.0)
    bright = viewer.screenshot(flash=False)[..., 0].max()
    layer.contrast_limits = (0.0, 2.0)  # values are 1
    assert bright == 255
    assert viewer.screenshot(flash=False)[..., 0].max() == pytest.approx(128, abs=2)


def test_the_same_map_in_another_color_is_not_given_anew(viewer: Any) -> None:
    layers, mesh = VolumeLayers(viewer), make_isosurface(_ball(6.0))
    layers.show_mesh(mesh, 320.0)
    given: list[Any] = []
    layers.layer.events.data.connect(given.append)
    layers.show_mesh(mesh, 320.0, "", "#e8743b")
    assert given == [] and layers.layer.colormap.name == "#e8743b"
    layers.show_mesh(make_isosurface(_ball(5.0)), 320.0)
    assert len(given) == 1


def test_meshes_of_an_unknown_vispy_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import vispy
    from vispy.visuals.mesh import MeshVisual

    def build(_visual: Any, _colors: Any) -> None: ...

    monkeypatch.setattr(MeshVisual, "_build_color_transform", build)
    monkeypatch.setattr(vispy, "__version__", "99.0.0")
    assert not vispy_patches.patch_mesh_colors()
    assert MeshVisual._build_color_transform is build
    monkeypatch.delattr(MeshVisual, "_build_color_transform")
    assert not vispy_patches.patch_mesh_colors()


@pytest.mark.parametrize(
    ("soon", "clicks", "sizes"), [(1e9, 1, [48]), (0.0, 1, [32, 48]), (1e9, 2, [32, 48])]
)
def test_a_preview_is_shown_where_the_whole_map_is_slow_or_clicks_are_fast(
    opened: Callable[[Path], Any],
    widget: Any,
    tiny_run: Path,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    soon: float,
    clicks: int,
    sizes: list[int],
) -> None:
    from vispy.scene import SceneCanvas

    session = opened(tiny_run)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    qtbot.wait(100)
    monkeypatch.setattr(decoding_service, "_SOON_S", soon)
    widget.controller.volume_view.waiting.setInterval(LONG)
    shown: list[int] = []
    session.events.decoded.connect(lambda one: shown.append(one.volume.box_size_px))
    others = [str(name) for name in session.latents.index if name != session.focused]
    with _counted(SceneCanvas, "_draw_scene") as drawn:
        for other in others[:clicks]:  # the second before the first is there
            session.focused = other
        qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
        qtbot.wait(200)
    assert shown == sizes
    assert session.decoded.particle_id == others[clicks - 1]
    assert 1 <= len(drawn) <= len(sizes), "not for words, the extent and the colour as well"


def test_words_that_change_beside_a_scale_bar_are_drawn_once(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar is placed anew with each word; the same place is no reason to draw all again."""
    from vispy.scene import SceneCanvas

    layers = VolumeLayers(viewer)
    layers.show_mesh(make_isosurface(_ball(6.0)), 320.0, "tomogram 1/1")
    viewer.scene.camera.zoom = 1.2345
    qtbot.wait(200)
    with _counted(SceneCanvas, "_draw_scene") as drawn:
        for number in (2, 3, 4):
            layers.set_caption(f"tomogram 1/{number}")
            qtbot.waitUntil(lambda number=number: len(drawn) >= number - 1)
            qtbot.wait(100)  # in which no second drawing comes
    assert len(drawn) == 3


def test_a_transform_tells_of_another_place_only() -> None:
    from vispy.visuals.transforms import STTransform

    assert vispy_patches.patch_transforms()
    transform, told = STTransform(), []
    transform.changed.connect(told.append)
    for place in (684.33624, 684.33624, 684.5):
        transform.translate = [place, 469.0, 0, 0]
    assert len(told) == 2
    transform.scale = [1.1, 1.1]
    transform.scale = [1.1, 1.1]
    assert len(told) == 3
    assert transform.translate[0] == np.float32(684.5)
