"""Keys: those in the documentation are those of the window, and napari keeps its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy import QtGui
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest

from napari_tomodrgn.gui.window.shortcuts import PARTS, PAUSE, SCATTER
from napari_tomodrgn.work_status import TrainingStatus

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[3] / "docs" / "shortcuts.md"


def _documented() -> set[str]:
    """Keys in the first column of the tables of keys."""
    tables = PAGE.read_text(encoding="utf-8").split("| mouse |")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| `")]
    return {key for row in rows for key in re.findall(r"`([^`]+)`", row.split("|")[1])}


def _text(sequence: Any) -> str:
    return str(sequence.toString(QKeySequence.SequenceFormat.PortableText))


def _registered(widget: Any) -> dict[str, Any]:
    kind: Any = QtGui.QShortcut
    found = [*widget.findChildren(kind), *widget.latent.findChildren(kind)]
    return {_text(one.key()): one for one in found}


def test_the_page_lists_what_the_window_registers(widget: Any) -> None:
    assert _documented() == set(_registered(widget)) | set(SCATTER)


def test_napari_keeps_its_keys(widget: Any) -> None:
    from napari._app_model import get_app_model
    from napari.settings import get_settings

    layers = {str(one) for keys in get_settings().shortcuts.shortcuts.values() for one in keys}
    assert "Ctrl+Y" in layers  # as napari spells them
    menus = {str(one.keybinding) for one in get_app_model().keybindings}
    assert "Ctrl+O" in menus
    ours = {*PARTS, PAUSE}
    assert not ours & (layers | menus)
    # Those of the scatter need its focus; but an action of the window would make them ambiguous.
    assert not (set(_registered(widget)) | set(SCATTER)) & menus


def test_keys_turn_to_the_parts(viewer: Any, widget: Any, qtbot: Any) -> None:
    window = viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    for key, part in (
        ("1", "Particles"),
        ("4", "Validate"),
        ("2", "Training"),
        ("3", "Explore"),
        ("5", "Export"),
    ):
        QTest.keyClick(widget, key, Qt.KeyboardModifier.AltModifier)
        assert widget.tabs.tabText(widget.tabs.currentIndex()) == part
    QTest.keyClick(widget, "6", Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(widget.latent.view.hasFocus)


def test_a_key_pauses_the_training_and_goes_on(
    widget: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    training = widget.controller.training
    monkeypatch.setattr(training, "pause", lambda: asked.append("pause"))
    monkeypatch.setattr(training, "resume", lambda: asked.append("go on"))
    _registered(widget)[PAUSE].activated.emit()
    widget.session.training = TrainingStatus("paused", epochs=3)
    _registered(widget)[PAUSE].activated.emit()
    assert asked == ["pause", "go on"]
    widget.session.training = TrainingStatus()


def test_the_scatter_takes_its_keys_and_no_others(widget: Any) -> None:
    view = widget.latent.view

    def taken(keys: str) -> bool:
        mode_for_keys = QKeySequence(keys)[0]
        event = QtGui.QKeyEvent(
            QtGui.QKeyEvent.Type.KeyPress, mode_for_keys.key(), mode_for_keys.keyboardModifiers()
        )
        event.ignore()
        event.accept()
        view.keyPressEvent(event)
        return bool(event.isAccepted())

    assert not taken("X")
    polygon = {"Return", "Enter", "Backspace", "Esc"}
    for keys in set(SCATTER) - polygon:
        assert taken(keys), keys
    for keys in polygon:
        assert not taken(keys), keys  # there is none
        view._drawing.corners.append((0.0, 0.0))
        assert taken(keys), keys
        view._drawing.corners.clear()
