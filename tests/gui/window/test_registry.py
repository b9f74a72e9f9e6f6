"""Services of a window: none is forgotten when it asks what is under way, or closes."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from napari_tomodrgn import gui
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.latent_space.scatter_contents import ScatterLoader


def _all_kinds(kind: type[Work]) -> set[type[Work]]:
    return {kind}.union(*(_all_kinds(one) for one in kind.__subclasses__()))


def test_every_service_is_in_the_registry(widget: Any) -> None:
    for module in pkgutil.walk_packages(gui.__path__, "napari_tomodrgn.gui."):
        importlib.import_module(module.name)
    ours = {one for one in _all_kinds(Service) if one.__module__.startswith("napari_tomodrgn")}
    there = {type(part) for part in widget.controller.parts}
    assert ours - there == {Service, ScatterLoader}, "the scatter's loader belongs to its panel"


def test_what_any_service_does_is_asked_and_ended(widget: Any, qtbot: Any) -> None:
    controller = widget.controller
    qtbot.waitUntil(lambda: controller.idle, timeout=30_000)
    umap = controller.umap  # which a list kept by hand forgot
    umap.queue.request(lambda: iter([]))
    assert not controller.idle
    qtbot.waitUntil(lambda: controller.idle, timeout=30_000)


def test_a_file_that_was_asked_for_is_written_after_closing(
    widget: Any, qtbot: Any, tmp_path: Any
) -> None:
    queue, said = widget.controller.volume_export.files, []
    queue.done.connect(said.append)
    queue.add(lambda: (tmp_path / "map.mrc").write_text("map"))
    widget.controller.close()
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=30_000)
    assert (tmp_path / "map.mrc").read_text() == "map"
    assert said == []
