"""What the commands of `cli` do. Each takes its options and returns the exit status."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.reconstruct import reconstruct_steps
from napari_tomodrgn.analysis.selections import ids_of_clusters, load_selection
from napari_tomodrgn.analysis.tomogram import chimerax_scene
from napari_tomodrgn.analysis.tomogram.placement import placements
from napari_tomodrgn.cli.analysis_commands import analysed, print_analysis
from napari_tomodrgn.cli.analysis_commands import analyze as analyze
from napari_tomodrgn.cli.analysis_commands import import_result as import_result
from napari_tomodrgn.cli.evidence_arguments import nuisance_settings
from napari_tomodrgn.cli.evidence_commands import compare as compare
from napari_tomodrgn.cli.evidence_commands import compare_runs as compare_runs
from napari_tomodrgn.cli.evidence_commands import report as report
from napari_tomodrgn.cli.evidence_commands import shares as shares
from napari_tomodrgn.cli.evidence_commands import trust as trust
from napari_tomodrgn.cli.inspect import data_options, print_report, read_particles_from_args
from napari_tomodrgn.cli.inspect import inspect as inspect
from napari_tomodrgn.cli.slurm import write_script
from napari_tomodrgn.cli.terminal import Bar, last_of, say, stop_on_interrupt, tell, watch
from napari_tomodrgn.config import DataConfig, RunConfig, read_config
from napari_tomodrgn.data.checks import file_checks, problems_of, summary
from napari_tomodrgn.data.choice import read_ids
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.runtime.distributed import launch
from napari_tomodrgn.learn.runtime.events import Finished
from napari_tomodrgn.learn.training.embed import embed_set
from napari_tomodrgn.learn.training.train import train as train_events
from napari_tomodrgn.synthetic import SimulationConfig, SimulationProgress
from napari_tomodrgn.synthetic import simulate as simulate_events

# The demo: large states that differ by a subunit, small images, a quarter of a minute to write.
DEMO = SimulationConfig(particles=240, tilts=21, box_size_px=32, states=3, snr=0.1, tomograms=2)
DEMO_EPOCHS = 12


def train(options: Namespace) -> int:
    """Train a run, or go on with one."""
    particles = read_particles_from_args(options)
    particles = _chosen(particles, options.particles)
    config = _config_of(options)
    if options.slurm is not None:
        write_script(options, config.train.batch_size)
        say(f"Submit with: sbatch {options.slurm}")
        return 0
    speaks = launch().rank == 0
    with stop_on_interrupt(aloud=speaks) as asked:
        events = train_events(
            particles, config, options.out, resume=options.resume, stop=asked.is_set
        )
        finished = tell(events) if speaks else last_of(events)
    if isinstance(finished, Finished) and finished.reason == "stopped":
        if speaks:
            say(_where_stopped(finished, options.out))
        return 130
    if speaks:
        say(f"Run: {options.out}")
    return 0


def _where_stopped(finished: Finished, out: Path) -> str:
    if (out / "run.json").exists():
        return f"Stopped in epoch {finished.epoch}; go on with --resume."
    return "Stopped before the first epoch; start it again as before."


def _config_of(options: Namespace) -> RunConfig:
    """The configuration file, if any, with what the command line says on top."""
    config = read_config(options.config) if options.config else RunConfig()
    if options.resume and not options.config and options.epochs is None:
        config = Run.open(options.out).config
    given = {
        "data": data_options(options),
        "model": {"latent_dim": options.latent_dim},
        "linear": {"components": options.latent_dim},
        "train": {
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "device": options.device,
        },
        "method": options.method,
        "seed": options.seed,
    }
    settings = config.model_dump()
    for name, value in given.items():
        if isinstance(value, dict):
            settings[name] |= {key: item for key, item in value.items() if item is not None}
        elif value is not None:
            settings[name] = value
    return RunConfig.model_validate(settings)


def embed(options: Namespace) -> int:
    """Write the latents of particles, by a trained run."""
    run = Run.open(options.run)
    if options.out.suffix not in (".parquet", ".csv"):
        raise BadInputError(f"{options.out}: the table must end in .parquet or .csv.")
    particles = (
        run.particles(options.images)
        if options.source is None
        else read_particles_from_args(options)
    )
    table = watch(embed_set(run, particles, options.epoch), "Embedding").reset_index()
    with written_atomically(options.out) as temporary:
        if options.out.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
    say(f"{len(table)} particles → {options.out}")
    return 0


def decode(options: Namespace) -> int:
    """Write the maps of particles or latents, by a trained run."""
    run = Run.open(options.run)
    _refuse_odd_box(options.box)
    names, latents = _latents_of(run, options)
    decoder = run.decoder(options.epoch, pick_device(options.device))
    if latents.shape[1] != decoder.latent_dim:
        raise BadInputError(
            f"{options.latents}: rows have {latents.shape[1]} numbers, "
            f"the run has {decoder.latent_dim} latent dimensions."
        )
    bar = Bar("Decoding", "maps")
    volumes = decoder.decode_many(latents, options.box, options.lowpass)
    for done, (name, volume) in enumerate(zip(names, volumes, strict=True), start=1):
        write_volume(options.out / f"{name}.mrc", volume)
        bar.show(done, len(names))
    bar.close()
    say(f"{len(names)} maps → {options.out}")
    return 0


def _refuse_odd_box(box: int | None) -> None:
    if box is not None and (box % 2 or box < 4):
        raise BadInputError(f"--box must be even and at least 4, got {box}.")


def _latents_of(run: Run, options: Namespace) -> tuple[list[str], np.ndarray]:
    """File names and latents of what is to be decoded."""
    if options.latents is not None:
        latents = _read_latents(options.latents)
        return [f"latent_{row:05d}" for row in range(len(latents))], latents
    table = run.latents(options.epoch)
    missing = [name for name in options.particle if name not in table.index]
    if missing:
        raise BadInputError(
            f"{run.path}: no particle is called {missing[0]!r}; names look like {table.index[0]!r}."
        )
    axes = [name for name in table.columns if name.startswith("mu_")]
    return [safe_name(name) for name in options.particle], table.loc[
        options.particle, axes
    ].to_numpy(np.float32)


def _read_latents(path: Path) -> np.ndarray:
    try:
        if path.suffix == ".npy":
            latents = np.load(path, allow_pickle=False)
        else:
            table = pd.read_csv(path)
            axes = [name for name in table.columns if str(name).startswith("mu_")]
            latents = (table[axes] if axes else pd.read_csv(path, header=None)).to_numpy(float)
        latents = np.atleast_2d(np.asarray(latents, dtype=np.float32))
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read as a table of latents ({error}).") from error
    if latents.ndim != 2 or not np.isfinite(latents).all():
        raise BadInputError(f"{path}: expected a table of finite numbers, one latent a row.")
    return latents


def safe_name(particle_id: str) -> str:
    """A particle's identity as a file name."""
    return re.sub(r"[^\w.+-]+", "_", particle_id)


