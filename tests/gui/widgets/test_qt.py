"""Small things that all panels share."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtGui import QImage, QPainter

from napari_tomodrgn.gui.widgets.qt import painter_on


def test_a_painter_ends_with_its_block_whoever_holds_it(qapp: Any) -> None:
    """As a traceback or a profiler holds it: let go after its widget, it ends the process."""
    image = QImage(8, 8, QImage.Format.Format_Grayscale8)
    held: list[QPainter] = []
    with painter_on(image) as painter:
        held.append(painter)
        assert image.paintingActive()
    assert not image.paintingActive()
    with pytest.raises(ValueError, match="in the middle"), painter_on(image) as painter:
        held.append(painter)
        raise ValueError("in the middle of it")
    assert not image.paintingActive() and not any(painter.isActive() for painter in held)
