"""The SLURM script: that bash takes it, what it asks for, what it starts, when it goes on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.cli.parser import make_parser
from napari_tomodrgn.cli.slurm import arguments


@pytest.fixture
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """An environment in which srun and scontrol only note how they were called."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("srun", "scontrol"):
        tool = tools / name
        tool.write_text(
            f'#!/bin/bash\nprintf "%s\\n" "$@" >> {tmp_path}/{name}.called\n'
            f'[ {name} = scontrol ] || exit "$STATUS"\n'
        )
        tool.chmod(0o755)
    return os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "77"}


def test_the_script_asks_for_what_was_said(star: Path, tmp_path: Path) -> None:
    script, run = tmp_path / "go.sh", tmp_path / "my run"
    command = ["train", str(star), "--out", str(run), "--batch-size", "32", "--time", "2:00:00"]
    assert main([*command, "--slurm", str(script), "--nodes", "2", "--gpus", "4"]) == 0
    assert not run.exists()  # nothing is trained
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    asked = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    for option in ("nodes=2", "ntasks-per-node=4", "gpus-per-node=4", "time=2:00:00"):
        assert f"#SBATCH --{option}" in asked
    assert "#SBATCH --signal=TERM@120" in asked and "#SBATCH --requeue" in asked
    # Every line of options stands before the first command, after which sbatch reads none.
    lines = script.read_text().splitlines()
    assert max(i for i, line in enumerate(lines) if line.startswith("#SBATCH")) < lines.index(
        "set -eu"
    )


def test_the_script_starts_the_same_training_then_goes_on(
    star: Path, tmp_path: Path, cluster: dict[str, str]
) -> None:
    script, run = tmp_path / "go.sh", tmp_path / "my run"
    given = ["train", str(star), "--out", str(run), "--epochs", "7", "--dose-weighted", "no"]
    given += ["--column", "rlnDefocusU=myDefocus", "--column", "rlnDefocusV=mine", "--hand", "-1"]
    options = make_parser().parse_args(given)
    assert vars(make_parser().parse_args(arguments(options))) == vars(options)
    plain = ["train", str(star), "--out", str(run), "--epochs", "7"]
    assert main([*plain, "--slurm", str(script), "--gpus", "0"]) == 0
    assert "gpus" not in script.read_text()
    called = tmp_path / "srun.called"
    for status, resumes in ((0, False), (130, True)):
        ran = subprocess.run(["bash", script], env=cluster | {"STATUS": str(status)})
        assert ran.returncode == 0
        words = called.read_text().splitlines()
        assert words[2:4] == ["-m", "napari_tomodrgn"]
        tail = words[4:] if not resumes else words[4:-1]
        assert tail[:2] == ["train", str(star)] and tail[-2:] == ["--device", "cpu"]
        assert tail[tail.index("--out") + 1] == str(run)
        assert ("--resume" in words) is resumes
        called.unlink()
        run.mkdir(exist_ok=True)
        (run / "run.json").touch()
    # Stopped because the time was up: queued again.
    assert (tmp_path / "scontrol.called").read_text().split() == ["requeue", "77"]
    failed = subprocess.run(["bash", script], env=cluster | {"STATUS": "2"})
    assert failed.returncode == 2


@pytest.mark.parametrize("limit", ["2 hours", "1:2:3:4", "2h", "1-", "-5", "1-2-3", ""])
def test_a_time_that_slurm_does_not_take(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    command = ["train", str(star), "--out", str(tmp_path / "run"), "--slurm", str(tmp_path / "s")]
    with pytest.raises(SystemExit) as stopped:
        main([*command, f"--time={limit}"])
    assert stopped.value.code == 2
    assert "--time: must be minutes, MM:SS, HH:MM:SS, D-HH" in capsys.readouterr().err
    for good in ("90", "90:00", "2:00:00", "1-12", "1-12:30", "1-12:30:00"):
        assert make_parser().parse_args([*command, "--time", good]).time == good


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--nodes", "2", "--gpus", "4"], "8 processes cannot share a batch of 4 particles"),
        (["--gpus", "2", "--method", "linear"], "linear method runs in one process"),
    ],
)
def test_what_cannot_run_is_said_before_it_is_queued(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    script = tmp_path / "go.sh"
    command = ["train", str(star), "--out", str(tmp_path / "run"), "--slurm", str(script)]
    assert main([*command, *more]) == 2
    assert said in capsys.readouterr().err
    assert not script.exists()
