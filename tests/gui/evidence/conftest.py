"""A run of two states whose images are there, to be compared in a window."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evidence_case import SMALL
from kept_between_windows import computed_once_for


@pytest.fixture(scope="session")
def linear_run(made_once: Callable[..., Path]) -> Path:
    """A linear run on 40 particles of two states."""
    from napari_tomodrgn.analysis.evidence.session import gather_evidence
    from napari_tomodrgn.config import RunConfig
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.learn.run.directory import Run
    from napari_tomodrgn.learn.runtime.steps import run_to_end
    from napari_tomodrgn.learn.training.train import train
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    settings = SimulationConfig.model_validate({**SMALL, "structures": ("80S", "60S"), "seed": 3})
    data = made_once("two-states-set", lambda out: list(simulate(out, settings)))
    particles = read_particles(data / "warptools" / "particles_optimisation_set.star")
    config = RunConfig.model_validate(
        {"method": "linear", "linear": {"radius_px": 6}, "train": {"device": "cpu"}}
    )

    def make(out: Path) -> None:
        list(train(particles, config, out))
        # Which a run keeps: a comparison need not fit both tilt halves anew in each test.
        run_to_end(gather_evidence(Run.open(out)))

    return made_once("two-states-run", make)


@pytest.fixture
def run(linear_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may write into."""
    return Path(shutil.copytree(linear_run, tmp_path / "run"))


@pytest.fixture
def computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images of the run are added up, and the same groups of it compared, for one test.

    For the others what came of it arrives the same way, is kept in the run and is shown.
    """
    from napari_tomodrgn.analysis.evidence import comparison, session

    added_up = computed_once_for(session.with_sums, lambda halves: tuple(halves.ids))
    compared = computed_once_for(
        comparison.compare_groups, lambda evidence, drawn: (tuple(evidence.ids), drawn.tobytes())
    )
    monkeypatch.setattr(session, "with_sums", added_up)
    monkeypatch.setattr(comparison, "compare_groups", compared)


@pytest.fixture
def clustered(
    widget: Any,
    opened: Callable[[Path], Any],
    drawn: Callable[[], None],
    run: Path,
    qtbot: Any,
) -> Any:
    """The session of a window on the run, its particles in two clusters."""
    session = opened(run)
    widget.controller.clusters.find(2)
    qtbot.waitUntil(lambda: widget.controller.idle and session.color == "cluster")
    drawn()
    return session