def reconstruct(options: Namespace) -> int:
    """Write half maps, map, filtered map and FSC of particles."""
    particles = read_particles_from_args(options)
    particles = _chosen(particles, options.particles)
    data = DataConfig.model_validate(data_options(options))
    steps = reconstruct_steps(particles, data=data)
    result = watch(steps, "Reconstructing")
    result.save(options.out)
    say(
        f"{result.particles} particles, FSC 0.143 at {result.resolution_angstrom:.1f} Å "
        f"→ {options.out}"
    )
    return 0


def _chosen(particles: ParticleSet, file: Path | None) -> ParticleSet:
    """The particles whose ids stand in a text file, one a line; all without a file."""
    if file is None:
        return particles
    return particles.select(read_ids(file))


def select(options: Namespace) -> int:
    """Write some particles of a run as a star file, all else untouched."""
    if options.out.suffix != ".star":
        raise BadInputError(f"{options.out}: the file to write must end in .star.")
    run = Run.open(options.run)
    if options.selection is not None:
        ids = list(load_selection(run.path, options.selection).particles)
    elif options.clusters is not None:
        ids = ids_of_clusters(run.path, options.clusters)
    else:
        ids = read_ids(options.particles)
    particles = run.particles(options.images)
    chosen = particles.select(ids)
    if options.invert:
        chosen = particles.take(~particles.particles.index.isin(chosen.ids))
    written = write_subset(chosen, options.out)
    say(f"{len(chosen)} of {len(particles)} particles → {written}")
    return 0


