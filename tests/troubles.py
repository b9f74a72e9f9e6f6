"""Every command that writes, in every trouble: what it says, how it exits, what it leaves.

``python tests/troubles.py`` prints the table of docs/troubles.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import multiprocessing
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_tomodrgn.cli import main
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.synthetic import SimulationConfig, simulate

TROUBLES = ("exists", "disk full", "read-only", "no permission", "killed")
SETTINGS = """
[model]
latent_dim = 2
decoder_dim = 32
image_encoder_dim = 32
linear_start = false
[train]
points_per_particle = 64
epochs = 2
device = "cpu"
"""
_NOBODY = 65534
_PAGE = 4096


@dataclass(frozen=True)
class Writer:
    """A command, what it writes below ``out``, and whether that is a run that is there before.

    Of one that ``goes_on`` the same command goes on with what was left when it was stopped.

    ``words`` are given the folder of what was prepared, and ``out``.
    """

    words: Callable[[Path, Path], list[object]]
    into_run: bool = False
    goes_on: bool = False


def _star(at: Path) -> Path:
    return at / "simulated" / "warptools" / "particles_optimisation_set.star"


def _maps(at: Path) -> list[object]:
    return sorted((at / "simulated" / "truth_maps").glob("*.mrc"))[:2]


def _tilt_series(at: Path) -> list[object]:
    """The words that name particles, tilt series and their alignment in a simulation of them."""
    folder = at / "tilts" / "tilt_series"
    words = [folder / "lists" / "imod" / "stopgap.star", "--tilt-series", folder / "stacks"]
    words += ["--alignment", folder / "alignments" / "imod"]
    words += ["--ctf", folder / "ctf" / "ctffind"]
    words += ["--dose", folder / "dose" / "mdoc", "--tomograms", at / "tilts" / "tomograms"]
    return [
        *words,
        "--hand",
        1,
        "--box-target",
        32,
        "--z",
        "keep",
        "--pose",
        "keep",
        "--origin",
        "1",
    ]


WRITERS: dict[str, Writer] = {
    "simulate": Writer(
        lambda at, out: (
            ["simulate", "--out", out / "set", "--particles", 2, "--tilts", 3, "--box", 16]
        )
    ),
    "train": Writer(
        lambda at, out: ["train", _star(at), "--out", out / "run", "--config", at / "settings.toml"]
    ),
    "train --resume": Writer(
        lambda at, out: ["train", _star(at), "--out", out, "--resume", "--epochs", 3], into_run=True
    ),
    "train --slurm": Writer(
        lambda at, out: ["train", _star(at), "--out", out / "run", "--slurm", out / "go.sh"]
    ),
    "embed": Writer(lambda at, out: ["embed", at / "run", "--out", out / "latents.csv"]),
    "decode": Writer(
        lambda at, out: ["decode", at / "run", "--particles", "all", "--out", out / "maps"]
    ),
    "analyze": Writer(lambda at, out: ["analyze", out, "--clusters", 3], into_run=True),
    "reconstruct": Writer(lambda at, out: ["reconstruct", _star(at), "--out", out / "maps"]),
    "select": Writer(
        lambda at, out: ["select", at / "run", "--tomogram", "TS_001", "--out", out / "some.star"]
    ),
    "place": Writer(
        lambda at, out: (
            ["place", at / "run", "--tomogram", "TS_001", "--out", out / "scene", "--box", 16]
        )
    ),
    "share": Writer(lambda at, out: ["share", at / "run", "--out", out / "run.tomodrgn"]),
    "traverse": Writer(
        lambda at, out: ["traverse", at / "run", "--component", 1, "--out", out / "path"]
    ),
    "convergence": Writer(lambda at, out: ["convergence", out, "--maps", 2], into_run=True),
    "columns": Writer(lambda at, out: ["columns", at / "run", "--out", out / "columns.csv"]),
    "fsc": Writer(lambda at, out: ["fsc", *_maps(at), "--out", out / "fsc.csv"]),
    "extract": Writer(
        lambda at, out: ["extract", *_tilt_series(at), "--out", out / "cut"], goes_on=True
    ),
    "compare": Writer(
        lambda at, out: (
            ["compare", at / "run", "--a", at / "some.txt", "--complement", "--out", out / "groups"]
        )
    ),
    "compare-runs": Writer(
        lambda at, out: ["compare-runs", at / "run", at / "analysed", "--out", out / "runs"]
    ),
    "mask": Writer(
        lambda at, out: (
            ["mask", _maps(at)[0], "--sphere", 150, 150, 150, 60, "--out", out / "mask.mrc"]
        )
    ),
    "report": Writer(lambda at, out: ["report", at / "run", "--out", out / "run.html"]),
    "shares": Writer(
        lambda at, out: [
            *("shares", at / "analysed", "--out", out / "shares.csv"),
            *("--conditions", at / "conditions.csv"),
        ]
    ),
    "trust": Writer(lambda at, out: ["trust", at / "run", "--out", out / "trust.csv"]),
    "import": Writer(
        lambda at, out: ["import", at / "result", "--source", _star(at), "--out", out / "run"]
    ),
}


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit status, what it said on stderr, what is in ``out`` that was not."""

    status: int
    said: str
    left: tuple[str, ...]
    changed: tuple[str, ...]


