"""All pairs of components in one window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_tomodrgn.gui.latent_space.pair_plot import pairs_of


def test_pairs_are_those_that_there_are() -> None:
    assert pairs_of(["PC 1"]) == {}, "one latent is a strip"
    assert pairs_of(["PC 1", "strip", "PC 2", "PC 3"]) == {}, "beside one that is wide, too"
    assert pairs_of(["PC 1", "PC 2", "z 0"]) == {("PC 1", "PC 2"): (0, 0)}
    names = [*(f"PC {n}" for n in range(1, 7)), "UMAP 1", "UMAP 2"]
    cells = pairs_of(names)
    assert len(cells) == 7 and cells["UMAP 1", "UMAP 2"] == (0, 2)
    assert len(set(cells.values())) == 7, "no cell is taken twice"


def test_a_particle_is_the_same_in_every_cell_and_a_click_takes_its_axes(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, button = opened(tiny_run), widget.latent.pairs
    plot = button.plot
    assert not plot.isVisible()
    shown = button._shown
    button.set_contents(SimpleNamespace(names=["PC 1", "PC 2", "z 0"]))
    assert button.isHidden(), "one pair is what the scatter shows"
    button.set_contents(shown)
    button.click()
    assert plot.isVisible() and len(plot.pairs) == 3
    away = plot.geometry().center() - widget.window().frameGeometry().center()
    assert away.manhattanLength() < 60, "in the middle of the window, not in a corner"
    names = [str(name) for name in session.latents.index]
    for pair in plot.pairs:
        place = plot.place_of(pair, 3)
        assert plot.cell(pair).contains(place.toPoint())
        QTest.mouseMove(plot, place.toPoint())
        qtbot.waitUntil(lambda: session.hovered is not None)
        hovered = names.index(session.hovered)
        near = plot.place_of(pair, hovered) - place
        assert near.manhattanLength() < 2, "it, or one drawn over it"
    session.hovered = names[5]
    assert plot._marked == 5
    before = plot.grab().toImage()
    session.selection = frozenset(names[:2])
    assert plot.grab().toImage() != before, "others fade"
    pair = plot.pairs[-1]
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=plot.cell(pair).center())
    assert session.axes == pair
    QTest.keyClick(plot, Qt.Key.Key_Escape)
    assert not plot.isVisible()
    button.click()
    assert plot.isVisible()
    button.click()
    assert not plot.isVisible()


def test_a_large_set_is_thinned_and_a_particle_finds_its_place(qtbot: Any) -> None:
    from napari_tomodrgn.gui.latent_space.pair_plot import PairPlot

    plot = PairPlot()
    qtbot.addWidget(plot)
    plot._rows = np.linspace(0, 999_999, 50_000).astype(np.int64)
    assert plot._nearest_row(0) == 0 and plot._nearest_row(999_999) == 49_999
    assert abs(plot._rows[plot._nearest_row(123_456)] - 123_456) <= 20
