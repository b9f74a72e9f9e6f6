"""Two processes against one, under torchrun: ``python benchmarks/ranks.py [PROCESSES]``.

Prints how far losses, weights and latents differ for the same batch, after one epoch and
five. Training amplifies rounding, so the same is printed for one process that adds a step up in two
halves. On the cores of one machine processes gain nothing over threads.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from napari_tomodrgn.config import read_config
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime import memory
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate

BATCH = 16
SETTINGS = f"""
[train]
epochs = 5
batch_size = {BATCH}
device = "cpu"
"""


def compare(one: Run, other: Run, what: str) -> None:
    """Print how far two runs are apart, after the first epoch and the last."""
    names = ["reconstruction", "kl", "total", "held_out"]
    losses = np.abs(other.metrics()[names] / one.metrics()[names] - 1).max(axis=1).to_numpy()
    for epoch in (1, one.last_epoch()):
        weights, others = load_file(one.weights_file(epoch)), load_file(other.weights_file(epoch))
        apart = max(float((weights[name] - others[name]).abs().max()) for name in weights)
        latents = one.latents(epoch).filter(like="mu_").to_numpy()
        moved = np.abs(latents - other.latents(epoch).filter(like="mu_").to_numpy()).max()
        print(
            f"{what}, epoch {epoch}: losses {losses[epoch - 1]:.1e} of their value, "
            f"weights {apart:.1e}, latents {moved:.1e} (their SD {latents.std():.2f})"
        )


def main() -> None:
    """Train three times, compare."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    folder = Path(tempfile.mkdtemp())
    for _ in simulate(folder / "set", SimulationConfig(particles=120, tilts=15, box_size_px=32)):
        pass
    (folder / "settings.toml").write_text(SETTINGS)
    star = folder / "set" / "warptools" / "particles_optimisation_set.star"
    words = ["-m", "napari_tomodrgn", "train", star, "--config", folder / "settings.toml", "--out"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    quiet = {"check": True, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, *torchrun, *words, folder / "several"], **quiet)
    particles, config = read_particles(star), read_config(folder / "settings.toml")
    for _ in train(particles, config, folder / "one"):
        pass
    memory.ChunkSizes.on = classmethod(  # type: ignore[method-assign, assignment]
        lambda cls, device, size, samples: cls(1 << 15, -(-size // processes))
    )
    for _ in train(particles, config, folder / "halves"):
        pass
    one = Run.open(folder / "one")
    compare(one, Run.open(folder / "several"), f"{processes} processes")
    compare(one, Run.open(folder / "halves"), f"one, in {processes} parts")
    seconds = [Run.open(folder / name).metrics()["seconds"].median() for name in ("one", "several")]
    print(f"an epoch: {seconds[0]:.2f} s alone, {seconds[1]:.2f} s together, on the same cores")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads alone")


if __name__ == "__main__":
    main()
