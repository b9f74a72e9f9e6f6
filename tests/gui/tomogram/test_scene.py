"""The tomogram that is gone to: the one where the particle in focus is, open or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton


def test_go_to_opens_the_tomogram_of_the_particle_in_focus(
    viewer: Any, widget: Any, qtbot: Any, tiny_run: Path, opened: Callable[[Path], Any]
) -> None:
    session, scene = opened(tiny_run), widget.controller.tomogram_scene
    assert len(session.tomogram_files) == 2
    buttons = widget.tomogram.look.findChildren(QPushButton)
    go_to = next(one for one in buttons if one.text() == "Go to")
    for name in ("TS_001.tomostar", "TS_002.tomostar"):
        own = session.particles.particles["tomogram"].astype(str) == name
        session.focused = str(session.particles.particles.index[own][3])
        QTest.mouseClick(go_to, Qt.MouseButton.LeftButton)
        assert session.tomogram == name
        qtbot.waitUntil(lambda: widget.controller.idle)
        assert scene.tomogram is not None, "its file was read"
        place = scene.positions[scene.poses.ids.index(session.focused)]
        np.testing.assert_allclose(viewer.scene.camera.center, place, err_msg="and stays there")
        session.canvas_mode = "particle"
        QTest.mouseClick(go_to, Qt.MouseButton.LeftButton)
        assert session.canvas_mode == "tomogram", "not an invisible jump"
    column = session.particles.particles.columns.get_loc("position_x_angstrom")
    session.particles.particles.iloc[0, column] = np.nan
    session.tomogram, lost = "", str(session.particles.particles.index[0])
    session.focused = lost
    QTest.mouseClick(go_to, Qt.MouseButton.LeftButton)
    assert session.message.text == f"{lost} has no place in a tomogram."
    qtbot.waitUntil(lambda: widget.controller.idle)
