"""The header and the steps: what is always in sight, and that nothing below them moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.window.header import Header
from napari_tomodrgn.gui.window.stepper import Stepper, done_steps, next_step
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.verdict import Verdict
from napari_tomodrgn.work_status import TrainingStatus, WorkStatus

RUN: Any = SimpleNamespace(path=SimpleNamespace(name="run_7"))
LATENTS = pd.DataFrame({"mu_0": [0.0, 1.0, 2.0]}, index=["TS/1", "TS/2", "TS/3"])
MISSING = Check("unreadable-stack", "info", "The images are not there.")
CLUSTERS = pd.DataFrame({"cluster": list("112")}, index=LATENTS.index)


@pytest.mark.parametrize(
    ("sigma", "kind", "words"),
    [
        (8.4, "supported", "Heterogeneity is supported: 8.4 σ on held-out images (threshold 3 σ)."),
        (2.0, "unsupported", "No significant heterogeneity (2.0 σ, threshold 3 σ). Check any "),
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
    header.resize(330, header.sizeHint().height())
    header.show()
    path = "/data/2026/session/warptools/relion/particles.star"
    session.show_message(f"{path}: not a STAR file, it has no data_ line.", "error")
    qtbot.wait(1)
    shown = header.banner.label.text().replace("\u200b", "")
    assert shown == "✕  …/particles.star: not a STAR file, it has no data_ line."
    assert path in header.banner.text and path in header.banner.label.toolTip()
    session.show_message("Saved in /data/run.")
    qtbot.wait(1)
    assert "/data/run" in header.banner.label.text().replace("\u200b", "")


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


def test_a_long_message_is_read_over_what_is_below(qtbot: Any) -> None:
    session = Session()
    header = Header(session)
    qtbot.addWidget(header)
    header.show()
    session.show_message("words " * 60)
    header.banner.more.click()
    whole = header.banner._whole
    assert whole.isVisible() and whole.label.text().count("words") == 60
    header.banner.more.click()
    assert not whole.isVisible()
    # While it is there it takes the mouse: a click beside it ends it, one on the cross the message.
    for button, left in ((header.banner.more, "words"), (header.banner.dismiss, "")):
        header.banner.toggle()
        place = whole.mapFromGlobal(button.mapToGlobal(button.rect().center()))
        QTest.mouseClick(whole, Qt.MouseButton.LeftButton, pos=place)
        assert not whole.isVisible() and header.banner.text[:5] == left


def test_the_state_names_what_is_under_way(qtbot: Any) -> None:
    session = Session(latents=LATENTS, run=RUN)
    header = Header(session)
    qtbot.addWidget(header)
    assert header.state.text() == "3 particles"
    session.reconstruction_status = WorkStatus(True, 0.25)
    assert header.state.text() == "Reconstructing … 25%"
    session.reconstruction_status = WorkStatus()
    session.comparison_status = WorkStatus(True, 0.5, "Reading images")
    assert header.state.text() == "Comparing, reading images … 50%"
    session.comparison_status = WorkStatus(True, 0.25, "Comparing")
    assert header.state.text() == "Comparing … 25%"
    session.comparison_status = WorkStatus()
    session.training = TrainingStatus("preparing", what="Reading images")
    assert header.state.text() == "Reading images … 0%"
    session.training = TrainingStatus(
        "training", 3, 30, fraction=0.4, seconds_left=200, what="Epoch 3 of 30"
    )
    assert header.state.text() == "Epoch 3 … 40%, 3 min left"
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
    assert header.chip.text() == "✓ set: 8.4 σ"


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
