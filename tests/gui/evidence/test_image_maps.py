"""The switch *From images*: the map on show is of the particles around, and is told as such."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_tomodrgn.gui.charts.colormaps import MISSING
from napari_tomodrgn.gui.evidence.evidence_service import EvidenceService
from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME
from napari_tomodrgn.gui.widgets.saving import name_of_classes
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.session import LatentPoint, Session

LONG = 120_000
LEFT = Qt.MouseButton.LeftButton


def _from_images(session: Any) -> bool:
    return session.decoded is not None and session.decoded.effective_particles is not None


@pytest.fixture
def imaged(widget: Any, clustered: Any, qtbot: Any) -> Any:
    """The session with a map from images on show."""
    switch = widget.latent.volumes.images
    assert switch.isEnabled() and not switch.isChecked() and not _from_images(clustered)
    QTest.mouseClick(switch, LEFT)
    qtbot.waitUntil(lambda: _from_images(clustered), timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    return clustered


def test_maps_of_both_states_differ_and_say_what_stands_behind_them(
    viewer: Any, widget: Any, imaged: Any, qtbot: Any
) -> None:
    found = {}
    clusters = imaged.table.column("cluster").values
    for cluster in (0, 1):
        imaged.focused = str(imaged.latents.index[int(np.argmax(clusters == cluster))])
        # The decoded map is there meanwhile, and is called so.
        qtbot.waitUntil(
            lambda: _from_images(imaged) and imaged.decoded.particle_id == imaged.focused,
            timeout=LONG,
        )
        found[cluster] = imaged.decoded
    apart = found[0].volume.data - found[1].volume.data
    maps = widget.controller.evidence._gathered.evidence
    assert apart.shape == (24, 24, 24) and maps.sums.particles == 40
    assert apart.std() > 0.2 * found[0].volume.data.std()
    words = viewer.canvas.overlays[CAPTION_NAME].text.replace("\n", " ")
    assert f"from images, {found[1].effective_particles:.0f} particles in effect" in words
    assert "decoded" not in viewer.layers, "the layer is called after what it shows"
    few = found[1].effective_particles < 20
    assert ("too few to trust" in words) == few
    assert (viewer.layers["from images"].colormap.name == MISSING) == few
    assert imaged.image_map_status.busy is False


def test_too_few_particles_are_grey_and_the_switch_goes_back(
    viewer: Any, widget: Any, imaged: Any, qtbot: Any
) -> None:
    from dataclasses import replace

    imaged.decoded = replace(imaged.decoded, effective_particles=12.0)
    assert viewer.layers["from images"].colormap.name == MISSING
    words = viewer.canvas.overlays[CAPTION_NAME].text.split()  # in lines that fit the canvas
    assert "too few to trust (below 20)" in " ".join(words)
    imaged.sigma = 5.0  # the image map is contoured anew, no decoded one takes its place
    qtbot.waitUntil(lambda: widget.controller.idle)
    assert _from_images(imaged) and imaged.decoded.mesh.sigma == 5.0
    QTest.mouseClick(widget.latent.volumes.images, LEFT)
    qtbot.waitUntil(lambda: widget.controller.idle)
    assert not _from_images(imaged) and imaged.decoded.particle_id == imaged.focused
    assert "from images" not in viewer.canvas.overlays[CAPTION_NAME].text
    assert "from images" not in viewer.layers and viewer.layers["decoded"].visible


def test_what_is_written_meanwhile_says_what_it_is(
    widget: Any, imaged: Any, tmp_path: Path, qtbot: Any
) -> None:
    """Maps of classes are decoded whatever is on show."""
    page = widget.export
    imaged.color = "cluster"
    assert page.map.text() == "Map on show, from images (MRC) …"
    assert page.classes.text() == "Map of each cluster, decoded (MRC) …"
    assert name_of_classes(imaged) == "decoded_maps_of_cluster"
    page.class_maps_requested.emit(str(tmp_path / "maps"))
    said = "2 decoded maps and classes.csv written"
    qtbot.waitUntil(lambda: widget.banner.text.startswith(said), timeout=LONG)
    page.map_requested.emit(str(tmp_path / "one.mrc"))
    qtbot.waitUntil(lambda: "one.mrc" in widget.banner.text, timeout=LONG)
    assert widget.banner.text.startswith("one.mrc written, from images: ")
    imaged.map_source = "decoded"
    assert page.classes.text() == "Map of each cluster (MRC) …"


def test_a_free_point_has_one_and_the_next_click_gives_it_up(
    widget: Any, imaged: Any, qtbot: Any
) -> None:
    z = imaged.latents[[name for name in imaged.latents if name.startswith("mu_")]].mean()
    point = LatentPoint(tuple(float(value) for value in z), 5)
    imaged.free_point = point
    imaged.focused = str(imaged.latents.index[3])  # before it could be there
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert _from_images(imaged) and imaged.decoded.particle_id == imaged.focused
    imaged.free_point = point
    qtbot.waitUntil(lambda: _from_images(imaged) and imaged.decoded.point == point, timeout=LONG)
    # Between two states as many of both are near: more stand behind it than behind a particle.
    assert imaged.decoded.effective_particles > 10


def test_another_run_starts_with_decoded_maps(
    widget: Any, imaged: Any, opened: Callable[[Path], Any], tiny_run: Path
) -> None:
    session = opened(tiny_run)
    assert session.map_source == "decoded" and not _from_images(session)
    assert not widget.latent.volumes.images.isChecked()


def test_a_coarse_map_comes_while_images_are_added_up(
    viewer: Any, widget: Any, clustered: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the nearest particles; the next click has one too, and neither is taken for the map."""
    from napari_tomodrgn.analysis.evidence import session as gathering

    seen, slow = threading.Event(), gathering.with_sums

    def held_up(halves: Any) -> Any:
        while not seen.wait(0.02):
            yield WorkProgress(1, 4, "Adding up images")
        return (yield from slow(halves))

    monkeypatch.setattr(gathering, "with_sums", held_up)
    QTest.mouseClick(widget.latent.volumes.images, LEFT)
    for row in (3, 30):
        clustered.focused = str(clustered.latents.index[row])
        qtbot.waitUntil(
            lambda: _from_images(clustered) and clustered.decoded.particle_id == clustered.focused,
            timeout=LONG,
        )
        assert not clustered.decoded.complete
        words = " ".join(viewer.canvas.overlays[CAPTION_NAME].text.split())
        assert "from images" in words and "preview" in words
        assert clustered.image_map_status.busy, "the images are still added up"
    seen.set()
    qtbot.waitUntil(lambda: clustered.decoded.complete, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert _from_images(clustered) and clustered.decoded.particle_id == clustered.focused
    assert not clustered.image_map_status.busy


@pytest.mark.parametrize("held", ["with_sums", "kernel_map"])
def test_the_next_epoch_of_a_training_does_not_forget_that_a_map_is_wanted(
    widget: Any, clustered: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """While images are read, and while the map is made of them: nobody has to ask again."""
    from napari_tomodrgn.analysis.evidence import kernel_map, session

    where = session if held == "with_sums" else kernel_map
    begun, seen, slow = threading.Event(), threading.Event(), getattr(where, held)

    def held_up(*given: Any) -> Any:
        begun.set()
        while not seen.wait(0.02):
            yield WorkProgress(1, 4, "Adding up images")
        return (yield from slow(*given))

    monkeypatch.setattr(where, held, held_up)
    QTest.mouseClick(widget.latent.volumes.images, LEFT)
    qtbot.waitUntil(begun.is_set, timeout=LONG)
    run = Run.open(clustered.run.path)
    clustered.show_latents(run, clustered.latents.copy(), clustered.epoch, run.metrics())
    seen.set()
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert _from_images(clustered) and clustered.decoded.complete
    assert clustered.map_source == "images" and not clustered.image_map_status.busy


def test_what_fails_of_another_run_leaves_those_who_wait_for_this_one(qtbot: Any) -> None:
    first, second = (SimpleNamespace(path=n, info=SimpleNamespace(created="now")) for n in "ab")
    shown: Any = Session(run=first)
    service = EvidenceService(shown)
    service._reading, service._waiting = first, {"map"}
    shown.run = second
    assert not service._waiting, "what was asked of the run before is given up"
    service._waiting.add("map")
    service.on_failed(OSError("of the first"))
    assert service._waiting == {"map"} and shown.message is None
    service.close()


@pytest.mark.parametrize("fine", [True, False])
def test_a_map_of_a_large_set_is_made_of_the_particles_around_first(
    widget: Any, clustered: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, fine: bool
) -> None:
    """Images of all are added up afterwards, for the next places; never if that were coarser."""
    from napari_tomodrgn.analysis.evidence import kernel_map, session

    monkeypatch.setattr(kernel_map, "_COARSE_PARTICLES", 20)
    monkeypatch.setattr(kernel_map, "are_sums_fine", lambda _: fine)
    added, slow = threading.Event(), session.with_sums
    shown: list[tuple[bool, bool]] = []

    def noted(halves: Any) -> Any:
        added.set()
        return (yield from slow(halves))

    def note(decoded: Any) -> None:
        if decoded is not None and _from_images(clustered):
            shown.append((decoded.complete, added.is_set()))

    monkeypatch.setattr(session, "with_sums", noted)
    clustered.events.decoded.connect(note)
    QTest.mouseClick(widget.latent.volumes.images, LEFT)
    qtbot.waitUntil(lambda: (True, False) in shown, timeout=LONG)
    assert shown[:2] == [(False, False), (True, False)], "coarse, then in full, alone"
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert added.is_set() == fine
    assert clustered.decoded.complete and not clustered.image_map_status.busy
    first = clustered.decoded.volume.data
    clustered.focused = str(clustered.latents.index[30])
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    seen = clustered.decoded
    assert _from_images(clustered) and seen.particle_id == clustered.focused and seen.complete
    assert seen.volume.data.shape == first.shape and not np.array_equal(seen.volume.data, first)
    assert added.is_set() == fine
