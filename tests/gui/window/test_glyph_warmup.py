"""Letters are drawn ahead without being seen."""

from __future__ import annotations

from typing import Any


def test_letters_are_drawn_unseen_until_there_are_words(
    viewer: Any, widget: Any, qtbot: Any
) -> None:
    lettering, text = widget.controller.glyph_warmup, viewer.canvas.overlays.text
    lettering.timer.setInterval(1)
    drawn: set[str] = set()
    text.events.text.connect(lambda: drawn.update(text.text))
    opacities: set[float] = set()
    text.events.text.connect(lambda: opacities.add(text.opacity))
    qtbot.waitUntil(lambda: len(drawn) > 5, timeout=10_000)
    assert opacities == {0.0} and lettering.timer.isActive()
    widget.controller.volumes._caption("TS_001/7")
    assert (text.text, text.visible, text.opacity) == ("TS_001/7", True, 1.0)
    assert not lettering.timer.isActive()


def test_all_letters_come_to_an_end_and_nothing_is_left(
    viewer: Any, widget: Any, qtbot: Any
) -> None:
    lettering, text = widget.controller.glyph_warmup, viewer.canvas.overlays.text
    lettering.timer.setInterval(1)
    qtbot.waitUntil(lambda: not lettering.timer.isActive(), timeout=30_000)
    assert (text.text, text.visible, text.opacity) == ("", False, 1.0)


def test_words_of_others_are_left_alone(viewer: Any, widget: Any, qtbot: Any) -> None:
    lettering, text = widget.controller.glyph_warmup, viewer.canvas.overlays.text
    text.text, text.visible = "mine", True
    lettering.timer.setInterval(1)
    qtbot.waitUntil(lambda: not lettering.timer.isActive(), timeout=10_000)
    assert (text.text, text.visible, text.opacity) == ("mine", True, 1.0)
