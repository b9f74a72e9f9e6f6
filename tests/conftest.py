"""Fixtures for all tests."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

# Nothing of a test stays in the user's own cache.
os.environ["NAPARI_TOMODRGN_CACHE"] = tempfile.mkdtemp(prefix="napari-tomodrgn-tests-")
# UMAP is compiled anew in each child: not optimised, in half the time, and to the same places.
os.environ["NUMBA_OPT"] = "0"
_ROOT = Path(__file__).resolve().parents[1]
# Files that take so long that the quick run leaves them out; `tools/slow_files.py` writes the list.
_SLOW_FILES = set((_ROOT / "tests" / "slow_files.txt").read_text(encoding="utf-8").split())
_MOST_WORKERS = 4  # what they share, and the longest files, gain nothing from more
# In the one that with_display.sh makes, each worker makes another of its own.
_VIRTUAL_DISPLAY = "TOMODRGN_VIRTUAL_DISPLAY" in os.environ


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many workers as this process may use cores, without one more on a single core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = min(cores or 1, _MOST_WORKERS)
    return workers if workers > 1 else 0


def pytest_configure(config: pytest.Config) -> None:
    """Give a worker a display of its own: on one, only one window can be active."""
    xvfb = shutil.which("Xvfb")
    if not (_VIRTUAL_DISPLAY and "PYTEST_XDIST_WORKER" in os.environ and xvfb):
        return
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        [xvfb, "-displayfd", str(write_end), "-screen", "0", "1920x1200x24", "+extension", "GLX"],
        pass_fds=[write_end],
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        os.environ["DISPLAY"] = f":{stream.readline().strip()}"
    config.add_cleanup(server.wait)  # the last one added is done first
    config.add_cleanup(server.terminate)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that makes a folder, once for all workers of pytest-xdist.

    What tests write into is a worker's ``own`` copy.
    """
    here = tmp_path_factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here

    def made_once(name: str, make: Callable[[Path], object], *, own: bool = False) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                make(folder)
                done.touch()
        if own and shared != here:
            return Path(shutil.copytree(folder, here / name))
        return folder

    return made_once


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder of real files; the test is skipped where there is none."""
    named = os.environ.get("TOMODRGN_TEST_DATA")
    folder = Path(named) if named else _ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"no folder of real files at {folder} (set TOMODRGN_TEST_DATA to one that has it)"
        )
    return folder


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow and what uses real files, and skip what needs a GPU where there is none.

    With several workers, those of one file stay together, and on a real display all that open
    windows.
    """
    for item in items:
        windows = not _VIRTUAL_DISPLAY and item.path.is_relative_to(_ROOT / "tests" / "gui")
        name = "windows" if windows else str(item.path.relative_to(_ROOT))
        item.add_marker(pytest.mark.xdist_group(name))
        if str(item.path.relative_to(_ROOT)) in _SLOW_FILES:
            item.add_marker(pytest.mark.slow)
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.realdata)
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if on_gpu and not importlib.import_module("torch").cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu), "mps"], scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Every kind of device; skipped where it is not."""
    torch = importlib.import_module("torch")
    if request.param == "mps" and not torch.backends.mps.is_available():
        pytest.skip("no MPS device")
    return str(request.param)


@pytest.fixture(scope="session")
def simulated(made_once: Callable[..., Path]) -> Path:
    """A small simulated data set: 24 ribosomes of two compositions, 11 tilts, box 24."""
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    settings = {"particles": 24, "tilts": 11, "box_size_px": 24, "states": 2, "snr": 0.5}
    config = SimulationConfig(**settings)
    return made_once("simulated", lambda out: list(simulate(out, config)))


@pytest.fixture(scope="session")
def tiny_run(simulated: Path, made_once: Callable[..., Path]) -> Path:
    """A run of two epochs on `simulated`."""
    from napari_tomodrgn.config import RunConfig
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.learn.training.train import train

    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    config = RunConfig.model_validate(
        {
            "model": {
                "latent_dim": 2,
                "decoder_dim": 64,
                "image_encoder_dim": 64,
                "linear_start": False,
            },
            "train": {"epochs": 2, "points_per_particle": 256, "device": "cpu"},
        }
    )
    return made_once("tiny", lambda out: list(train(particles, config, out)), own=True)


_timed: dict[str, Any] = {}  # what the first set of this worker that was asked about took


@pytest.fixture(autouse=True)
def timed_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a forecast is made of is timed for one set of a worker, and taken for all others.

    Every star file that a window or ``inspect`` opens is forecast, which takes longer than all else
    of many tests. `tests/learn`, where the figures themselves are looked at, times each.
    """
    if request.path.is_relative_to(_ROOT / "tests" / "learn"):
        return
    from napari_tomodrgn.learn.training import forecast

    stage_costs, seconds_per_epoch = forecast._stage_costs, forecast._seconds_per_epoch

    def stage_costs_once(particles: Any, *others: Any) -> Iterator[None]:
        if "stages" not in _timed:
            _timed["stages"] = yield from stage_costs(particles, *others)
        yield
        stages, count = _timed["stages"], len(particles)
        linear = stages.linear and replace(stages.linear, particles=count)
        return replace(stages, particles=count, linear=linear)

    def seconds_per_epoch_once(particles: Any, *others: Any) -> float:
        if "epoch" not in _timed:
            _timed["epoch"] = seconds_per_epoch(particles, *others) / len(particles)
        return float(_timed["epoch"] * len(particles))

    monkeypatch.setattr(forecast, "_stage_costs", stage_costs_once)
    monkeypatch.setattr(forecast, "_seconds_per_epoch", seconds_per_epoch_once)