def is_possible(name: str, trouble: str) -> bool:
    """Whether a command can meet a trouble: what belongs to a run is there, and is replaced."""
    return trouble != "exists" or not (WRITERS[name].into_run or WRITERS[name].goes_on)


def prepare(at: Path) -> None:
    """A small set, a run on it and one that is analysed, a result of tomoDRGN; for everybody."""
    star = _star(at)
    (at / "settings.toml").write_text(SETTINGS)
    run(["simulate", "--out", at / "simulated", "--particles", 12, "--tilts", 5, "--box", 24])
    run(["train", star, "--out", at / "run", "--config", at / "settings.toml"])
    shutil.copytree(at / "run", at / "analysed")
    run(["analyze", at / "analysed", "--clusters", 3])
    (at / "some.txt").write_text("".join(f"TS_001.tomostar/{row}\n" for row in range(1, 7)))
    (at / "conditions.csv").write_text(
        "tomogram,condition\nTS_001.tomostar,one\nTS_002.tomostar,other\n"
    )
    # Whole tilt images are an option of the function, not of the command.
    settings = {"particles": 4, "tilts": 3, "box_size_px": 32, "states": 1, "snr": 1.0}
    for _ in simulate(at / "tilts", SimulationConfig(**settings, tilt_series=True)):
        pass
    (at / "result").mkdir()
    with open(at / "result" / "z.10.train.pkl", "wb") as stream:
        for seed in (0, 1):
            latents = np.random.default_rng(seed).normal(size=(12, 3))
            pickle.dump(latents.astype(np.float16), stream)
    subprocess.run(["chmod", "-R", "a+rX", at], check=True)


def run(words: list[object]) -> tuple[int, str]:
    """Run a command here; its exit status, and what it said on stderr."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main([str(word) for word in words])
        except SystemExit as leaving:
            status = int(leaving.code or 0)
    return status, said.getvalue()


def snapshot(folder: Path) -> dict[str, str]:
    """All files below a folder, with a digest of their content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def outcome(name: str, trouble: str, at: Path, folder: Path) -> Outcome:
    """Run a command in a trouble, in a fresh folder.

    Raises
    ------
    OSError
        If the trouble cannot be made on this computer, by this user.
    """
    writer = WRITERS[name]
    with _trouble(trouble, writer, at, folder) as out:
        before = snapshot(out)
        words = writer.words(at, out)
        status, said = _killed(words, out) if trouble == "killed" else run(words)
        after = snapshot(out)
        _open_runs(out)
    return Outcome(
        status,
        said,
        tuple(name for name in after if name not in before),
        tuple(name for name in before if after.get(name) != before[name]),
    )


def _open_runs(out: Path) -> None:
    """Read every run that is there, as a window does; raises if one is damaged."""
    for file in out.rglob("run.json"):
        found = Run.open(file.parent)
        found.metrics()
        if found.epochs():
            found.latents()
            found.extras()


