"""How far a whole training is: by trainings as they were recorded, and by one that is done here."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from recorded_training import Recorded, read

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Event,
    Started,
    WorkProgress,
)
from napari_tomodrgn.learn.training.progress import (
    Outlook,
    WholeProgress,
    expected_parts,
    share_of_radii,
)
from napari_tomodrgn.learn.training.train import train

SMALL = ("autoencoder_120", {"train": {"epochs": 10}})
LARGER = ("autoencoder_200", {"train": {"epochs": 6}})
LINEAR = ("linear_200", {"method": "linear"})
AUTOENCODERS = [pytest.param(*SMALL, id=SMALL[0]), pytest.param(*LARGER, id=LARGER[0])]
ALL = [*AUTOENCODERS, pytest.param(*LINEAR, id=LINEAR[0])]


def assert_never_back(told: list[Outlook]) -> None:
    fractions = [outlook.fraction for outlook in told]
    assert fractions == sorted(fractions)
    assert max(fractions[:-1]) < 1.0
    assert fractions[-1] == 1.0 and told[-1].seconds_left == 0


@pytest.mark.parametrize(("name", "config"), ALL)
def test_it_never_goes_back_and_is_full_at_the_end_only(
    name: str, config: dict[str, object]
) -> None:
    recorded = read(name, config)
    forecasts: list[dict[str, object] | None] = [None]
    if name != "linear_200":
        forecasts += [recorded.forecast(factor) for factor in (0.5, 1.0, 2.0)]
    for forecast in forecasts:
        assert_never_back([outlook for _, outlook in recorded.outlooks(forecast)])


@pytest.mark.parametrize(("name", "config"), AUTOENCODERS)
def test_it_moves_as_time_does(name: str, config: dict[str, object]) -> None:
    """With a forecast that is right, and with none at all once the epochs have begun."""
    recorded = read(name, config)
    started = recorded.time_of(Started, 0)
    for forecast, since, far in ((recorded.forecast(1.0), 0.0, 0.06), (None, started, 0.12)):
        for seconds, outlook in recorded.outlooks(forecast):
            if seconds >= since:
                assert outlook.fraction == pytest.approx(seconds / recorded.seconds, abs=far)


@pytest.mark.parametrize(("name", "config"), AUTOENCODERS)
@pytest.mark.parametrize("factor", [None, 0.5, 1.0, 2.0])
def test_what_a_run_ends_with_is_in_the_time_left(
    name: str, config: dict[str, object], factor: float | None
) -> None:
    """Never *1 s left*, then half a minute of finishing."""
    recorded = read(name, config)
    told = recorded.outlooks(None if factor is None else recorded.forecast(factor))
    trained = recorded.time_of(EpochDone, -1)
    finishing = [(t, o) for t, o in told if o.what.startswith("Finishing: ")]
    assert finishing[0][0] == pytest.approx(trained, abs=0.5)
    assert finishing[-2][1].seconds_left is not None
    left = {t: o.seconds_left for t, o in finishing[:-1] if o.seconds_left is not None}
    assert len(left) > 20 and all(seconds > 0 for seconds in left.values())
    thirds = [trained + share * (recorded.seconds - trained) for share in (0.05, 0.35, 0.65, 0.95)]
    then = [next(seconds for t, seconds in left.items() if t >= third) for third in thirds]
    assert then == sorted(then, reverse=True) and then[0] > 4 * then[-1]
    for seconds, outlook in told:
        if outlook.seconds_left is not None and outlook.seconds_left < 1.5:
            assert recorded.seconds - seconds < 4, outlook
    at_last_epoch = next(o.seconds_left for t, o in told if t >= trained - 0.01)
    assert at_last_epoch is not None
    assert at_last_epoch > 0.5 * (recorded.seconds - trained)


@pytest.mark.parametrize(("name", "config"), AUTOENCODERS)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_forecast_that_is_wrong_is_set_right(
    name: str, config: dict[str, object], factor: float
) -> None:
    recorded = read(name, config)
    told = recorded.outlooks(recorded.forecast(factor))
    start, end = recorded.time_of(Started, 0), recorded.time_of(EpochDone, -1)

    def error(when: float) -> float:
        """Seconds said to be left over those that were."""
        seconds, outlook = next((t, o) for t, o in told if t >= when)
        assert outlook.seconds_left is not None
        return outlook.seconds_left / (recorded.seconds - seconds)

    assert error(1.0) == pytest.approx(factor, rel=0.15)
    errors = [error(1.0), error(start), error((start + end) / 2)]
    distances = [max(e, 1 / e) for e in errors]
    assert distances[0] > 1.7 and max(distances[1:]) < 1.3


def test_it_is_at_most_so_long_while_training_may_stop_early() -> None:
    recorded = read(*SMALL)
    for forecast in (None, recorded.forecast(1.0)):
        for _, outlook in recorded.outlooks(forecast)[:-1]:
            assert outlook.at_most == (not outlook.what.startswith("Finishing"))
    train = recorded.config.train.model_copy(update={"patience": 0})
    config = recorded.config.model_copy(update={"train": train})
    wait = Recorded(config, recorded.particles, recorded.events)
    assert not any(outlook.at_most for _, outlook in wait.outlooks())


def test_epochs_that_do_not_come_let_it_jump_ahead() -> None:
    """Of 40 epochs ten were done: held-out images gained no more."""
    recorded = read(*SMALL)
    train = recorded.config.train.model_copy(update={"epochs": 40})
    events = [
        (t, Started(e.run, e.particles, e.images, 1, 40, "cpu") if isinstance(e, Started) else e)
        for t, e in recorded.events
    ]
    early = Recorded(
        recorded.config.model_copy(update={"train": train}), recorded.particles, events
    )
    told = early.outlooks()
    assert_never_back([outlook for _, outlook in told])
    last = max(o.fraction for _, o in told if o.what.startswith("Epoch"))
    first = next(o for _, o in told if o.what.startswith("Finishing"))
    assert last < 0.6 < 0.75 < first.fraction
    assert first.seconds_left is not None and first.seconds_left < 25


def test_parts_that_do_not_come_are_passed_over() -> None:
    """Of the smaller set the noise was right, so that nothing was judged twice."""
    recorded = read(*SMALL)
    parts = {event.part for _, event in recorded.events if isinstance(event, WorkProgress)}
    assert "refined halves" in parts and "rescaled halves" not in parts
    when = next(t for t, e in recorded.events if getattr(e, "part", "") == "filter")
    told = recorded.outlooks()
    before, after = next((one, other) for (_, one), (t, other) in pairwise(told) if t == when)
    assert before.seconds_left is not None and after.seconds_left is not None
    assert after.seconds_left < before.seconds_left - 3
    assert after.fraction > before.fraction + 0.01


def test_a_run_that_goes_on_is_counted_from_where_it_goes_on() -> None:
    recorded = read(*SMALL)
    started, fifth = recorded.time_of(Started, 0), recorded.time_of(EpochDone, 4)
    averaging = next(t for t, e in recorded.events if getattr(e, "what", "")[:4] == "Aver")
    events: list[tuple[float, Event]] = [
        (t, event)
        for t, event in recorded.events
        if t < averaging and getattr(event, "what", "") != "Determining contrast"
    ]
    events.append((averaging, Started(Path("run"), 120, 2520, 6, 10, "cpu")))
    events += [(averaging + t - fifth, event) for t, event in recorded.events if t > fifth]
    assert events[-1][0] < recorded.seconds - (fifth - started)
    progress = WholeProgress(recorded.config, 120, recorded.forecast(1.0), resume=True)
    told = [progress.tell(event, seconds) for seconds, event in events]
    assert_never_back(told)
    begun = next(o for o in told if o.what == "Epoch 6 of 10")
    assert begun.fraction < 0.2
    assert begun.seconds_left == pytest.approx(events[-1][0] - averaging, rel=0.25)
    unknown = WholeProgress(recorded.config, 120, resume=True)
    assert_never_back([unknown.tell(event, seconds) for seconds, event in events])


def test_a_run_killed_as_it_ended_is_concluded() -> None:
    recorded = read(*SMALL)
    trained = recorded.time_of(EpochDone, -1)
    events: list[tuple[float, Event]] = [
        (0.1, Started(Path("run"), 120, 2520, 11, 10, "cpu")),
        *((t - trained, event) for t, event in recorded.events if t > trained),
    ]
    progress = WholeProgress(recorded.config, 120, resume=True)
    assert_never_back([progress.tell(event, seconds) for seconds, event in events])


def test_radii_are_as_many_as_usual_until_one_more_is_fitted() -> None:
    shares = [share_of_radii(done, 7) for done in range(8)]
    assert shares == sorted(shares) and shares[0] == 0 and shares[6] < 1
    assert share_of_radii(1, 2) > share_of_radii(1, 7)
    assert share_of_radii(1, 1) == 1


def test_the_linear_method_says_its_iteration() -> None:
    told = [outlook for _, outlook in read(*LINEAR).outlooks()]
    words = list(dict.fromkeys(outlook.what for outlook in told))
    assert "Iteration 1 of at most 6" in words and "Iteration 4 of at most 6" in words
    assert not any(outlook.at_most for outlook in told)


@pytest.mark.parametrize("method", ["vae", "linear"])
def test_each_part_of_a_training_is_one_that_is_expected(
    method: str, simulated: Path, tmp_path: Path
) -> None:
    """The events of a training that is done here, by a clock that gives each a second."""
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    small = {"latent_dim": 2, "decoder_dim": 32, "image_encoder_dim": 32}
    config = RunConfig.model_validate(
        {
            "method": method,
            "model": small,
            "train": {"epochs": 2, "points_per_particle": 256, "device": "cpu"},
        }
    )
    parts, is_forecast = expected_parts(config, len(particles), {})
    assert not is_forecast
    expected = {part.key for part in parts}
    progress, told, keys = WholeProgress(config, len(particles)), [], []
    for seconds, event in enumerate(train(particles, config, tmp_path / "run")):
        told.append(progress.tell(event, float(seconds)))
        if isinstance(event, WorkProgress):
            keys.append(event.part or event.what)
    assert_never_back(told)
    iterations = {"Finding components"} if method == "linear" else set()
    assert set(keys) <= expected | iterations
    seen = list(dict.fromkeys(keys))
    if method == "vae":
        order = [part.key for part in parts if part.key in seen]
        assert seen == order, "parts come in the order that is expected"
        may_lack = {"rescaled latents", "rescaled errors", "rescaled halves", "one map", "epochs"}
        assert expected - set(keys) <= may_lack
