"""The command `place`: particles at their poses in a tomogram, with or without a network."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tomodrgn.analysis.particle_values import ParticleValues
from napari_tomodrgn.analysis.selections import known_clusters
from napari_tomodrgn.analysis.tomogram import chimerax_scene
from napari_tomodrgn.analysis.tomogram.markers import marker_files, write_markers
from napari_tomodrgn.analysis.tomogram.placement import Placement, placements
from napari_tomodrgn.cli.choosing import (
    chosen_of_run,
    given_files,
    required_run,
    run_at,
    says_which,
)
from napari_tomodrgn.cli.commands.runs import reject_box_and_lowpass
from napari_tomodrgn.cli.terminal import Bar, say
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.places import with_places
from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.exports import export_files
from napari_tomodrgn.learn.runtime.device import pick_device

if TYPE_CHECKING:
    import pandas as pd

NamedMaps = Iterator[tuple[str, Volume]]


def run_place(options: Namespace) -> int:
    """Write a tomogram's particles at their poses: decoded maps, given maps, or spheres."""
    run = run_at(options.source)
    if options.epoch is not None:
        required_run(run, "--epoch")
    particles = _particles(run, options)
    placed = placements(
        particles, tomogram=options.tomogram, orientations_needed=not options.markers
    )
    table = _table(run, particles.select(one.particle_id for one in placed), options)
    color = options.color and chimerax_scene.column_of(table, options.color)
    with export_files(
        overwrite=options.overwrite, files=given_files(options), particles=particles, run=run
    ) as outputs:
        if options.markers:
            outputs.check(*marker_files(options.out))
            colors = chimerax_scene.hex_colors(color) if color is not None else None
            script = write_markers(
                options.out, placed, colors or [_ORANGE] * len(placed), options.radius
            )
            say(f"{len(placed):,} spheres → {script}")
            return 0
        outputs.check(*chimerax_scene.scene_files(options.out))
        bar = Bar("Placing", "maps")
        maps = _maps(run, table, placed, options, bar)
        scene = chimerax_scene.write_scene(options.out, maps, placed, color, options.sigma)
        bar.close()
    say(f"{len(placed):,} particles, {len(scene.maps):,} maps → {scene.script}, {scene.mesh.name}")
    return 0


_ORANGE = "#e69f00"


def _particles(run: Run | None, options: Namespace) -> ParticleSet:
    """The particles that are meant, with their places from elsewhere if so."""
    needed = options.images is not None
    if run is not None:
        particles = run.particles(options.images, images_needed=needed)
    else:
        particles = read_particles(options.source, images=options.images, images_needed=needed)
    which = Namespace(**{**vars(options), "tomogram": None})
    if says_which(which):
        particles = chosen_of_run(run, particles, which)
    if options.places is not None:
        found = with_places(particles, options.places, options.places_pixel_size)
        for note in found.notes:
            say(note)
        return found.particles
    return particles


def _table(run: Run | None, particles: ParticleSet, options: Namespace) -> pd.DataFrame:
    """All that can colour a particle or say which map it gets."""
    if run is not None and run.epoch_to_show() is not None:
        return chimerax_scene.run_table(run, particles, options.epoch)
    added = []
    if run is not None and (clusters := known_clusters(run.path)) is not None:
        added.append(clusters)
    values = ParticleValues(particles, added=added)
    return values.table(values.names())


def _maps(
    run: Run | None,
    table: pd.DataFrame,
    placed: tuple[Placement, ...],
    options: Namespace,
    bar: Bar,
) -> NamedMaps:
    """Name and map of each particle."""
    if options.map:
        return _given_maps(table, options)
    run = required_run(run, "To decode maps a run is needed: --map or --markers do without; this")
    run = run.with_shell_filter(on=not options.no_shell_filter)
    reject_box_and_lowpass(run, options)
    groups = chimerax_scene.column_of(table, "cluster") if options.by_cluster else None
    decoder = run.decoder(options.epoch, pick_device(options.device))
    look = (options.box, options.lowpass)
    if options.consensus:
        axes = [name for name in table if str(name).startswith("mu_")]
        mean = run.latents(options.epoch)[axes].to_numpy(np.float32).mean(axis=0)
        volume = decoder.decode(mean, *look)
        return (("consensus", volume) for _ in placed)
    return chimerax_scene.decoded_maps(decoder, table, groups, look, bar.show)


def _given_maps(table: pd.DataFrame, options: Namespace) -> NamedMaps:
    """One map for all, or one for each value of a column."""
    if len(options.map) == 1 and "=" not in options.map[0]:
        volume, name = read_volume(options.map[0]), Path(options.map[0]).stem
        return ((name, volume) for _ in range(len(table)))
    named = [text.partition("=") for text in options.map]
    if not all(value and path for value, _, path in named):
        raise BadInputError("--map takes one file, or VALUE=FILE for each value of --map-by.")
    volumes = {value: read_volume(path) for value, _, path in named}
    column = chimerax_scene.column_of(table, options.map_by).astype(str)
    known = {value: _match(value, volumes) for value in column.unique()}
    missing = [value for value, match in known.items() if match is None]
    if missing:
        count = int(column.isin(missing).sum())
        raise BadInputError(
            f"{count} particles have {options.map_by} {missing[0]}, for which --map has no file.",
            remedy="Give one, or leave these particles out (--where).",
        )
    return ((f"{options.map_by}_{value}", volumes[str(known[value])]) for value in column)


def _match(value: str, volumes: dict[str, Volume]) -> str | None:
    """The key of a value: as it is written, or the same number (1 for 01)."""
    if value in volumes:
        return value
    try:
        return next((key for key in volumes if float(key) == float(value)), None)
    except ValueError:
        return None