@contextmanager
def _trouble(trouble: str, writer: Writer, at: Path, folder: Path) -> Iterator[Path]:
    """The folder to write below, in which the trouble is."""
    out = folder / "out"
    out.mkdir()
    out.chmod(0o755)
    if trouble in ("disk full", "read-only"):
        yield from _on_small_disk(trouble, writer, at, out)
        return
    if writer.into_run:
        shutil.copytree(at / "run", out, dirs_exist_ok=True)
    if trouble == "exists":
        if not writer.into_run:
            status, said = run(writer.words(at, out))
            assert status == 0, said
        yield out
    elif trouble == "no permission":
        os.seteuid(_NOBODY)
        try:
            yield out
        finally:
            os.seteuid(0)
    else:
        yield out


def _on_small_disk(trouble: str, writer: Writer, at: Path, out: Path) -> Iterator[Path]:
    """A file system in memory: with half the room that the command needs, or read-only."""
    size = _needed(writer, at) // 2 // _PAGE * _PAGE
    if writer.into_run:
        size += _size(at / "run")
    _mount(out, f"size={size + _PAGE},mode=755")
    try:
        (out / "filler").write_bytes(bytes(_PAGE))
        if writer.into_run:
            shutil.copytree(at / "run", out, dirs_exist_ok=True)
        if trouble == "read-only":
            _mount(out, "remount,ro")
        yield out
    finally:
        subprocess.run(["umount", out], check=True)


def _mount(out: Path, options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", out], capture_output=True, text=True
    )
    if done.returncode:
        raise OSError(f"no file system can be mounted here: {done.stderr.strip()}")


def _needed(writer: Writer, at: Path) -> int:
    """Bytes that a command adds, in whole pages."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        if writer.into_run:
            shutil.copytree(at / "run", out, dirs_exist_ok=True)
        before = _size(out)
        status, said = run(writer.words(at, out))
        assert status == 0, said
        return _size(out) - before


def _size(folder: Path) -> int:
    files = list(folder.rglob("*"))
    return sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in files if path.is_file())


def _killed(words: list[object], out: Path) -> tuple[int, str]:
    """Run a command in a process that is killed as soon as it has begun to write."""
    before = set(snapshot(out))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["napari_tomodrgn.cli.commands.train"])
    process = context.Process(target=_quietly, args=([str(word) for word in words],))
    process.start()
    while process.is_alive() and not any(
        path.is_file() and str(path.relative_to(out)) not in before for path in out.rglob("*")
    ):
        time.sleep(0.001)
    process.kill()
    process.join()
    return process.exitcode or 0, ""


def _quietly(words: list[str]) -> None:
    sys.exit(run(words)[0])


def sentence(said: str, at: Path, out: Path) -> str:
    """The last line that was said, with ``OUT`` and ``SET`` for the folders."""
    lines = [line for line in said.strip().splitlines() if line.startswith("napari-tomodrgn")]
    text = lines[-1].split(": ", 1)[1] if lines else ""
    text = text.replace(str(out), "OUT").replace(str(at), "SET")
    return re.sub(r"OUT/\S*?([^/\s]+): ", r"OUT/…/\1: ", text)


def table() -> str:
    """The table of docs/troubles.md."""
    rows = ["| command | trouble | exit | what it says | files left |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        at = root / "set"
        at.mkdir(mode=0o755)
        prepare(at)
        for name in WRITERS:
            for number, trouble in enumerate(TROUBLES):
                place = root / f"{name}-{number}"
                place.mkdir(mode=0o755)
                if not is_possible(name, trouble):
                    continue
                found = outcome(name, trouble, at, place)
                words = sentence(found.said, at, place / "out")
                status = "killed" if found.status < 0 else found.status
                rows.append(f"| `{name}` | {trouble} | {status} | {words} | {_left(found)} |")
    return "\n".join(rows)


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it is in, is hidden."""
    return any(part.startswith(".") for part in name.split("/"))


def _left(found: Outcome) -> str:
    hidden = [name for name in found.left if is_hidden(name)]
    if hidden and len(hidden) == len(found.left):
        return "hidden temporary files, removed by the next such command"
    if found.left == ("run/training.lock",) or found.left == ("training.lock",):
        return "a lock that no longer holds"
    if any(name.endswith(".extraction") for name in found.left):
        return "whole tomograms, without a star file; the same command goes on"
    if any(name.endswith("run.json") for name in found.left) or found.changed:
        return "a whole run, to be resumed"
    return ", ".join(f"`{name}`" for name in found.left) or "none"


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
