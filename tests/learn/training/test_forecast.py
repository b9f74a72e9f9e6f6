"""What a training will take: stage by stage, from a few particles."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.training.forecast import forecast_steps
from napari_tomodrgn.learn.training.forecast_stages import cost_of


def test_what_grows_with_the_particles_is_told_from_what_does_not() -> None:
    cost = cost_of(2.0 + 8 * 0.25, 2.0 + 16 * 0.25, 8)
    assert cost.of(1000) == pytest.approx(252)
    assert cost_of(1.0, 0.9, 8).of(0) >= 0  # one of both was disturbed


def test_memory_is_known_first_and_each_stage_has_its_time(simulated: Path) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    known = list(forecast_steps(particles, RunConfig()))
    assert set(known[0]) == {"ram_gb", "gpu_gb"}
    assert known.count(None) > 20  # where it may be broken off
    times = [known[-1][name] for name in ("first_look_seconds", "refining_seconds")]
    assert min(times) > 0 and known[-1]["seconds_per_epoch"] > 0


def test_what_is_not_done_takes_no_time(simulated: Path) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")

    def found(**settings: object) -> dict[str, float]:
        config = RunConfig.model_validate(settings)
        return [known for known in forecast_steps(particles, config) if known][-1]

    linear = found(method="linear")
    assert linear["seconds_per_epoch"] == 0
    assert linear["first_look_seconds"] > linear["refining_seconds"] > 0, "maps are finished"
    plain = found(model={"mean_map": False, "linear_start": False}, train={"refine": False})
    assert plain["first_look_seconds"] == plain["refining_seconds"] == 0
    assert plain["seconds_per_epoch"] > 0


def test_the_smallest_sets_are_forecast(simulated: Path) -> None:
    """One particle spans no basis, and a half of three is one."""
    star = simulated / "warptools" / "particles_optimisation_set.star"
    everything = read_particles(star)
    for count in (1, 3, 4):
        few = everything.select(set(everything.ids[:count]))
        known = [known for known in forecast_steps(few, RunConfig()) if known][-1]
        assert (known["refining_seconds"] > 0) == (count == 4)
        assert known["seconds_per_epoch"] > 0
