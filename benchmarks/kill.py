"""Kill training at random moments and go on with it: ``python benchmarks/kill.py [KILLS] [SEED]``.

A small training, killed by SIGKILL at random moments, often several times before it ends: while it
reads images, looks for components, takes steps, closes epochs and writes files. What it ends with
has to equal the uninterrupted training bit for bit. All the while the run is opened and read, as a
window would that follows it.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

LOSSES = ["epoch", "reconstruction", "kl", "total", "beta", "lr", "held_out"]
_MODEL = {"latent_dim": 2, "decoder_dim": 32, "image_encoder_dim": 32}
_TRAIN = {"epochs": 4, "points_per_particle": 64, "save_seconds": 0.02, "device": "cpu"}
# With the linear start, images in memory; and without it, images in a file.
SETTINGS = [
    {"model": _MODEL, "train": _TRAIN},
    {
        "model": {**_MODEL, "linear_start": False},
        "data": {"memory_gb": 1e-6},
        "train": {**_TRAIN, "epochs": 12},
    },
]


def training(star: str, out: str, settings: dict[str, object], phase: Any) -> None:
    """Train, or go on, noting in shared memory what is going on."""
    from napari_tomodrgn import files
    from napari_tomodrgn.config import RunConfig
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.learn.run import checkpoint, directory
    from napari_tomodrgn.learn.training.train import train

    def note(text: str) -> None:
        phase.value = text.encode()

    class Noted:
        def __init__(self, path: Path) -> None:
            self.inner = files.written_atomically(path)
            self.what = "writing " + Path(path).name.replace("-000", "-")[:5] + "…"

        def __enter__(self) -> Path:
            self.before = phase.value.decode()
            note(self.what)
            return self.inner.__enter__()

        def __exit__(self, *error: object) -> bool | None:
            left = self.inner.__exit__(*error)
            note(self.before)
            return left

    checkpoint.written_atomically = directory.written_atomically = Noted  # type: ignore[assignment]
    note("opening")
    resume = (Path(out) / "run.json").exists()
    for event in train(
        read_particles(star), RunConfig.model_validate(settings), out, resume=resume
    ):
        name = type(event).__name__
        note(getattr(event, "what", "") or ("closing" if name == "EpochDone" else "training"))


def follow(out: Path) -> None:
    """Read a run as a window does; raises if it is not valid at any moment."""
    from napari_tomodrgn.learn.run.directory import Run

    if (out / "run.json").exists():
        run = Run.open(out)
        run.metrics()
        if run.epochs():
            run.latents()
            run.model()


def over(out: Path) -> bool:
    """Whether nothing was left to do; to resume such a run means to go on beyond its end."""
    from napari_tomodrgn.learn.run.directory import Run

    return (out / "run.json").exists() and Run.open(out).info.chosen_epoch is not None


def left_by(out: Path) -> tuple[bytes, bytes, str]:
    """What has to be equal: weights, latents, losses."""
    from napari_tomodrgn.learn.run.directory import Run

    run = Run.open(out)
    last = run.last_epoch()
    losses = run.metrics()[LOSSES].to_csv(index=False)
    return (
        run.weights_file(last).read_bytes(),
        run.latents_file(last).read_bytes(),
        losses,
    )


class Trial:
    """A set to train on, and a process that does it."""

    def __init__(self, folder: Path) -> None:
        from napari_tomodrgn.synthetic import SimulationConfig, simulate

        self.folder = folder
        for _ in simulate(folder / "set", SimulationConfig(particles=24, tilts=7, box_size_px=16)):
            pass
        self.star = str(folder / "set" / "warptools" / "particles_optimisation_set.star")
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["napari_tomodrgn.learn.training.train"])

    def start(self, out: Path, kind: int) -> tuple[Any, Any]:
        """A process that trains into ``out``, and what it is doing."""
        phase = self.context.RawArray("c", 64)
        given = (self.star, str(out), SETTINGS[kind], phase)
        process = self.context.Process(target=training, args=given)
        process.start()
        return process, phase

    def reference(self, kind: int) -> tuple[float, tuple[bytes, bytes, str]]:
        """Seconds of an uninterrupted training, and what it leaves."""
        for name in (f"warm-{kind}", f"whole-{kind}"):
            began = time.perf_counter()
            process, _phase = self.start(self.folder / name, kind)
            process.join()
            seconds = time.perf_counter() - began
        return seconds, left_by(self.folder / f"whole-{kind}")

    def killed(self, out: Path, kind: int, seconds: float) -> tuple[str, int]:
        """Start or go on, kill after so many seconds: while it did what, and looks at the run."""
        process, phase = self.start(out, kind)
        end, looks = time.perf_counter() + seconds, 0
        while process.is_alive() and time.perf_counter() < end:
            follow(out)
            looks += 1
            time.sleep(0.01)
        process.join(0)
        if process.exitcode is not None:
            if process.exitcode:
                sys.exit(f"{out} failed")
            return "", looks
        os.kill(process.pid, 9)
        process.join()
        follow(out)
        return phase.value.decode() or "starting", looks


def main() -> None:
    """Kill as often as asked; print what was hit, and differences."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    trial = Trial(Path(tempfile.mkdtemp()))
    references = [trial.reference(kind) for kind in (0, 1)]
    print("uninterrupted:", *(f"{seconds:.2f} s" for seconds, _ in references), flush=True)
    hit: Counter[str] = Counter()
    runs = different = looked = leftovers = 0
    while sum(hit.values()) < wanted:
        kind, out = runs % 2, trial.folder / f"run-{runs}"
        seconds, reference = references[kind]
        while True:
            what, looks = trial.killed(out, kind, chance.uniform(0, 1.5 * seconds))
            looked += looks
            if not what:
                break
            hit[what] += 1
            if over(out):
                break
        runs += 1
        different += left_by(out) != reference
        for file in out.rglob(".*"):
            leftovers += 1
            print(f"left over: {file.relative_to(out)}")
    for what, count in hit.most_common():
        print(f"{count:5d} kills while {what}")
    print(
        f"{sum(hit.values())} kills in {runs} runs, each of which then ended; read {looked} times"
    )
    print(f"{different} differences in weights, latents and losses; {leftovers} files left over")
    sys.exit(bool(different or leftovers))


if __name__ == "__main__":
    main()
