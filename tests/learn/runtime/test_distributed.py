"""Several processes: who is who, and that together they compute what one computes."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_tomodrgn.cli import main
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.distributed import Launch, ProcessGroup, launch

needs_fabric = pytest.mark.skipif(
    importlib.util.find_spec("lightning_fabric") is None,
    reason="needs the extra `cluster` (lightning-fabric)",
)
TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
}
SRUN = {
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS_PER_NODE": "2",
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five particles a step, which two processes cannot share evenly, and 24 are no multiple of."""
    file = tmp_path_factory.mktemp("settings") / "small.toml"
    file.write_text(
        "[model]\nlatent_dim = 2\ndecoder_dim = 64\nimage_encoder_dim = 64\n"
        "[train]\nepochs = 2\npoints_per_particle = 256\nbatch_size = 5\n"
        'weight_decay = 0.01\ncapacity = 0.1\ndevice = "cpu"\n'
    )
    return file


def test_the_environment_says_who_is_who() -> None:
    assert launch({}) == Launch()
    assert launch(TORCHRUN) == Launch(3, 4, 1, 2, "torchrun")
    assert launch(SRUN) == Launch(3, 4, 1, 2, "srun")
    # A job's script, or an allocation with a shell in it, is one process.
    assert launch({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) == Launch()
    assert launch({"RANK": "0", "WORLD_SIZE": "1"}) == Launch()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"LOCAL_RANK": None}, "LOCAL_RANK is not set"),
        ({"RANK": "4"}, "contradict each other"),
        ({"LOCAL_WORLD_SIZE": "3"}, "contradict each other"),
        ({"LOCAL_RANK": "one"}, "not all numbers"),
        ({"MASTER_PORT": None}, "MASTER_ADDR or MASTER_PORT is not set"),
    ],
)
def test_an_environment_that_contradicts_itself_is_refused(
    change: dict[str, str | None], said: str
) -> None:
    given = {name: value for name, value in (TORCHRUN | change).items() if value is not None}
    with pytest.raises(BadInputError, match=said):
        launch(given)


def test_shares_cover_everything_once() -> None:
    for count in (0, 1, 5, 8, 41):
        for size in (1, 2, 3, 7):
            shares = [
                ProcessGroup(Launch(rank, size, rank, size)).slice_for(count)
                for rank in range(size)
            ]
            covered = [row for share in shares for row in range(count)[share]]
            assert covered == list(range(count))
            sizes = [share.stop - share.start for share in shares]
            assert max(sizes) - min(sizes) <= 1


def test_one_process_needs_no_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    alone = ProcessGroup.join()
    values = torch.ones(3)
    assert alone.is_first and alone.all_reduce_sum(values) is values and alone.device is None
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInputError, match=r"4 processes.*Lightning Fabric is not installed"):
        ProcessGroup.join()


def test_what_one_process_cannot_do_is_refused_before_it_starts(
    simulated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    star = simulated / "warptools" / "particles_optimisation_set.star"
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    status = main(["train", str(star), "--out", str(tmp_path / "run"), "--method", "linear"])
    said = capsys.readouterr().err
    assert status == 2 and "(process 4 of 4): The linear method runs in one process" in said


def _environments(size: int) -> list[dict[str, str]]:
    """Those of processes as srun would start them, one on each of so many nodes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    found = []
    for rank in range(size):
        mine = {"SLURM_PROCID": f"{rank}", "SLURM_NTASKS": f"{size}", "SLURM_LOCALID": "0"}
        mine |= {"SLURM_STEP_NUM_TASKS": f"{size}", "SLURM_NODEID": f"{rank}"}
        mine |= {"SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": f"{size}"}
        mine |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        found.append(os.environ | mine)
    return found


@needs_fabric
@pytest.mark.slow
def test_two_processes_compute_what_one_does(
    simulated: Path, settings: Path, tmp_path: Path
) -> None:
    """The same losses and latents with the same batch, linear start, uneven shares and all.

    `benchmarks/ranks.py` does it with torchrun and prints how near they are.
    """
    star = simulated / "warptools" / "particles_optimisation_set.star"
    command = ["train", str(star), "--config", str(settings), "--out"]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "napari_tomodrgn", *command, str(tmp_path / "two")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in _environments(2)
    ]
    assert main([*command, str(tmp_path / "one")]) == 0
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert "epoch 2/2" in said[0] and said[1] == ""  # the first one speaks
    one, two = Run.open(tmp_path / "one"), Run.open(tmp_path / "two")
    names = ["reconstruction", "kl", "total", "held_out"]
    np.testing.assert_allclose(two.metrics()[names], one.metrics()[names], rtol=1e-5)
    found, wanted = two.latents().filter(regex="mu|logvar"), one.latents().filter(regex="mu|logvar")
    # Sums in another order, in units of what a latent is uncertain by: refining multiplies them.
    width = np.exp(one.latents().filter(like="logvar").loc[found.index].to_numpy() / 2)
    apart = np.abs(found - wanted.loc[found.index]).to_numpy()
    assert (apart < 5e-4 * np.concatenate([width, np.ones_like(width)], axis=1)).all()
    from safetensors.torch import load_file

    weights, same = load_file(two.weights_file(2)), load_file(one.weights_file(2))
    assert max(float((weights[name] - same[name]).abs().max()) for name in weights) < 1e-4
