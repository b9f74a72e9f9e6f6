"""Images in a file against images in memory: ``python benchmarks/cache.py [PARTICLES] [BOX]``.

Particles a second and peak memory of training from both, for a quarter of the set and the whole of
it; how fast batches of random particles come from a file that the system holds no copy of, against
plain reading of the same bytes; what half precision costs in the loss.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from napari_tomodrgn.config import DataConfig, RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import Cache, FourierImages, ImageReader, prepare
from napari_tomodrgn.learn.runtime.events import EpochDone
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate

TILTS, BATCH = 41, 16


def trained(star: str, out: str, count: int, memory_gb: float) -> dict[str, float]:
    """Two epochs on the first particles: seconds, peak memory and losses."""
    particles = read_particles(star)
    config = RunConfig.model_validate(
        {
            "model": {"linear_start": False},
            "data": {"memory_gb": memory_gb, "contrast": "keep"},
            "train": {"epochs": 2, "batch_size": BATCH, "refine": False, "device": "cpu"},
        }
    )
    told, began = {}, time.perf_counter()
    for event in train(particles.take(np.arange(len(particles)) < count), config, out):
        if isinstance(event, EpochDone):
            told = {"epoch": event.seconds, "loss": event.losses.reconstruction}
            told["held_out"] = event.losses.held_out
    told["seconds"] = time.perf_counter() - began
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return told


def forget(file: Path) -> None:
    """Let the system drop its copy of a file."""
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def waited(
    images: FourierImages, file: Path, order: torch.Tensor, *, hints: bool, work: float
) -> list[float]:
    """Seconds of each batch of random particles, from a file that is not in memory."""
    forget(file)
    times, x = [], torch.randn((512, 512))
    tilts = torch.arange(TILTS)
    batches = [(rows[:, None] * TILTS + tilts).flatten() for rows in order.split(BATCH)]
    for rows, following in zip(batches, [*batches[1:], batches[0][:0]], strict=True):
        began = time.perf_counter()
        if hints:
            images.expect(following)
        images.take(rows)
        times.append(time.perf_counter() - began)
        while time.perf_counter() - began < times[-1] + work:
            x @ x
    return times


def rates(star: Path, folder: Path) -> None:
    """Batches of random particles from files in both precisions, and the bytes alone."""
    particles = read_particles(star)
    lattice = half_plane(particles.optics.box_size_px)
    order = torch.randperm(len(particles), generator=torch.Generator().manual_seed(0))
    for kind, shared, memory_gb in (("float16", False, 1e-6), ("float32", True, 1e3)):
        file = folder / kind / "samples.npy"
        reader = ImageReader(particles, lattice, DataConfig())
        began = time.perf_counter()
        images = run_to_end(prepare(reader, len(lattice), memory_gb, Cache(file, shared=shared)))
        made = time.perf_counter() - began
        size = file.stat().st_size / 1e9
        forget(file)
        began = time.perf_counter()
        with open(file, "rb", buffering=0) as stream:
            while stream.read(1 << 22):
                pass
        plain = size / (time.perf_counter() - began)
        seconds = sum(waited(images, file, order, hints=False, work=0.0))
        print(
            f"{kind}: {size:.2f} GB, made in {made:.1f} s; batches of random particles "
            f"{len(order) / seconds:.0f} particles/s, {size / seconds:.2f} GB/s; "
            f"plain reading of the file {plain:.2f} GB/s"
        )
        for hints in (False, True):
            times = waited(images, file, order, hints=hints, work=0.02)
            print(
                f"  20 ms of work between two batches, {'told' if hints else 'not told'} which is "
                f"next: {1e3 * np.median(times):.1f} ms of waiting a batch"
            )


def main() -> None:
    """Simulate, train from memory and file, read."""
    if sys.argv[1:2] == ["--train"]:
        star, out, count, memory_gb = sys.argv[2:]
        print(json.dumps(trained(star, out, int(count), float(memory_gb))))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    box = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR")))
    settings = SimulationConfig(particles=count, tilts=TILTS, box_size_px=box)
    for _ in simulate(folder / "set", settings):
        pass
    star = folder / "set" / "warptools" / "particles_optimisation_set.star"
    found = {}
    for some in (count // 4, count):
        for place, memory_gb in (("memory", 1e3), ("file", 1e-6)):
            words = [str(star), str(folder / f"{place}-{some}"), str(some), str(memory_gb)]
            command = [sys.executable, __file__, "--train", *words]
            ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            told = found[place, some] = json.loads(ran.stdout)
            print(
                f"{some} particles from {place}: {some / told['epoch']:.0f} particles/s, "
                f"{told['seconds']:.1f} s in all, peak {told['peak_mb']:.0f} MB",
                flush=True,
            )
    for name in ("loss", "held_out"):
        memory, file = found["memory", count][name], found["file", count][name]
        print(
            f"{name} {memory:.6f} from memory, {file / memory - 1:+.1e} of it from half precision"
        )
    rates(star, folder)


if __name__ == "__main__":
    main()
