"""What a mouse does with a star file, from checks to a report: `mouse`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from hands import settle, until
from mouse_hand import PATIENCE_S, Hand, xdotool
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QAbstractSpinBox

from napari_tomodrgn.analysis.latents.components import mean_columns


def example(hand: Hand) -> None:
    """The empty window, the example, and what of it must be gone later."""
    widget, session = hand.widget, hand.session
    hand.check("empty", widget.particles.example.isVisible(), widget.header.title.text())
    hand.click(widget.particles.example)
    until(lambda: session.decoded is not None and widget.controller.idle, PATIENCE_S)
    settle(2.0)
    off = not widget.training.button.isEnabled()
    hand.check("example", off and "tomodrgn_caption" in hand.viewer.canvas.overlays, "no Train")
    colors = widget.latent.color
    hand.choose(colors, colors.findData("cluster"))
    hand.check("coloured", session.color == "cluster", session.color)
    _straight(hand)
    for key in ("Tab", "Tab", "Tab"):
        xdotool("key", key)
    settle(0.5)
    from qtpy.QtWidgets import QApplication

    focus: Any = QApplication.focusWidget()
    inside = widget.isAncestorOf(focus) or widget.latent.isAncestorOf(focus)
    hand.check("tab shows where it goes", inside, type(focus).__name__)


def _straight(hand: Hand) -> None:
    """The first entry of the path menu goes straight along an axis."""
    session, path = hand.session, hand.widget.latent.path
    keys = ("Down", "Down", "Return")
    hand.answering(lambda: hand.click(path.choose), lambda: xdotool("key", *keys))
    until(lambda: session.trajectory is not None and hand.widget.controller.idle, PATIENCE_S)
    name, points = session.trajectory.name, session.trajectory.points
    z = np.array([point.z for point in points])
    share = np.linspace(0, 1, len(z))[:, None]
    bent = float(np.abs(z - z[0] - share * (z[-1] - z[0])).max())
    hand.check("a straight axis", bent < 1e-4, f"{name}, {bent:.1g} off the line")
    hand.click(path.stop)
    hand.step("Particles")


def star(hand: Hand, path: Path) -> None:
    """A star file is opened after the example: nothing of that is left; its checks pass."""
    widget, session = hand.widget, hand.session
    hand.step("Particles")
    panel = widget.particles
    opening: Any = panel.findChildren(type(panel.example))
    button = next(one for one in opening if one.text().startswith("Open star"))
    hand.file(button, path)
    until(lambda: session.particles is not None and session.source == path, PATIENCE_S)
    settle(1.0)
    names = [layer.name for layer in hand.viewer.layers]
    hand.check("nothing left over", not names and session.color == "", (names, session.color))
    until(lambda: not session.preflight_status.busy and widget.controller.idle, PATIENCE_S)
    hand.check("checks", "passed" in panel.checks.summary.text(), panel.checks.summary.text())
    hand.click(panel.overview_section.heading)
    until(lambda: widget.controller.idle, PATIENCE_S)
    hand.click(panel.look.projections)
    until(lambda: widget.controller.idle, PATIENCE_S)
    hand.check("projections", hand.viewer.dims.ndisplay == 2, [*map(str, hand.viewer.layers)])


def seconds_of(forecast: dict[str, Any], epochs: int) -> float:
    """A whole training: its epochs, and what is around them, however many they are."""
    around = forecast["first_look_seconds"] + forecast["refining_seconds"]
    return float(around + epochs * forecast["seconds_per_epoch"])


def train(hand: Hand) -> None:
    """First look, a click while the network trains, pause, resume, the end."""
    widget, session, panel = hand.widget, hand.session, hand.widget.training
    hand.step("Training")
    for section in (panel.choice_section, panel.section):
        hand.click(section.heading)
    hand.check("form", panel.choice_section.is_open and panel.section.is_open)
    for section in (panel.section, panel.choice_section):
        hand.click(section.heading)
    hand.choose(panel.preset, 0)
    hand.click(panel.button)
    until(lambda: session.training.busy, PATIENCE_S)
    hand.check("first look begins", True, widget.header.state.text())
    said = _watched(hand)
    hand.check("no 100 % before the end", not any("100%" in one for one in said), len(said))
    first = Path(session.run.path)
    hand.check("first look", "σ" in widget.header.chip.text(), widget.header.chip.text())
    axes = [box.currentText() for box in (widget.latent.x_axis, widget.latent.y_axis)]
    if len(mean_columns(session.latents)) == 1:
        hand.check("one latent is a strip", axes == ["z 0", "strip"], axes)
    hand.choose(panel.preset, 1)
    until(lambda: "seconds" in session.forecast and widget.controller.idle, PATIENCE_S)
    longer = session.forecast["seconds"]
    epochs: Any = panel.form.findChildren(QAbstractSpinBox)
    hand.click(epochs[0])
    xdotool("key", "ctrl+a")
    hand.type("8", "Tab")
    hand.check("eight epochs", panel.config().train.epochs == 8, panel.config().train.epochs)
    until(lambda: "seconds" in session.forecast and widget.controller.idle, PATIENCE_S)
    settle(1.0)
    until(lambda: "seconds" in session.forecast and widget.controller.idle, PATIENCE_S)
    shorter = session.forecast["seconds"]
    words = f"{longer:.0f} s for 30 epochs, {shorter:.0f} s for 8: {panel.forecast.text()}"
    right = shorter < longer and abs(shorter - seconds_of(session.forecast, epochs=8)) < 0.1
    hand.check("a forecast of what is asked for", right, words)
    hand.check("a folder of its own", panel.folder.folder != str(first), panel.folder.folder)
    hand.click(panel.button)
    until(lambda: session.training.phase == "training" and session.epoch >= 1, 2 * PATIENCE_S)
    until(lambda: session.decoded is not None, PATIENCE_S)
    settle(1.0)
    view = widget.latent.view
    hand.point(int(view.points[:, 0].argmax()))
    chosen = session.focused
    until(lambda: session.decoded.particle_id == chosen, PATIENCE_S)
    hand.check("a click while it trains", session.training.busy, f"{chosen}, {session.epoch=}")
    _hold(hand)
    until(lambda: not session.training.busy and widget.controller.idle, 2 * PATIENCE_S)
    hand.check("trained", "σ" in widget.header.chip.text(), widget.banner.text)


def _watched(hand: Hand) -> set[str]:
    """Wait for the end of a training; all that was said on the way."""
    said, session = set[str](), hand.session

    def over() -> bool:
        if session.training.busy:
            said.update(
                (hand.widget.header.state.text(), hand.widget.training.progress.status.text())
            )
        return not session.training.busy and hand.widget.controller.idle

    until(over, PATIENCE_S)
    return said


def _hold(hand: Hand) -> None:
    """Pause, continue, stop; resume the run."""
    session, panel = hand.session, hand.widget.training
    hand.click(panel.button)
    until(lambda: session.training.phase == "paused", PATIENCE_S)
    hand.check("paused", panel.button.text() == "Continue", panel.progress.status.text())
    hand.click(panel.button)
    until(lambda: session.training.phase == "training", PATIENCE_S)
    hand.check("continued", panel.button.text() == "Pause", panel.progress.status.text())
    hand.click(panel.stop)
    until(lambda: not session.training.busy and hand.widget.controller.idle, PATIENCE_S)
    hand.check("stopped", panel.resume.isVisible(), panel.resume.text())
    hand.click(panel.resume)
    until(lambda: session.training.busy, PATIENCE_S)
    hand.check("resumed", True, hand.widget.header.state.text())


def judge(hand: Hand, out: Path) -> None:
    """Two clusters become two named selections, which are compared and reported."""
    widget, session = hand.widget, hand.session
    tools, legend = widget.latent.tools, widget.latent.legend
    menu = tools._named["clusters"]
    hand.answering(lambda: hand.click(menu), lambda: xdotool("key", "Down", "Down", "Return"))
    until(lambda: session.color == "cluster" and widget.controller.idle, PATIENCE_S)
    marked = [
        name for name, one in widget.stepper.buttons.items() if one.property("state") == "next"
    ]
    hand.check("clusters", marked == ["Validate"], f"next: {marked}")
    hand.step("Validate")
    key = legend.findChildren(_key())[0]
    for row, name in ((1, "one"), (2, "other")):
        hand.click(key, QPoint(8, round((row + 0.5) * key.line_px)))
        hand.click(widget.selections.name)
        hand.type(name)
        hand.click(widget.selections.keep)
        until(lambda row=row: len(session.selections) == row, PATIENCE_S)
    hand.check("two selections", True, [one.name for one in session.selections])
    panel = widget.comparison
    for box, name in ((panel.a, "named one"), (panel.b, "named other")):
        hand.choose(box, box.findData(name))
    hand.check("two groups", "one" in panel.a.currentText(), panel.b.currentText())
    hand.click(panel.compare)
    until(lambda: session.comparison is not None and widget.controller.idle, PATIENCE_S)
    settle(2.0)
    hand.check("compared", session.canvas_mode == "comparison", panel.sentence.text())
    hand.file(panel.report, out / "report.html")
    until(lambda: (out / "report.html").is_file() and widget.controller.idle, PATIENCE_S)
    hand.check("report", (out / "report.html").stat().st_size > 10_000, widget.banner.text)


def _key() -> Any:
    from napari_tomodrgn.gui.latent_space.color_legend import _Key

    return _Key


def take_out(hand: Hand, source: Path, out: Path) -> None:
    """The tomogram, a figure of it, and what an export refuses."""
    widget, session, page = hand.widget, hand.session, hand.widget.export
    hand.step("Explore")
    rows = widget.tomogram.list
    hand.click(rows.viewport(), rows.visualItemRect(rows.topLevelItem(0)).center())
    until(lambda: session.canvas_mode == "tomogram" and widget.controller.idle, PATIENCE_S)
    settle(2.0)
    hand.check("tomogram", bool(session.tomogram), widget.tomogram.status.text())
    hand.step("Export")
    hand.check("export", page.picture.isEnabled(), page.star.text())
    figure = out / "figure.png"
    hand.answering(
        lambda: hand.click(page.picture),
        lambda: xdotool("key", "Return"),
        lambda: hand.type(str(figure), "Return"),
    )
    until(lambda: figure.is_file() and widget.controller.idle, PATIENCE_S)
    hand.check("figure", figure.stat().st_size > 10_000, widget.banner.text)
    before = source.read_bytes()
    hand.file(page.star, source, "alt+y")
    until(lambda: widget.controller.idle, PATIENCE_S)
    right = source.read_bytes() == before and "is not written over" in widget.banner.text
    hand.check("never over what is read", right, widget.banner.text)
    hand.file(page.map, out / "new folder" / "map.mrc")
    until(lambda: (out / "new folder" / "map.mrc").is_file() and widget.controller.idle, PATIENCE_S)
    hand.check("into a new folder", "map.mrc" in widget.banner.text, widget.banner.text)


def wrong_files(hand: Hand, folder: Path, source: Path) -> None:
    """What is no data set is one sentence, and what was open is gone or stays, never half."""
    widget, session = hand.widget, hand.session
    folder.mkdir()
    star = source.with_name("particles.star").read_text()
    shutil.copy(source.with_name("particles_tomograms.star"), folder)
    bad = {
        "empty.star": "",
        "words.star": "this is no star file at all\n",
        "no-images.star": star.replace(".mrcs", "_gone.mrcs"),
        "cut.star": star[: len(star) // 2],
    }
    (folder / "no run").mkdir()
    buttons: Any = widget.particles.findChildren(type(widget.particles.example))
    named = {one.text(): one for one in buttons}
    for name, text in bad.items():
        (folder / name).write_text(text)
        hand.step("Particles")
        hand.file(named["Open star file…"], folder / name)
        _refused(hand, name)
    hand.file(named["Open run…"], folder / "no run")
    _refused(hand, "no run")
    hand.file(named["Open star file…"], source)
    until(lambda: session.source == source and widget.controller.idle, PATIENCE_S)
    hand.check("a good one afterwards", session.particles is not None, widget.header.title.text())


def _refused(hand: Hand, name: str) -> None:
    session = hand.session
    until(lambda: hand.widget.controller.idle, PATIENCE_S)
    settle(1.0)
    told = [one.message for one in session.checks if one.verdict in ("error", "warning")]
    words = hand.widget.banner.text or " ".join(told)
    hand.check(f"refused {name}", bool(words) and "Traceback" not in words, words)
