"""Fixtures for all tests."""

from __future__ import annotations

import importlib
import os
import tempfile
from pathlib import Path

import pytest

# Nothing of a test stays in the user's own cache.
os.environ["NAPARI_TOMODRGN_CACHE"] = tempfile.mkdtemp(prefix="napari-tomodrgn-tests-")
_ROOT = Path(__file__).resolve().parents[1]


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses real files, and skip what needs a GPU where there is none."""
    for item in items:
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
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated data set: 24 ribosomes of two compositions, 11 tilts, box 24."""
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    out = tmp_path_factory.mktemp("simulated")
    settings = {"particles": 24, "tilts": 11, "box_size_px": 24, "states": 2, "snr": 0.5}
    for _ in simulate(out, SimulationConfig(**settings)):
        pass
    return out


@pytest.fixture(scope="session")
def tiny_run(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs on `simulated`."""
    from napari_tomodrgn.config import RunConfig
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.learn.training.train import train

    out = tmp_path_factory.mktemp("runs") / "tiny"
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
    for _ in train(particles, config, out):
        pass
    return out
