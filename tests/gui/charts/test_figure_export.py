"""Plots as files: what is on the screen, with its data beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QMenu

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.charts import figure_export
from napari_tomodrgn.gui.charts.figure_export import save_figure
from napari_tomodrgn.gui.charts.line_plot import (
    Curve,
    LinePlot,
    free_corner,
    resolution_texts,
)
from napari_tomodrgn.gui.charts.painting import tick_texts, ticks
from napari_tomodrgn.gui.charts.paper import ColorKey
from napari_tomodrgn.gui.charts.scatter_plot import ScatterPlot


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


def test_a_table_of_somebody_is_not_written_over(plot: LinePlot, tmp_path: Path) -> None:
    (tmp_path / "fsc.csv").write_text("of somebody")
    with pytest.raises(BadInputError, match="exists"):
        save_figure(plot, tmp_path / "fsc.svg", plot.data())
    assert [path.name for path in tmp_path.iterdir()] == ["fsc.csv"]
    assert (tmp_path / "fsc.csv").read_text() == "of somebody"
    first = save_figure(plot, tmp_path / "mine.svg", plot.data())
    assert save_figure(plot, tmp_path / "mine.svg", plot.data()) == first  # the dialog asked


def test_what_was_saved_is_said(
    plot: LinePlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(figure_export, "ask_for_file", lambda *_: str(tmp_path / "fsc.svg"))
    plot.findChild(figure_export.FigureSaver).saved.connect(said.append)
    plot.customContextMenuRequested.emit(plot.rect().center())
    plot.findChild(QMenu).actions()[0].trigger()
    assert said == [f"fsc.svg and fsc.csv written to {tmp_path}."]
    assert (tmp_path / "fsc.csv").exists()


def test_the_legend_is_where_no_curve_is(plot: LinePlot) -> None:
    x = np.linspace(0, 200, 201)
    falling = np.stack([x, 100 * (x / 200) ** 12], axis=1)  # high for long, as an FSC: y is down
    assert free_corner(falling, (200, 100), (40, 30)) == (3.0, 67.0)
    losses = np.stack([x, 100 - 100 * np.exp(-x / 20)], axis=1)
    assert free_corner(losses, (200, 100), (40, 30)) == (158.0, 3.0)
    # Of two, one is all along the top and one zigzags below: between them is room.
    two = np.concatenate([np.stack([x, 0 * x + y], axis=1) for y in (5, 15, 80, 95)])
    left, top = free_corner(two, (200, 100), (40, 30))
    assert (left, top) == (158.0, 35.0)


def test_a_line_is_more_than_its_corners() -> None:
    from napari_tomodrgn.gui.charts.line_plot import _along

    way = _along(np.array([[0.0, 0.0], [90.0, 30.0], [90.0, 60.0]]))
    assert np.abs(np.diff(way, axis=0)).max() <= 3.1
    assert (way[0].tolist(), way[-1].tolist()) == ([0.0, 0.0], [90.0, 60.0])


def test_a_pixel_picture_is_three_times_the_screen(plot: LinePlot, tmp_path: Path) -> None:
    picture, _ = save_figure(plot, tmp_path / "fsc.png", plot.data())
    assert (QImage(str(picture)).width(), QImage(str(picture)).height()) == (900, 540)


def test_ticks_of_frequencies_are_resolutions() -> None:
    assert resolution_texts([0.0, 0.02, 0.05]) == ["∞", "50 Å", "20 Å"]


def test_a_scatter_is_saved_for_paper_with_the_key_of_its_colours(
    qtbot: Any, tmp_path: Path
) -> None:
    """Circles on white, sharp at any size; rings of focus and pins are the window's alone."""
    scatter = ScatterPlot()
    qtbot.addWidget(scatter)
    scatter.resize(400, 300)
    places = np.array([[0.0, 0.0], [1.0, 1.0], [np.nan, 0.0]])
    scatter.set_points(places, np.array([[230, 159, 0], [86, 180, 233], [0, 0, 0]], np.uint8))
    scatter.set_labels("PC 1 (60%)", "PC 2 (40%)")
    scatter.set_focused(0)
    scatter.set_pinned([1])
    scatter.set_key(ColorKey("cluster", (("1  1", "#e69f00"), ("2  1", "#56b4e9"))))
    picture, _ = save_figure(scatter, tmp_path / "clusters.svg", pd.DataFrame())
    words = picture.read_text()
    assert "cluster" in words and "PC 1 (60%)" in words
    assert "<image" not in words and words.count("#e69f00") >= 2, "a point and its key"
    assert ">1.0<" in words or ">1<" in words, "numbers on both axes"
    scatter.set_labels("z 0", "")
    strip = save_figure(scatter, tmp_path / "strip.svg", pd.DataFrame())[0].read_text()
    assert strip.count("<text") < words.count("<text") - 1, "a strip's height measures nothing"
    scatter.set_labels("PC 1 (60%)", "PC 2 (40%)")
    written, _ = save_figure(scatter, tmp_path / "clusters.png", pd.DataFrame())
    image = QImage(str(written))
    assert image.pixelColor(2, 2).name() == "#ffffff"
    assert image.width() > 3 * 400 and image.height() == 3 * 300
    at = scatter.position_of(0)
    assert image.pixelColor(round(3 * at.x()), round(3 * at.y())).name() == "#e69f00"
    assert image.pixelColor(round(3 * at.x()) + 3 * 9, round(3 * at.y())).name() != "#000000"


def test_many_points_are_one_sharp_picture(qtbot: Any, tmp_path: Path) -> None:
    scatter = ScatterPlot()
    qtbot.addWidget(scatter)
    scatter.resize(400, 300)
    rng = np.random.default_rng(0)
    scatter.set_points(rng.normal(size=(20_000, 2)), np.full((20_000, 3), 90, np.uint8))
    picture, _ = save_figure(scatter, tmp_path / "many.svg", pd.DataFrame())
    assert "<image" in picture.read_text() and picture.stat().st_size < 1_000_000


def test_a_key_counts_what_it_has_no_room_for(qtbot: Any, tmp_path: Path) -> None:
    scatter = ScatterPlot()
    qtbot.addWidget(scatter)
    scatter.resize(300, 200)
    scatter.set_points(np.zeros((1, 2)), np.zeros((1, 3), np.uint8))
    scatter.set_key(ColorKey("tomogram", tuple((f"TS_{n}", "#56b4e9") for n in range(40))))
    words = save_figure(scatter, tmp_path / "many.svg", pd.DataFrame())[0].read_text()
    shown = sum(f">TS_{n}<" in words for n in range(40))
    assert 2 < shown < 12 and f"and {40 - shown} more" in words


def test_losses_that_are_near_each_other_have_ticks_of_their_own(qtbot: Any) -> None:
    plot, first = LinePlot("Epoch", "Loss", whole=True), np.array([1.0])
    qtbot.addWidget(plot)
    plot.set_curves([Curve(str(loss), first, first * loss, "#ffffff") for loss in (0.9129, 0.9131)])
    view = plot._view()
    assert (view.y_min + view.y_max) / 2 == pytest.approx(0.9130)
    names = tick_texts(ticks(view.y_min, view.y_max, 3))
    assert len(set(names)) == len(names) >= 2 and max(map(len, names)) <= 6
