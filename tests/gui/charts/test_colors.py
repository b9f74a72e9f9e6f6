"""Values to colours: clipping, angles, the legend that explains them, the card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.gui.charts.colormaps import colors_of, gradient, hue_circle
from napari_tomodrgn.gui.latent_space.color_legend import Legend
from napari_tomodrgn.gui.latent_space.preview_card import PreviewCard
from napari_tomodrgn.gui.latent_space.preview_service import PreviewData
from napari_tomodrgn.particle_columns import Clip, Column, ParticleTable

LEFT = Qt.MouseButton.LeftButton
LONG = 60_000


def test_angles_that_mean_the_same_have_the_same_color() -> None:
    table = pd.DataFrame({"mu_0": np.zeros(4)}, index=list("abcd"))
    added_columns = pd.DataFrame({"rlnAnglePsi": [-179.9, 180.1, 0.0, 360.0]}, index=list("abcd"))
    angles = ParticleTable(table, None, added_columns).column("rlnAnglePsi")
    assert angles.period == 360
    assert angles.limits == (-180, 180)
    one, same, zero, turn = colors_of(angles, 4).astype(int)
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(zero, turn)
    assert np.abs(one - zero).max() > 80, "half a turn away it is another"
    assert ParticleTable(table).column("mu_0").period == 0


def test_no_hue_is_brighter_and_none_is_far_from_the_next() -> None:
    circle = hue_circle().astype(float)
    steps = np.linalg.norm(np.roll(circle, -1, axis=0) - circle, axis=1)
    assert steps.max() < 12, "also from the last to the first"
    luminance = (circle / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert np.ptp(luminance) < 0.12


def test_an_outlier_no_longer_takes_all_the_colors() -> None:
    values = np.append(np.linspace(0, 1, 99), 1000.0)
    whole, clipped = Column("x", values), Column("x", values, clip=Clip(2.0))
    assert np.ptp(colors_of(whole, 100)[:99].astype(int), axis=0).max() <= 2
    assert np.ptp(colors_of(clipped, 100)[:99].astype(int), axis=0).max() > 150
    np.testing.assert_array_equal(colors_of(clipped, 100)[99], gradient()[-1])
    fixed = Column("x", values, clip=Clip(limits=(0.25, 0.75), of="x"))
    assert fixed.limits == (0.25, 0.75)
    assert Column("y", values, clip=fixed.clip).limits == (0.0, 1000.0), "limits of another column"


@pytest.fixture
def legend(qtbot: Any) -> Legend:
    legend = Legend()
    qtbot.addWidget(legend)
    legend.resize(200, 140)
    legend.show()
    return legend


def test_limits_are_typed_or_chosen(legend: Legend, qtbot: Any) -> None:
    legend.set_column(Column("dose", np.linspace(0, 50, 11)))
    assert (legend.low.text(), legend.high.text()) == ("0", "50")
    legend.high.setText("20,5")
    with qtbot.waitSignal(legend.clip_chosen) as heard:
        legend.high.editingFinished.emit()
    assert heard.args[0] == Clip(limits=(0.0, 20.5), of="dose")
    for nonsense in ("-3", "x"):
        legend.high.setText(nonsense)
        with qtbot.assertNotEmitted(legend.clip_chosen):
            legend.high.editingFinished.emit()
        assert legend.high.text() == "50"
    with qtbot.waitSignal(legend.clip_chosen) as heard:
        legend.range.menu().actions()[1].trigger()
    assert heard.args[0] == Clip(1.0)


def test_chips_are_buttons_and_angles_have_no_limits(legend: Legend, qtbot: Any) -> None:
    legend.set_column(Column("state", np.array([0, 1, 1, -1]), ("open", "closed")))
    line = legend.key.fontMetrics().height() + 3
    legend.grab()
    with qtbot.waitSignal(legend.category_chosen) as heard:
        QTest.mouseClick(legend.key, LEFT, pos=QPoint(20, round(2.5 * line)))
    assert heard.args[0] == 1
    assert legend.low.isHidden() or not legend.low.isVisible()
    legend.set_column(Column("psi_deg", np.array([10.0, 350.0]), period=360.0))
    assert not legend.low.isVisible()


@pytest.mark.parametrize("count", [4, 15])
@pytest.mark.parametrize("points", [9, 16])
def test_every_class_is_reached_however_many_there_are(
    legend: Legend, qtbot: Any, count: int, points: int
) -> None:
    """Those that there was no room for were "and 12 more", which did nothing."""
    names = tuple(str(number) for number in range(1, count + 1))
    legend.setStyleSheet(f"QWidget {{ font-size: {points}pt; }}")
    legend.set_column(Column("cluster", np.arange(count), names))
    key, bar = legend.key, legend.area.verticalScrollBar()
    qtbot.waitUntil(lambda: key.minimumHeight() == (1 + count) * key.line_px)
    legend.area.setMinimumHeight(0)
    legend.setFixedHeight(4 * key.line_px)  # a name and three classes
    qtbot.waitUntil(lambda: bar.maximum() > 0)
    bottom = legend.area.viewport().rect().bottom()
    for _ in range(40):
        at = legend.area.viewport().rect().center().toPointF()
        turn = QWheelEvent(
            *(at, legend.mapToGlobal(at), QPoint(), QPoint(0, -120)),
            *(Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier),
            *(Qt.ScrollPhase.NoScrollPhase, False),
        )
        QApplication.sendEvent(legend.area.viewport(), turn)
    with qtbot.waitSignal(legend.category_chosen) as heard:
        QTest.mouseClick(key, LEFT, pos=key.mapFromParent(QPoint(20, bottom - 6)))
    assert heard.args[0] == count - 1
    image = key.grab().toImage()
    row = round((count + 0.5) * key.line_px)
    lit = [image.pixelColor(x, row) != image.pixelColor(190, 1) for x in range(14)]
    assert any(lit), "the last has its dot"


def test_hovering_fills_the_card(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session = opened(tiny_run)
    card, hovering = widget.latent.card, widget.controller.preview
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert card.card.identity == session.focused
    other = next(str(name) for name in session.latents.index if name != session.focused)
    session.color = "psi_deg"
    QTest.mouseMove(
        widget.latent.view,
        widget.latent.view.position_of(session.latents.index.get_loc(other)).toPoint(),
    )
    session.hovered = other  # whichever lies on top of it
    qtbot.waitUntil(lambda: not hovering.fitting.is_busy, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    shown = card.card
    assert shown.identity == other
    assert shown.facts[0] == "5 tilts"
    assert shown.facts[1].startswith("psi (°): ")
    assert shown.volume is not None and shown.volume[..., 3].any()
    angles = [angle for angle, _ in shown.tilts]
    stage = session.particles.images.query("particle_id == @other")["stage_tilt_deg"].abs()
    assert np.abs(angles).tolist() == [stage.min(), stage.max()]
    assert all(np.ptp(picture) > 100 for _, picture in shown.tilts)
    before = shown.volume
    session.hovered = session.focused
    session.hovered = other
    assert card.card.volume is before or (card.card.volume == before).all(), "it was kept"
    session.hovered = None
    assert card.card.identity == session.focused


def test_a_card_says_why_there_are_no_images(qtbot: Any) -> None:
    card = PreviewCard()
    qtbot.addWidget(card)
    card.resize(card.sizeHint())
    empty = card.grab().toImage()
    card.set_card(PreviewData("TS/1", ("3 tilts",), missing="Its tilt images are not there."))
    assert card.grab().toImage() != empty


def test_a_legend_keeps_room_for_its_names_and_the_card_gives_way(qtbot: Any) -> None:
    from qtpy.QtWidgets import QVBoxLayout, QWidget

    side, legend, card = QWidget(), Legend(), PreviewCard()
    layout = QVBoxLayout(side)
    layout.addWidget(legend, 1)
    layout.addWidget(card)
    qtbot.addWidget(side)
    card.set_card(PreviewData("TS/1", ("3 tilts", "state: open")))
    legend.set_column(Column("state", np.array([0, 1, 2]), ("open", "closed", "neither")))
    line = legend.key.line_px
    side.resize(200, 4 * line + 90)  # as little as large type leaves
    side.show()
    legend.grab()
    assert legend.key.visibleRegion().boundingRect().bottom() + 1 >= 4 * line, "all three names"
    assert card._edge() < 60
    side.resize(200, 400)
    assert card._edge() > 50


def test_a_star_file_without_places_says_so_where_tomograms_are_listed(
    widget: Any, tiny_star: Path, qtbot: Any
) -> None:
    from dataclasses import replace

    from napari_tomodrgn.data.dialects import read_particles

    particles = read_particles(tiny_star)
    widget.session.particles = particles
    assert widget.tomogram.status.text().startswith("Click a tomogram")
    table = particles.particles.assign(**{f"position_{axis}_angstrom": np.nan for axis in "xyz"})
    widget.session.particles = replace(particles, particles=table)
    assert widget.tomogram.status.text().startswith("This star file has no tomogram coordinates")
    widget.session.particles = None
