"""Small things that all panels share."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtGui import QImage, QPainter

from napari_tomodrgn.gui.widgets import icons
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


def test_each_icon_is_drawn_in_the_colour_it_is_asked_for(qapp: Any) -> None:
    names = [Path(str(file)).stem for file in (files(icons.__package__) / "drawings").iterdir()]
    assert len(names) == 22
    for name in names:
        drawn = icons.icon(name, "#ff0000").pixmap(icons.SIZE).toImage()
        seen = [drawn.pixelColor(x, y) for x in range(16) for y in range(16)]
        solid = [color for color in seen if color.alpha() > 200]
        assert len(solid) > 8 and all(color.red() > 250 > 5 > color.blue() for color in solid), name
