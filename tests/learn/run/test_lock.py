"""One training at a time in a run directory; locks of the dead do not hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import make_folder, write_text
from napari_tomodrgn.learn.run.lock import (
    LOCK_NAME,
    STALE_AFTER_SECONDS,
    lock_holder,
    training_lock,
)


def test_who_holds_it_is_named_and_a_run_never_begun_leaves_nothing(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    with training_lock(run):
        assert lock_holder(run).startswith(f"process {os.getpid()} on ")
        with pytest.raises(BadInputError, match=f"process {os.getpid()} on .* trains into it"):
            training_lock(run).__enter__()
        assert (run / LOCK_NAME).exists()
    assert not (tmp_path / "deep").exists()
    assert lock_holder(run) == ""


def test_a_lock_of_a_process_that_was_killed_does_not_hold(tmp_path: Path) -> None:
    code = (
        "import os, sys; from napari_tomodrgn.learn.run.lock import training_lock\n"
        "with training_lock(sys.argv[1]): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert (tmp_path / LOCK_NAME).exists()
    assert lock_holder(tmp_path) == ""
    with training_lock(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()


def test_a_number_that_was_given_to_another_process_does_not_hold(tmp_path: Path) -> None:
    with training_lock(tmp_path):
        about = json.loads((tmp_path / LOCK_NAME).read_text())
    assert about["started"]
    (tmp_path / LOCK_NAME).write_text(json.dumps(about | {"started": "before"}))
    with training_lock(tmp_path):
        pass


@pytest.mark.parametrize("text", ['{"host": "another", "pid": 1}', "", "[1]"])
def test_on_another_computer_the_age_of_its_heartbeat_counts(tmp_path: Path, text: str) -> None:
    lock = tmp_path / LOCK_NAME
    lock.write_text(text)
    with pytest.raises(BadInputError) as told:
        training_lock(tmp_path).__enter__()
    assert told.value.code == "run-locked"
    assert str(lock) in str(told.value)  # what to delete, if there is no such process
    old = lock.stat().st_mtime - STALE_AFTER_SECONDS - 60
    os.utime(lock, (old, old))
    with training_lock(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moved", [False, True])
def test_a_run_taken_away_while_it_is_trained_is_not_made_again(
    tmp_path: Path, moved: bool
) -> None:
    run, there = tmp_path / "run", tmp_path / "there"

    def take_away() -> None:
        (run / "run.json").write_text("{}")
        shutil.move(run, there) if moved else shutil.rmtree(run)

    def read() -> None:
        (run / "cache").read_bytes()

    for touch in (
        lambda: write_text(run / "checkpoints" / "resume.txt", ""),
        lambda: make_folder(run / "latents"),
        read,
    ):
        with pytest.raises(BadInputError, match="run: was deleted or moved while it was trained"):
            with training_lock(run):
                take_away()
                touch()
        assert not run.exists()
        if moved:
            with training_lock(there):
                pass  # the process that let go of it lives, and may go on there
            shutil.rmtree(there)
    with training_lock(run):
        write_text(run / "run.json", "{}")
    assert (run / "run.json").exists(), "another one of that name may be begun"
