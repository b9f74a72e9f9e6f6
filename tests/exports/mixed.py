"""One truth imaged at several pixel sizes, those of its tomograms in turn, in one star file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import starfile

from exports import WRITERS
from exports.world import World, make_world, write_blocks
from napari_tomodrgn.synthetic import SimulationConfig

_TOMOGRAM = {"warp": "rlnMicrographName"}
_SHIFTS_ANGSTROM = 12.0


def imaged_at(out: Path, box: int, **settings: object) -> World:
    """Two tomograms of the particles that are the same at any box, without noise.

    Below a box of 64 the pixel grows with the field of view kept, above only the field of view.
    """
    config = SimulationConfig(
        **{"particles": 16, "tilts": 11, "states": 1, "snr": 1e6, **settings},
        box_size_px=box,
        shifts_px=_SHIFTS_ANGSTROM / (6.0 * max(1.0, 64 / box)),
    )
    return make_world(out / str(box), config)


def write_mixed(worlds: Sequence[World], name: str, folder: Path) -> Path:
    """The n-th tomogram as the n-th world has it, written in a dialect; the star to read."""
    tables, optics, first = [], [], None
    for number, world in enumerate(worlds):
        written = WRITERS[name][1](world, folder / f"{number}_{world.config.box_size_px}")
        blocks = starfile.read(written.particles, always_dict=True)
        first = first or (written, blocks)
        rows = blocks["particles"] if "particles" in blocks else next(iter(blocks.values()))
        series = world.scene.series[number].name
        mine = rows[rows[_TOMOGRAM.get(name, "rlnTomoName")].str.startswith(series)].copy()
        names = mine["rlnImageName"].str.split("@", expand=True)
        names[names.columns[-1]] = f"{written.particles.parent}/" + names[names.columns[-1]]
        mine["rlnImageName"] = names.agg("@".join, axis=1)
        tables.append(mine)
        if "optics" in blocks:
            optics.append(blocks["optics"].iloc[[number]])
    star, blocks = first
    together = pd.concat(tables, ignore_index=True)
    if not optics:
        write_blocks(folder / "particles.star", {"": together})
        return folder / "particles.star"
    changed = {"optics": pd.concat(optics), "particles": together}
    write_blocks(folder / "particles.star", {**blocks, **changed})
    entries = dict(next(iter(starfile.read(star.star, always_dict=True).values())))
    tomograms = star.star.parent / entries["rlnTomoTomogramsFile"]
    entries = {"rlnTomoParticlesFile": "particles.star", "rlnTomoTomogramsFile": str(tomograms)}
    write_blocks(folder / "optimisation_set.star", {"": entries})
    return folder / "optimisation_set.star"
