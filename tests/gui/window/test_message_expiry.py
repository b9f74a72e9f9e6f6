"""A sentence that asks for something stays until it was done, and no longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tomodrgn.gui.background.message_expiry import MessageExpiry
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    import pytest

STAYS_MS = 700


def test_a_request_goes_when_it_was_done_and_other_words_stay(qtbot: Any) -> None:
    session = Session()
    service = MessageExpiry(session)
    session.show_message("Select two particles.", "warning", lambda: len(session.selection) > 1)
    for selection in (frozenset(), frozenset({"a"})):
        session.select(selection)
        qtbot.wait(STAYS_MS)
        assert session.message is not None and session.message.text == "Select two particles."
    session.select(frozenset({"a", "b"}))
    qtbot.waitUntil(lambda: session.message is None)
    # What replaced a request is not taken for it.
    session.show_message("Select none.", done=lambda: not session.selection)
    session.show_message("Two maps written.")
    session.select(frozenset())
    qtbot.wait(STAYS_MS)
    assert session.message is not None and session.message.text == "Two maps written."
    session.show_message("Select one.", done=lambda: bool(session.selection))
    service.close()
    session.select(frozenset({"a"}))
    qtbot.wait(STAYS_MS)
    assert session.message is not None, "the window is going: nothing is asked any more"


def test_what_the_window_asks_for_goes_when_it_was_given(
    widget: Any,
    qtbot: Any,
    tiny_run: Path,
    opened: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller, session = widget.controller, widget.session

    def asked(ask: Callable[[], object], words: str) -> None:
        ask()
        qtbot.wait(STAYS_MS)
        assert session.message is not None and session.message.text.startswith(words)

    def gone() -> bool:
        return session.message is None

    asked(lambda: controller.clusters.find(3), "Open a run first")
    session = opened(tiny_run)
    assert session.message is None or not session.message.text.startswith("Open a run first")
    ids = list(session.latents.index)
    scene = controller.tomogram_scene
    session.tomogram = session.particles.particles["tomogram"].iloc[0]
    qtbot.waitUntil(lambda: controller.idle)
    here = list(scene.poses.ids)
    session.focused = None
    asked(scene.jump, "Choose a particle first")
    session.focused = here[0]
    qtbot.waitUntil(gone)
    session.select(frozenset(one for one in ids if one not in here))
    asked(lambda: scene.step(1), "No particle of this tomogram")
    session.select(frozenset(here[:1]))
    qtbot.waitUntil(gone)
    monkeypatch.setattr(type(scene.layers), "chunks", [])
    asked(lambda: controller.tomogram_export.mesh("there.ply"), "There are no surfaces")
    monkeypatch.setattr(type(scene.layers), "chunks", [object()])
    qtbot.waitUntil(gone)
    asked(controller.reconstruction.start, "Select at least two")
    session.select(frozenset(here[:2]))
    qtbot.waitUntil(gone)
    session.pinned = ()
    asked(controller.trajectories.through_pinned, "Shift-click two")
    session.pinned = tuple(here[:2])
    qtbot.waitUntil(gone)
