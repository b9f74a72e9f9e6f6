"""How long a stop takes: ``python benchmarks/stopping.py [PARTICLES] [MOMENTS]``.

A training is asked to stop at moments spread over its course: while images are read, the contrast
is decided, components are sought, the encoder is taught, steps are taken, latents are refined. What
is printed is how long it took until everything was saved and the generator had ended.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate


def main() -> None:
    """Train once to know how long it takes, then stop at so many moments."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    moments = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    folder = Path(tempfile.mkdtemp())
    settings = SimulationConfig(particles=count, tilts=21, box_size_px=48, states=2)
    for _ in simulate(folder / "set", settings):
        pass
    particles = read_particles(folder / "set" / "warptools" / "particles_optimisation_set.star")
    config = RunConfig.model_validate({"train": {"epochs": 1, "device": "cpu"}})
    began = time.perf_counter()
    polled, gaps = began, defaultdict[str, float](float)
    what = "opening"

    def ask() -> bool:
        # Between two looks at it, a stop waits: the longest such time is the worst that can be.
        nonlocal polled
        now = time.perf_counter()
        gaps[what] = max(gaps[what], now - polled)
        polled = now
        return False

    for event in train(particles, config, folder / "whole", stop=ask):
        what = getattr(event, "what", type(event).__name__)
    whole = time.perf_counter() - began
    print(f"{count} particles, 21 tilts, box 48: {whole:.1f} s to the end of the first epoch")
    print("longest time between two looks at the wish to stop, by what was told last:")
    for name, seconds in sorted(gaps.items(), key=lambda item: -item[1]):
        print(f"  {seconds:.2f} s  {name}", flush=True)
    found: dict[str, list[float]] = defaultdict(list)
    for moment in range(moments):
        begun = time.perf_counter()
        at = begun + whole * (moment + 0.5) / moments
        last = "opening"
        for event in train(
            particles, config, folder / f"{moment}", stop=lambda at=at: time.perf_counter() > at
        ):
            if time.perf_counter() <= at:
                last = getattr(event, "what", type(event).__name__)
        found[last].append(time.perf_counter() - at)
    for name, times in found.items():
        print(f"{name}: {len(times)} stops, worst {max(max(times), 0):.2f} s")
    if found:
        print(f"worst of {moments}: {max(max(times) for times in found.values()):.2f} s")


if __name__ == "__main__":
    main()
