"""Plots as files: what is on the screen, with its data beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtGui import QImage

from napari_tomodrgn.gui.charts.figure_export import save_figure
from napari_tomodrgn.gui.charts.line_plot import Curve, LinePlot, resolution_texts


@pytest.fixture
def plot(qtbot: Any) -> LinePlot:
    plot = LinePlot("Spatial frequency (1/Å)", "FSC", resolution=True)
    qtbot.addWidget(plot)
    plot.resize(300, 180)
    frequency = np.linspace(0.001, 0.04, 20)
    plot.set_curves([Curve("", frequency, np.linspace(1, 0, 20), "#56b4e9")], level=0.143)
    return plot


def test_a_vector_picture_has_its_words_and_its_data(plot: LinePlot, tmp_path: Path) -> None:
    picture, table = save_figure(plot, tmp_path / "fsc", plot.data())
    assert picture.suffix == ".svg"
    words = picture.read_text()
    assert "Spatial frequency (1/Å)" in words and "<polyline" in words
    found = pd.read_csv(table)
    assert list(found.columns) == ["curve", "Spatial frequency (1/Å)", "FSC"]
    assert found["FSC"].iloc[[0, -1]].tolist() == [1.0, 0.0]


def test_a_pixel_picture_is_three_times_the_screen(plot: LinePlot, tmp_path: Path) -> None:
    picture, _ = save_figure(plot, tmp_path / "fsc.png", plot.data())
    assert (QImage(str(picture)).width(), QImage(str(picture)).height()) == (900, 540)


def test_ticks_of_frequencies_are_resolutions() -> None:
    assert resolution_texts([0.0, 0.02, 0.05]) == ["∞", "50 Å", "20 Å"]
