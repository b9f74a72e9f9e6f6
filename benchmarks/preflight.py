"""Seconds of the physics of preflight on the largest sample that it takes, stage by stage.

Run with ``python benchmarks/preflight.py [BOX]`` (default 64): 150 simulated ribosomes of 23 tilts,
3,450 images, as WarpTools and as Warp export them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from napari_tomodrgn.analysis.preflight import PreflightDone, PreflightProgress, preflight
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.synthetic import SimulationConfig, simulate


def timed(star: Path) -> None:
    """Print what each stage took and what is not ok."""
    particles = read_particles(star)
    started = last = time.perf_counter()
    stage = ""
    for event in preflight(particles):
        if isinstance(event, PreflightProgress) and event.stage != stage:
            now = time.perf_counter()
            if stage:
                print(f"  {now - last:5.1f} s  {stage}")
            stage, last = event.stage, now
        if isinstance(event, PreflightDone):
            print(f"  {time.perf_counter() - last:5.1f} s  {stage}")
            wrong = {check.code: check.verdict for check in event.checks if check.verdict != "ok"}
            print(f"  {time.perf_counter() - started:5.1f} s  in all; not ok: {wrong}")


def main() -> None:
    """Measure and print."""
    box = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    config = SimulationConfig(particles=150, tilts=23, box_size_px=box, states=1, snr=0.1)
    with tempfile.TemporaryDirectory() as folder:
        for _ in simulate(Path(folder) / "set", config):
            pass
        for name in ("warptools/particles_optimisation_set.star", "warp/particles.star"):
            print(f"{name}, box {box}")
            timed(Path(folder) / "set" / name)


if __name__ == "__main__":
    main()
