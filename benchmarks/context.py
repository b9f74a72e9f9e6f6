"""The tomogram with particles in place: frame, recolouring, picking, selection, memory.

``python benchmarks/context.py`` needs a screen, or Xvfb (``.ci/with_display.sh``). CPU is that of
the whole process with all threads of a software OpenGL, median of the repeats; wall beside it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BOX = 32
TOMOGRAM_PX = (128, 320, 320)
VOXEL_ANGSTROM = 15.0
SPREAD = np.array(TOMOGRAM_PX) * VOXEL_ANGSTROM


def phantom(rng: np.random.Generator) -> Any:
    """A map of 14 blobs, as uneven as a particle."""
    from napari_tomodrgn.data.volume import Volume

    axis = np.arange(BOX) - BOX // 2
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    data = np.zeros((BOX,) * 3, np.float32)
    for _ in range(14):
        away = grid - rng.normal(0, BOX / 9, 3)
        data += np.exp(-(away**2).sum(axis=-1) / (2 * (BOX / 14) ** 2)).astype(np.float32)
    return Volume(data, 10.0)


def random_poses(count: int, rng: np.random.Generator) -> Any:
    """Particles anywhere in the tomogram, turned anyhow."""
    from napari_tomodrgn.analysis.tomogram.placement import Poses
    from napari_tomodrgn.geometry import random_rotations

    ids = tuple(f"TS/{number}" for number in range(count))
    return Poses("TS", ids, rng.uniform(0, SPREAD, (count, 3)), random_rotations(count, rng))


def measured(what: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median CPU and wall milliseconds."""
    what()
    found = []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        what()
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu_ms, wall_ms = np.median(np.array(found), axis=0) * 1e3
    return float(cpu_ms), float(wall_ms)


def told(name: str, figures: tuple[float, float], words: str = "") -> None:
    """One line."""
    print(f"{name:<44} {figures[0]:9.2f} ms CPU {figures[1]:9.2f} ms wall  {words}", flush=True)


def frames(viewer: Any, counts: list[int], repeats: int) -> None:
    """A rotated frame with so many different particles and the slice plane."""
    from napari_tomodrgn.analysis.tomogram.meshes import contour, step_within_budget
    from napari_tomodrgn.data.tomograms import Tomogram
    from napari_tomodrgn.gui.tomogram.layers import TomogramLayers
    from napari_tomodrgn.gui.tomogram.particle_surfaces import merged, particles_per_surface
    from napari_tomodrgn.session import TomogramDisplay

    rng = np.random.default_rng(0)
    volume = rng.normal(size=TOMOGRAM_PX).astype(np.float32)
    # As many different maps as are quickly made: what is drawn has all its vertices.
    maps = [phantom(rng) for _ in range(50)]
    layers, look = TomogramLayers(viewer), TomogramDisplay()
    layers.show_image(Tomogram(Path("noise.mrc"), (volume,), VOXEL_ANGSTROM), look)
    layers.look_at_all(np.zeros(3), SPREAD)
    size = tuple(viewer.canvas.size)
    told("frame, rotated, slice alone", measured(partial(_turned, viewer), repeats), f"{size} px")
    for count in counts:
        poses = random_poses(count, rng)
        layers.show_points(poses.positions_zyx_angstrom, 100.0, "TS")
        step = step_within_budget(BOX, count)
        meshes = [contour(one, 3.0, step) for one in maps]
        shapes = {row: meshes[row % len(meshes)] for row in range(count)}
        colors = rng.integers(0, 256, (count, 3)).astype(np.uint8)
        layers.paint(colors)
        per = particles_per_surface(np.mean([len(one.vertices_zyx_angstrom) for one in meshes]))
        starts = range(0, count, per)
        chunks = [
            merged(np.arange(start, min(start + per, count)), shapes, poses) for start in starts
        ]
        for number, chunk in enumerate(chunks):
            layers.show_chunk(number, chunk, look)
        layers.size_points(np.ones(count, bool))
        layers.look_at_all(np.zeros(3), SPREAD)
        vertices = sum(len(chunk.vertices) for chunk in chunks)
        told(
            f"frame, rotated, {count:,} particles",
            measured(partial(_turned, viewer), repeats),
            f"{vertices:,} vertices, every {step} voxels, {len(chunks)} surfaces",
        )
        told(
            f"  recolour {count:,}",
            measured(partial(_repainted, layers, colors), 5 * repeats),
        )
        replace = partial(layers.show_chunk, 0, chunks[0], look)
        told(f"  replace a surface of {len(chunks[0].rows):,}", measured(replace, repeats))
    layers.clear()


