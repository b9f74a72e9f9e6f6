"""The header and the steps: what is always in sight, and that nothing below them moves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.window.header import Header
from napari_tomodrgn.gui.window.stepper import Stepper, done_steps, next_step
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.verdict import Verdict
from napari_tomodrgn.work_status import TrainingStatus, WorkStatus

LEFT = Qt.MouseButton.LeftButton
INVISIBLE = dict.fromkeys(map(ord, "\u2060\u200b"))  # what breaks lines, or keeps them together
RUN: Any = SimpleNamespace(path=SimpleNamespace(name="run_7"), config=RunConfig())
LATENTS = pd.DataFrame({"mu_0": [0.0, 1.0, 2.0]}, index=["TS/1", "TS/2", "TS/3"])
MISSING = Check("unreadable-stack", "info", "The images are not there.")
CLUSTERS = pd.DataFrame({"cluster": list("112")}, index=LATENTS.index)


@pytest.mark.parametrize(
    ("sigma", "kind", "words"),
    [
        (8.4, "supported", "Heterogeneity is supported: 8.4 σ on held-out images (threshold 3 σ)."),
        (2.0, "unsupported", "No significant heterogeneity (2.0 σ on held-out images, threshold "),
        (None, "untested", "Heterogeneity is untested"),
    ],
)
def test_the_verdict_stays_when_its_message_is_dismissed(
    qtbot: Any, sigma: float | None, kind: str, words: str
) -> None:
    session = Session(
        run=RUN, quality={} if sigma is None else {"told_apart_standard_errors": sigma}
    )
    header = Header(session)
    qtbot.addWidget(header)
    header.show()
    session.show_message("Saved.")
    header.banner.dismiss.click()
    verdict = Verdict.of(session.quality)
    assert verdict.kind == kind and verdict.sentence.startswith(words)
    assert header.banner.text == ""
    assert header.chip.isVisible() and header.chip.toolTip() == verdict.sentence
    assert ("σ" in header.chip.text()) == (sigma is not None)


def test_a_comparison_that_names_another_cause_puts_the_verdict_in_doubt(qtbot: Any) -> None:
    session = Session(run=RUN, quality={"told_apart_standard_errors": 32.8})
    header = Header(session)
    qtbot.addWidget(header)
    assert header.chip.text() == "✓ variation: 32.8 σ"
    for cause, words in (
        ("alignment", "! variation: 32.8 σ, alignment"),
        ("contrast or empty box", "! variation: 32.8 σ, contrast"),
        ("molecule", "✓ variation: 32.8 σ"),
        ("", "✓ variation: 32.8 σ"),  # of these two groups; others may differ
    ):
        sentence = f"1 and 2 differ, but not in the molecule: the cause is {cause}."
        session.comparison = SimpleNamespace(record={"cause": cause, "sentence": sentence})
        assert header.chip.text() == words
        assert header.chip.toolTip().endswith(sentence) == bool(cause)
        assert ("Compare two groups" in header.chip.toolTip()) == (not cause)
    session.comparison = None
    assert header.chip.text() == "✓ variation: 32.8 σ"


def test_a_comparison_of_some_particles_says_nothing_of_all(qtbot: Any) -> None:
    """As of the halves of one of four clusters."""
    session = Session(run=RUN, quality={"told_apart_standard_errors": 28.9})
    header = Header(session)
    qtbot.addWidget(header)
    record = {"cause": "alignment", "sentence": "left and right differ", "particles_a": 53}
    for others, sign in ((47, "✓"), (300, "!")):
        counts = {"particles_b": others, "particles_in_run": 400}
        session.comparison = SimpleNamespace(record={**record, **counts})
        assert header.chip.text().startswith(sign)


def test_a_second_training_is_not_called_by_the_run_before(qtbot: Any) -> None:
    session = Session(run=RUN, latents=LATENTS, epoch=3)
    session.quality = {"told_apart_standard_errors": 32.8}
    header = Header(session)
    qtbot.addWidget(header)
    session.training = TrainingStatus("preparing", run_name="run_8")
    assert header.title.text() == "run_8  ·  still on show: run_7  ·  epoch 3"
    assert header.chip.text() == "? pending" and "untested" in header.chip.toolTip()
    session.training = TrainingStatus()  # it was refused, or stopped before there was anything
    assert header.title.text() == "run_7  ·  epoch 3"
    assert header.chip.text() == "✓ variation: 32.8 σ"
    session.training = TrainingStatus("preparing", run_name="run_7")  # it goes on
    assert header.chip.text() == "✓ variation: 32.8 σ"


def test_the_run_that_trains_is_named_from_its_start(qtbot: Any) -> None:
    session = Session(source=Path("particles.star"))
    header = Header(session)
    qtbot.addWidget(header)
    session.training = TrainingStatus("preparing", run_name="particles_run01")
    assert header.title.text() == "particles_run01  ·  no points yet"
    name = SimpleNamespace(name="particles_run01")
    linear: Any = SimpleNamespace(path=name, config=RunConfig(method="linear"))
    session.update(run=linear, latents=LATENTS, epoch=2)
    assert header.title.text() == "particles_run01  ·  iteration 2"
    # What tells the names apart, not what both begin with, which would be all there is room for.
    session.training = TrainingStatus("preparing", run_name="particles_run02")
    assert header.title.text() == "run02  ·  still on show: run01  ·  iteration 2"


def test_messages_and_states_move_nothing(qtbot: Any) -> None:
    session = Session()
    header = Header(session)
    qtbot.addWidget(header)
    header.resize(300, header.sizeHint().height())
    header.show()
    heights = set()
    for words in ("", "Saved.", "A sentence that goes on for longer than the line holds, " * 6):
        session.show_message(words, "warning") if words else None
        qtbot.wait(1)
        heights.add((header.sizeHint().height(), header.banner.height()))
    session.update(run=RUN, latents=LATENTS, epoch=3, training=TrainingStatus("training", 3, 9))
    qtbot.wait(1)
    heights.add((header.sizeHint().height(), header.banner.height()))
    assert len(heights) == 1
    assert header.banner.label.text().endswith("…")
    assert header.banner.label.toolTip() == header.banner.text
    assert header.title.text() == "run_7  ·  epoch 3"
    assert header.state.text() == "Epoch 3 … 0%"


def test_a_short_line_leaves_folders_out_before_it_leaves_out_what_happened(qtbot: Any) -> None:
    session = Session()
    header = Header(session)
    qtbot.addWidget(header)
    header.resize(260, header.sizeHint().height())
    header.show()
    header.banner.set_room(600)  # a low window, where there are two lines
    path = "/data/2026/session/warptools/relion/particles.star"
    session.show_message(f"{path}: not a STAR file, it has no data_ line.", "error")
    qtbot.wait(1)
    shown = header.banner.label.text().translate(INVISIBLE)
    assert shown == "✕  …/particles.star: not a STAR file, it has no data_ line."
    assert path in header.banner.text and path in header.banner.label.toolTip()
    session.show_message("Saved in /data/run.")
    qtbot.wait(1)
    assert "/data/run" in header.banner.label.text().translate(INVISIBLE)


def test_a_path_in_a_message_is_copied_as_it_is(qtbot: Any) -> None:
    session = Session(latents=LATENTS, run=RUN)
    header = Header(session)
    qtbot.addWidget(header)
    header.show()
    words = "Saved in /data/my_run/epoch_3,final.star."
    session.show_message(words)
    header.banner.toggle()
    label = header.banner._whole.label
    assert "/\u2060data" in label.text(), "a line is not broken after the first slash"
    label.setSelection(0, len(label.text()))
    clipboard: Any = QApplication.clipboard()
    clipboard.setText(label.selectedText())
    qtbot.waitUntil(lambda: clipboard.text() == words)
    header.banner.toggle()


def test_lines_are_as_high_as_their_letters_whenever_these_grow(qtbot: Any) -> None:
    session = Session(latents=LATENTS, run=RUN)
    header = Header(session)
    qtbot.addWidget(header)
    header.show()
    session.show_message("words " * 30)
    small = header.banner.height()
    header.setStyleSheet("* { font-size: 16pt; }")  # as napari's settings do
    qtbot.waitUntil(lambda: header.banner.height() > 1.4 * small)
    for label in (header.title, header.state):
        assert label.height() >= label.fontMetrics().height()
    assert header.banner.label.heightForWidth(header.banner.label.width()) <= header.banner.height()


def _in_a_dock(qtbot: Any, session: Session, height: int) -> tuple[QWidget, Header, QPushButton]:
    """The header as wide as it comes, over a step."""
    dock, header, step = QWidget(), Header(session), QPushButton("Export")
    layout = QVBoxLayout(dock)
    layout.setContentsMargins(6, 6, 6, 6)  # as in the dock
    for one in (header, step):
        layout.addWidget(one)
    layout.addStretch(1)
    qtbot.addWidget(dock)
    dock.resize(330, height)
    dock.move(600, 50)
    dock.show()
    qtbot.waitExposed(dock)
    return dock, header, step


def test_a_typical_sentence_is_read_without_a_click(qtbot: Any) -> None:
    session = Session()
    dock, header, _ = _in_a_dock(qtbot, session, 840)
    words = (
        "The data show 2 clusters, which explain held-out particles best. In the legend a "
        "click on a name selects its particles, map shows its map, Compare asks."
    )
    assert 150 <= len(words) <= 160
    session.show_message(words)
    qtbot.wait(1)
    label = header.banner.label
    assert label.text().translate(INVISIBLE) == f"i  {words}"
    assert label.heightForWidth(label.width()) <= label.height()
    assert not header.banner.more.isVisible(), "there is no more"
    high = header.banner.height()
    session.show_message(words * 3)
    qtbot.wait(1)
    assert header.banner.more.isVisible() and header.banner.height() == high
    dock.resize(330, 640)  # of a small screen: pages need the height
    qtbot.waitUntil(lambda: header.banner.height() < 0.7 * high)
    assert label.text().endswith("…") and label.heightForWidth(label.width()) <= label.height()


def test_a_long_message_is_read_beside_and_takes_no_click(qtbot: Any) -> None:
    session = Session()
    dock, header, step = _in_a_dock(qtbot, session, 840)
    banner, whole, pressed = header.banner, header.banner._whole, []
    step.clicked.connect(lambda: pressed.append("step"))
    session.show_message("words " * 90)
    qtbot.wait(1)
    banner.more.click()
    assert whole.isVisible() and whole.label.text().count("words") == 90
    assert whole.geometry().right() < dock.mapToGlobal(QPoint(0, 0)).x(), "it covers no step"
    QTest.mouseClick(whole.label, LEFT)
    assert whole.isVisible(), "its words can be marked"
    QTest.mouseClick(step, LEFT)
    assert pressed == ["step"] and not whole.isVisible() and banner.text
    QTest.mouseClick(banner.label, LEFT)
    assert whole.isVisible()
    QTest.mouseClick(banner.label, LEFT)
    assert not whole.isVisible()
    banner.toggle()
    QTest.keyClick(step, Qt.Key.Key_Escape)
    assert not whole.isVisible() and banner.text
    banner.toggle()
    QTest.mouseClick(banner.dismiss, LEFT)
    assert not whole.isVisible() and not banner.text
    dock.move(0, 50)  # no room beside it
    session.show_message("words " * 90)
    banner.toggle()
    assert whole.geometry().top() > banner.mapToGlobal(banner.rect().bottomLeft()).y()
    banner.toggle()


def test_the_state_names_what_is_under_way(qtbot: Any) -> None:
    session = Session(latents=LATENTS, run=RUN)
    header = Header(session)
    qtbot.addWidget(header)
    assert header.state.text() == "3 particles"
    session.reconstruction_status = WorkStatus(True, 0.25)
    assert header.state.text() == "Reconstructing … 25%"
    session.reconstruction_status = WorkStatus()
    session.comparison_status = WorkStatus(True, 0.5, "Reading images")
    assert header.state.text() == "Comparing … 50%", "of the whole: its parts are in the panel"
    session.comparison_status = WorkStatus()
    session.image_map_status = WorkStatus(True, 0.25, "Reading images")
    assert header.state.text() == "Map from images, reading images … 25%"
    session.image_map_status = WorkStatus()
    session.training = TrainingStatus("preparing", what="Reading images")
    assert header.state.text() == "Reading images … 0%"
    session.training = TrainingStatus(
        "training", 3, 30, fraction=0.4, seconds_left=200, what="Epoch 3 of 30"
    )
    assert header.state.text() == "40%, 3 min left"
    assert header.state.toolTip() == "Epoch 3 of 30 … 40% of the training, about 3 min left"


def test_a_run_in_training_is_tested_at_its_end(qtbot: Any) -> None:
    session = Session(latents=LATENTS, run=RUN)
    header = Header(session)
    qtbot.addWidget(header)
    assert header.chip.text() == "? not tested"
    session.training = TrainingStatus("training", epoch=2, epochs=9)
    assert header.chip.text() == "? pending"
    session.training = TrainingStatus("following", epoch=2, epochs=9)  # so is one elsewhere
    assert header.chip.text() == "? pending"
    session.quality = {"told_apart_standard_errors": 8.4}
    assert header.chip.text() == "✓ variation: 8.4 σ"


def test_one_next_step_is_marked_and_what_is_done_stays_marked(qtbot: Any) -> None:
    session = Session()
    stepper = Stepper(session)
    qtbot.addWidget(stepper)
    stepper.set_theme(ChartColors())
    widths = [button.sizeHint().width() for button in stepper.buttons.values()]
    particles: Any = SimpleNamespace(particles=LATENTS)
    for changes, following, done in (
        ({}, "Particles", set()),
        ({"particles": particles}, "Training", {"Particles"}),
        ({"run": RUN, "latents": LATENTS}, "Explore", {"Particles", "Training"}),
        ({"added_columns": CLUSTERS}, "Validate", {"Particles", "Training"}),
        ({"checks": (MISSING,)}, "Explore", {"Particles", "Training"}),
        ({"added_columns": None}, "Explore", {"Particles", "Training"}),
        ({"selection": frozenset({"TS/1"})}, "Validate", {"Particles", "Training"}),
        ({"validation": SimpleNamespace(folder=None)}, "Validate", {"Particles", "Training"}),
        (
            {"validation": SimpleNamespace(folder=RUN)},
            "Export",
            {"Particles", "Training", "Validate"},
        ),
    ):
        session.update(**changes)
        assert (next_step(session), done_steps(session)) == (following, done)
        marked = [name for name, one in stepper.buttons.items() if one.property("state") == "next"]
        assert marked == [following]
    assert [button.sizeHint().width() for button in stepper.buttons.values()] == widths
