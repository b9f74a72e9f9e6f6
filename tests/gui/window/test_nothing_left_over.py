"""Opening other data: nothing of what was open before is seen, named or asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from qtpy.QtWidgets import QWidget

from napari_tomodrgn.gui.plugin.sample_data import true_structures
from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME

LONG = 60_000


def test_volume_title_style_and_truth_go_with_their_data(
    viewer: Any,
    widget: Any,
    opened: Callable[[Path], Any],
    tiny_run: Path,
    tiny_star: Path,
    qtbot: Any,
) -> None:
    session = opened(tiny_run)
    for layer in true_structures(("80S",), tiny_run):
        viewer.add_image(layer[0], **layer[1])
    session.sigma, session.lowpass, session.style = 5.0, 90.0, "projection"
    session.pinned = (str(session.latents.index[0]),)
    opened(tiny_run)  # the same: the structures stay
    assert "truth 80S" in viewer.layers
    session.sigma = 5.0
    opened(tiny_star)
    assert [layer.name for layer in viewer.layers] == []
    assert viewer.canvas.overlays[CAPTION_NAME].text.startswith("No map yet")
    assert (session.sigma, session.lowpass, session.style) == (3.0, 0.0, "surface")
    assert session.metrics is None and session.quality == {}
    assert widget.latent.volumes.sigma_words.text() == "3.0 σ"
    assert widget.training.progress.plot.isHidden()
    assert "run" not in widget.header.title.text()
    assert not widget.header.chip.isVisible()
    assert {box.currentText() for box in (widget.latent.x_axis, widget.latent.y_axis)} == {""}
    overlays = viewer.canvas.overlays
    assert not overlays.scale_bar.visible and not overlays.axes.visible, "of nothing, in no unit"
    qtbot.wait(50)  # napari's welcome comes back with the last layer that goes
    welcome = [
        one
        for one in widget.window().findChildren(QWidget)
        if one.metaObject().className() == "QtWelcomeWidget"
    ]
    assert welcome and not any(one.isVisible() for one in welcome)


def test_a_colour_that_the_next_run_lacks_is_one_colour(
    widget: Any,
    opened: Callable[[Path], Any],
    drawn: Callable[[], None],
    tiny_run: Path,
    tmp_path: Path,
) -> None:
    first, second = (shutil.copytree(tiny_run, tmp_path / name) for name in ("one", "two"))
    session = opened(first)
    session.add_columns(pd.DataFrame({"cluster": ["1", "2"] * 12}, index=session.latents.index))
    session.color = "cluster"
    drawn()
    assert widget.latent.color.currentText() == "cluster"
    opened(second)
    session.color = "cluster"  # as it was set, or restored
    drawn()
    assert len(widget.latent.view.points) == len(session.latents)
    assert widget.latent.color.currentText() == "one colour"
    assert session.message is None or session.message.severity == "info"
    opened(first)
    session.color = "cluster"
    drawn()
    assert widget.latent.color.currentText() == "cluster"