def _repainted(layers: Any, colors: Any) -> None:
    colors += np.uint8(1)  # the same palette again would cost nothing
    layers.paint(colors)


def _turned(viewer: Any) -> None:
    angles = viewer.scene.camera.angles
    viewer.scene.camera.angles = (angles[0], angles[1] + 3.0, angles[2])
    viewer.screenshot(flash=False)


def picking(repeats: int) -> None:
    """A ray on the poses."""
    from napari_tomodrgn.gui.tomogram.ray_picking import picked

    rng = np.random.default_rng(1)
    for count in (1_000, 5_000, 50_000):
        at = rng.uniform(0, SPREAD, (count, 3))
        ray = (SPREAD / 2, np.array([-1.0, 0.2, 0.1]))
        told(
            f"pick among {count:,}",
            measured(partial(picked, at, 100.0, *ray), 20 * repeats),
        )


def selecting(viewer: Any, count: int, repeats: int) -> None:
    """A selection of half of all, set in the session, until both views have taken it."""
    from qtpy.QtWidgets import QApplication

    from napari_tomodrgn.gui.window.dock import open_dock

    widget = open_dock(viewer)
    session, rng = widget.session, np.random.default_rng(2)
    names = [f"TS/{number}" for number in range(2 * count)]
    index = pd.Index(names, name="particle_id", dtype=object)
    latents = pd.DataFrame(
        rng.normal(size=(2 * count, 4)).astype(np.float32), index, [f"mu_{i}" for i in range(4)]
    ).assign(tomogram="TS")
    session.latents = latents
    scene = widget.controller.tomogram_scene
    scene.poses = random_poses(2 * count, rng)
    scene._rows = {name: row for row, name in enumerate(names)}
    scene.layers.show_points(scene.poses.positions_zyx_angstrom, 100.0, "TS")
    session.color = "z 0"
    QApplication.processEvents()
    halves = [frozenset(names[:count]), frozenset(names[count:])]

    def cross() -> None:
        session.selection = halves[session.selection == halves[0]]

    def drawn() -> None:
        cross()
        widget.latent.view.repaint()

    told(f"selection of {count:,} into both views", measured(cross, repeats))
    told("  and the whole window drawn anew", measured(drawn, repeats))
    scene.layers.clear()
    widget.close_down()


def memory(count: int) -> None:
    """What different maps of so many particles take, and the bound of it."""
    from napari_tomodrgn.gui.tomogram.particle_surfaces import KEPT_BYTES, MapCache

    rng = np.random.default_rng(3)
    maps = [phantom(rng) for _ in range(20)]
    store = MapCache()
    for number in range(count):
        store.mesh(("run", 1, str(number)), (3.0, 1), lambda n=number: maps[n % 20])
    words = f"{len(store):,} of {count:,} kept, bound {KEPT_BYTES / 2**20:.0f} MiB"
    print(f"{'memory of maps and surfaces, box 32':<44} {store.bytes / 2**20:9.1f} MiB  {words}")


def chance(repeats: int = 400) -> None:
    """A planted effect, and how often chance alone is taken for one (p < 0.05)."""
    from napari_tomodrgn.analysis.tomogram.association import association

    found = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        index = [f"p{row}" for row in range(300)]
        tomograms = pd.Series(rng.choice(["a", "b", "c"], 300, p=[0.5, 0.3, 0.2]), index)
        # States differ between tomograms, as does the column: that must not be taken for a link.
        share = tomograms.map({"a": 0.2, "b": 0.5, "c": 0.8}).to_numpy()
        states = pd.Series(np.where(rng.random(300) < share, "open", "closed"), index)
        noise = pd.Series(rng.normal(size=300) + 3 * share, index)
        planted = noise + 0.7 * (states == "open")
        found.append([association(states, one, tomograms).p_value for one in (noise, planted)])
    none, some = np.array(found).T
    for name, p_values in (("no effect", none), ("an effect of 0.7 sd", some)):
        below = f"{(p_values < 0.05).sum()} of {repeats} below 0.05"
        first = f"of the first 20 {(p_values[:20] < 0.05).sum()}"
        print(f"{f'association, {name}':<44} {below}, {first}")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, nargs="*", default=[1, 100, 1000, 5000])
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1440, 900)
    picking(asked.repeats)
    frames(viewer, asked.particles, asked.repeats)
    selecting(viewer, 10_000, asked.repeats)
    viewer.close()
    memory(5_000)
    chance()


if __name__ == "__main__":
    main()
