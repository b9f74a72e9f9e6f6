"""How long a map from images takes: ``python benchmarks/kernel_map.py [PARTICLES] [BOX]``.

1,000 particles of 41 tilts and box 64, 500 neighbours, if nothing else is said. Asked are the first
map of a run (images read and transformed, tilt halves fitted, images added up), the coarse one that
comes before they are added up and that of 500 particles around, the first one when they are in
memory, and every further one.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from evidence import read_simulated

from napari_tomodrgn.analysis.evidence.kernel_map import coarse_map, kernel_map, neighborhood_map
from napari_tomodrgn.analysis.evidence.membership import choosing_latents, tilt_half_masks
from napari_tomodrgn.analysis.evidence.session import Evidence, TiltHalves, add_up
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end

T = TypeVar("T")
NEIGHBORS = 500


def timed(what: str, call: Callable[[], T]) -> T:
    """Print how long a call takes."""
    began = time.perf_counter()
    found = call()
    print(f"{what:<44} {time.perf_counter() - began:6.2f} s", flush=True)
    return found


def main() -> None:
    """Print all figures."""
    particles, box = (int(word) for word in (sys.argv[1:] + ["1000", "64"][len(sys.argv) - 1 :]))
    settings: dict[str, object] = {
        "particles": particles,
        "tilts": 41,
        "box_size_px": box,
        "snr": 0.05,
        "structures": ("60S", "60S_without_5S_RNP"),
    }
    with tempfile.TemporaryDirectory() as folder:
        data, run = timed(
            "simulate, read, transform", lambda: read_simulated(Path(folder), settings, 0, None)
        )
        halves = tilt_half_masks(data)
        latents = timed(
            "fit tilt halves (kept in the run)",
            lambda: run_to_end(choosing_latents(data, run, halves)),
        )
        known = TiltHalves(data, run, halves, latents)
        point = (latents[0][0], latents[1][0])
        coarse = timed("first map, coarse", lambda: run_to_end(coarse_map(known, point)))
        around = timed(
            "first map of a large set, in full",
            lambda: run_to_end(neighborhood_map(known, point)),
        )
        sums = timed(
            "add up images (once a run that is open)", lambda: run_to_end(add_up(data, run))
        )
        evidence = Evidence(data, run, halves, latents, sums)
        maps = []
        for which in range(3):
            points = (latents[0][which], latents[1][which])
            found = timed(
                f"map {which + 1} of {NEIGHBORS} neighbours",
                lambda points=points: run_to_end(kernel_map(evidence, points, NEIGHBORS)),
            )
            maps.append(found.volume.data)
        assert np.isfinite(found.volume.data).all()
        print(f"correlation with map 1 of {NEIGHBORS} neighbours:")
        for name, one in (("coarse", coarse), ("of the particles around", around)):
            alike = np.corrcoef(one.volume.data.ravel(), maps[0].ravel())[0, 1]
            print(f"  {name}: {alike:.3f}")
        print(f"effective particles {found.effective_particles:.0f}")


if __name__ == "__main__":
    main()
