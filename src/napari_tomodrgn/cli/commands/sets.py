"""The commands about a set without a run: `reconstruct` and `simulate`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from napari_tomodrgn.analysis.fsc import low_pass
from napari_tomodrgn.analysis.reconstruct import (
    RECONSTRUCTION_FILES,
    Reconstruction,
    network_steps,
    reconstruct_steps,
)
from napari_tomodrgn.cli.choosing import (
    changed_volume,
    data_config,
    given_files,
    read_chosen,
    reject_beyond_nyquist,
)
from napari_tomodrgn.cli.evidence_arguments import nuisance_settings
from napari_tomodrgn.cli.terminal import Bar, say, watch
from napari_tomodrgn.config import DataConfig, validated
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import is_empty, staged_folder
from napari_tomodrgn.learn.run.exports import export_files
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.learn.training.homogeneous import HomogeneousConfig
from napari_tomodrgn.physics.shells import FSC_THRESHOLD
from napari_tomodrgn.synthetic import SimulationConfig, SimulationProgress
from napari_tomodrgn.synthetic import simulate as simulate_events
from napari_tomodrgn.synthetic.layout import Layout

_FLAGS = {"box_size_px": "--box"} | {
    name: f"--{name}"
    for name in (
        *("particles", "tilts", "states", "continuous", "molecule", "assembly"),
        *("snr", "seed"),
    )
}

# Options of `train` that mean nothing where no run comes of it.
_OF_RUNS = (
    *("config", "latent_dim", "focus", "batch_size", "device"),
    *("resume", "selections_of", "slurm"),
)


def run_reconstruct(options: Namespace) -> int:
    """Write half maps, map, filtered map and FSC of particles."""
    data = data_config(options)
    particles = read_chosen(options, data)
    reject_beyond_nyquist(options.lowpass, 2 * particles.optics.pixel_size_angstrom)
    with export_files(
        overwrite=options.overwrite, files=given_files(options), particles=particles
    ) as outputs:
        outputs.check(*(options.out / name for name in RECONSTRUCTION_FILES))
        result = watch(_reconstruction_steps(particles, data, options), "Reconstructing")
        result = seen_otherwise(result, options)
        result.save(options.out)
    say(
        f"{result.particles:,} particles, FSC {FSC_THRESHOLD} at "
        f"{result.resolution_angstrom:.1f} Å → {options.out}"
    )
    return 0


def run_homogeneous(options: Namespace) -> int:
    """What ``train --method homogeneous`` means: maps and no latents, so no run either."""
    for name in _OF_RUNS:
        if getattr(options, name) not in (None, False):
            raise BadInputError(f"--{name.replace('_', '-')} is not of --method homogeneous.")
    view = {"symmetry": "C1", "lowpass": None, "flip": False, "invert": False}
    return run_reconstruct(Namespace(**{**vars(options), **view, "method": "network"}))


def _reconstruction_steps(
    particles: ParticleSet, data: DataConfig, options: Namespace
) -> Generator[WorkProgress, None, Reconstruction]:
    if options.method == "network":
        epochs = options.epochs or HomogeneousConfig.epochs
        config = HomogeneousConfig(epochs=epochs, seed=vars(options).get("seed") or 0)
        return network_steps(particles, data=data, config=config)
    return reconstruct_steps(particles, data=data, symmetry=options.symmetry)


def seen_otherwise(result: Reconstruction, options: Namespace) -> Reconstruction:
    """The maps mirrored, inverted or cut at a resolution, as asked for."""
    filtered = result.filtered
    if options.lowpass is not None:
        filtered = low_pass(result.map, options.lowpass)
    return replace(
        result,
        map=changed_volume(result.map, options),
        filtered=changed_volume(filtered, options),
        half1=changed_volume(result.half1, options),
        half2=changed_volume(result.half2, options),
    )


def run_simulate(options: Namespace) -> int:
    """Write a data set with known states."""
    given = {
        "particles": options.particles,
        "tilts": options.tilts,
        "box_size_px": options.box,
        "states": options.states,
        "continuous": options.continuous,
        "molecule": options.molecule,
        "assembly": options.assembly,
        "snr": options.snr,
        "export": options.export,
        "seed": options.seed,
        "tilt_series": options.tilt_series,
        "nuisances": nuisance_settings(options),
    }
    settings = {name: value for name, value in given.items() if value is not None}
    config = validated(SimulationConfig, settings, names=_FLAGS)
    write_simulation(options.out, config, overwrite=options.overwrite)
    return 0


def write_simulation(out: Path, config: SimulationConfig, *, overwrite: bool = False) -> None:
    """Write a simulated set into a new or empty folder, all of it or nothing.

    Raises
    ------
    BadInputError
        If the folder holds anything; an earlier simulation may be replaced.
    """
    if out.is_dir() and not is_empty(out) and not (overwrite and Layout(out).config.exists()):
        earlier = Layout(out).config.exists()
        raise BadInputError(
            f"{out}: holds {'an earlier simulation' if earlier else 'other files'}.",
            remedy="Name a new or an empty folder"
            + (", or replace it with --overwrite." if earlier else "."),
            code="exists",
        )
    bar = Bar("Simulating", "particles")
    with staged_folder(out) as folder:
        for event in simulate_events(folder, config):
            if isinstance(event, SimulationProgress):
                if event.unit != bar.unit:
                    bar.close()
                    bar = Bar("Simulating", event.unit)
                bar.show(event.done, event.total)
    bar.close()
    say(f"{config.particles:,} particles with {config.tilts} tilts each → {out}")
