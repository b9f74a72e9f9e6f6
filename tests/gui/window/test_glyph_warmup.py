"""Letters are drawn ahead without being seen, and without touching anybody's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME
from napari_tomodrgn.gui.window.glyph_warmup import GlyphWarmup

LETTERS = "_tomodrgn_letters"
# Everything that a user may set of words, and what to.
OF_USER = {"text": "mine", "visible": True, "opacity": 0.5, "position": "bottom_center"}
OF_USER |= {"font_size": 17.0, "box": True}


@pytest.fixture
def begin(viewer: Any, widget: Any, qtbot: Any) -> Iterator[Callable[[], Any]]:
    """Begins to draw letters in a window that is idle; each by the test, none by the clock."""
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=60_000)
    widget.controller.glyph_warmup.stop()
    begun = []

    def begin() -> GlyphWarmup:
        begun.append(GlyphWarmup(viewer, widget.session, lambda: widget.controller.idle))
        begun[-1].timer.timeout.disconnect()
        return begun[-1]

    yield begin
    for lettering in begun:
        lettering.stop()


def test_letters_are_drawn_unseen_and_all_come_to_an_end(
    viewer: Any, widget: Any, begin: Any, qtbot: Any, changed: Callable[..., float]
) -> None:
    overlays, lettering = viewer.canvas.overlays, begin()
    text = overlays.text
    text.visible, text.position = True, "top_left"  # no words yet
    before, picture = set(overlays), viewer.screenshot(flash=False)
    nodes = viewer.window._qt_viewer.canvas._viewer_overlay_to_visual
    (words,) = nodes[text]
    place = tuple(words.node.transform.translate)
    drawn = ""
    for _ in range(100):
        qtbot.waitUntil(lambda: widget.controller.idle, timeout=60_000)
        lettering._draw_some()
        if LETTERS not in overlays:
            break
        drawn += overlays[LETTERS].text
        assert overlays[LETTERS].visible and overlays[LETTERS].opacity == 0
        if len(drawn) < 10:  # each is drawn anew by napari; that of a few is enough to see
            assert changed(picture, viewer.screenshot(flash=False)) == 0
            # Those that words are then drawn with, and words stay where they are.
            assert set(drawn) <= set(words.node._font._glyphs)
            assert tuple(words.node.transform.translate) == place
    assert set("TS_0123/·epoch") <= set(drawn) and len(drawn) == len(set(drawn))
    assert set(overlays) == before and not lettering.timer.isActive()


def test_words_of_the_user_are_kept_whenever_they_are_set(viewer: Any, begin: Any) -> None:
    text = viewer.canvas.overlays.text
    for rounds in (0, 1, 3):
        lettering = begin()
        for _ in range(rounds):
            lettering._draw_some()
        for name, value in OF_USER.items():
            setattr(text, name, value)
        lettering._draw_some()
        assert {name: getattr(text, name) for name in OF_USER} == OF_USER
        assert LETTERS not in viewer.canvas.overlays and not lettering.timer.isActive()
        text.visible = False


def test_each_setting_of_the_user_is_kept_and_the_others_are_as_they_were(
    viewer: Any, begin: Any
) -> None:
    text = viewer.canvas.overlays.text
    wanted = {name: getattr(text, name) for name in OF_USER}
    for name, value in OF_USER.items():
        lettering = begin()
        lettering._draw_some()
        setattr(text, name, value)
        wanted[name] = value
        lettering._draw_some()
        lettering.stop()
        assert {other: getattr(text, other) for other in OF_USER} == wanted, name


def test_a_map_ends_the_drawing_and_its_words_stand_beside_the_users(
    viewer: Any, widget: Any, begin: Any
) -> None:
    text, lettering = viewer.canvas.overlays.text, begin()
    lettering._draw_some()
    assert LETTERS in viewer.canvas.overlays
    # What is awaited has few of a map's letters: they go on to be drawn, and its words stay.
    awaited = "Decoding first volume …"
    widget.controller.volumes.set_caption(awaited)
    lettering._draw_some()
    assert LETTERS in viewer.canvas.overlays
    assert viewer.canvas.overlays[CAPTION_NAME].text == awaited
    lettering._session = SimpleNamespace(decoded="a map")
    lettering._draw_some()
    assert LETTERS not in viewer.canvas.overlays and not lettering.timer.isActive()
    for name, value in OF_USER.items():
        setattr(text, name, value)
    for words in ("TS_001/8", ""):
        widget.controller.volumes.set_caption(words)
        caption = viewer.canvas.overlays[CAPTION_NAME]
        assert (caption.text, caption.visible, caption.opacity) == (words, bool(words), 1.0)
        assert {name: getattr(text, name) for name in OF_USER} == OF_USER