def place(options: Namespace) -> int:
    """Write the decoded maps of a tomogram's particles at their poses."""
    _refuse_odd_box(options.box)
    run = Run.open(options.run)
    particles = _chosen(run.particles(options.images), options.particles)
    placed = placements(particles, tomogram=options.tomogram)
    table = chimerax_scene.run_table(
        run, particles.select(p.particle_id for p in placed), options.epoch
    )
    color = options.color and chimerax_scene.column_of(table, options.color)
    groups = chimerax_scene.column_of(table, "cluster") if options.by_cluster else None
    decoder = run.decoder(options.epoch, pick_device(options.device))
    bar = Bar("Decoding", "maps")
    maps = chimerax_scene.decoded_maps(
        decoder, table, groups, (options.box, options.lowpass), bar.show
    )
    scene = chimerax_scene.write_scene(options.out, maps, placed, color, options.sigma)
    bar.close()
    say(f"{len(placed)} particles, {len(scene.maps)} maps → {scene.script}, {scene.mesh.name}")
    return 0


def simulate(options: Namespace) -> int:
    """Write a data set with known states."""
    given = {
        "particles": options.particles,
        "tilts": options.tilts,
        "box_size_px": options.box,
        "states": options.states,
        "continuous": options.continuous,
        "snr": options.snr,
        "seed": options.seed,
        "nuisances": nuisance_settings(options),
    }
    settings = {name: value for name, value in given.items() if value is not None}
    try:
        config = SimulationConfig(**settings)
    except ValueError as error:
        raise BadInputError(_first_line_of(error)) from error
    _write_simulation(options.out, config)
    return 0


def _first_line_of(error: ValueError) -> str:
    """What pydantic found wrong first, in one line."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    field = "".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg']}".lstrip(": ") + "."


def _write_simulation(out: Path, config: SimulationConfig) -> None:
    bar = Bar("Simulating", "images")
    for event in simulate_events(out, config):
        if isinstance(event, SimulationProgress):
            bar.show(event.done, event.total)
    bar.close()
    say(f"{config.particles} particles with {config.tilts} tilts each → {out}")


def demo(options: Namespace) -> int:
    """Simulate, check, train, analyse, then show."""
    from napari_tomodrgn.analysis.latents.clusters import agreement

    source = options.out / "simulated" / "warptools" / "particles_optimisation_set.star"
    say("1. Simulating ribosomes of three compositions in two tomograms")
    if not source.exists():
        _write_simulation(options.out / "simulated", DEMO)
    say("2. Checking them")
    particles = read_particles(source)
    checks = file_checks(particles)
    print_report(summary(particles, problems_of(checks)), checks)
    say("3. Training")
    config = RunConfig.model_validate({"train": {"epochs": DEMO_EPOCHS}})
    run_path = options.out / "run"
    with stop_on_interrupt() as asked:
        resume = (run_path / "run.json").exists()
        finished = tell(train_events(particles, config, run_path, resume=resume, stop=asked.is_set))
    if finished is not None and finished.reason == "stopped":
        return 130
    say("4. Analysing: do the latents tell the compositions apart?")
    run = Run.open(run_path)
    found = analysed(run, None, DEMO.states)
    print_analysis(found)
    truth = pd.read_csv(options.out / "simulated" / "truth.csv")
    states = truth.set_index("particle_id").loc[run.latents().index, "state"].to_numpy()
    ari = agreement(found.clusters.labels, states)
    say(f"   clusters of the latents against the truth: ARI {ari:.3f}")
    if options.no_view:
        return 0
    return _show([run_path], options.screenshot)


def view(options: Namespace) -> int:
    """Open napari."""
    for path in options.paths:
        if not path.exists():
            raise BadInputError(f"{path}: does not exist.")
    return _show(options.paths, options.screenshot)


def _show(paths: list[Path], screenshot: Path | None) -> int:
    try:
        from napari_tomodrgn.gui.window.launch import view as open_window
    except ImportError as error:
        raise BadInputError(
            f"The window needs napari and a Qt binding ({error}).",
            remedy='Install them: pip install "napari-tomodrgn[qt]".',
            code="no-window",
        ) from error
    open_window(paths, screenshot=screenshot)
    return 0
