"""The command ``train``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from napari_tomodrgn.analysis.selections import take_over
from napari_tomodrgn.cli.choosing import (
    DATA_FLAGS,
    data_options,
    given_files,
    read_for_training,
)
from napari_tomodrgn.cli.commands.sets import run_homogeneous
from napari_tomodrgn.cli.slurm import write_script
from napari_tomodrgn.cli.terminal import last_of, say, stop_on_interrupt, tell
from napari_tomodrgn.config import RunConfig, read_config, resumed, validated
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import epoch_unit
from napari_tomodrgn.learn.run.exports import export_files
from napari_tomodrgn.learn.runtime.distributed import launch
from napari_tomodrgn.learn.runtime.events import Event, Finished
from napari_tomodrgn.learn.training.progress import WholeProgress
from napari_tomodrgn.learn.training.train import train as train_events

_FLAGS = {f"data.{name}": flag for name, flag in DATA_FLAGS.items()} | {
    "model.latent_dim": "--latent-dim",
    "linear.components": "--latent-dim",
    "linear.focus_mask": "--focus",
    "train.epochs": "--epochs",
    "train.batch_size": "--batch-size",
    "train.device": "--device",
    "method": "--method",
    "seed": "--seed",
}


def run_train(options: Namespace) -> int:
    """Train a run, or go on with one."""
    if options.method == "homogeneous":
        return run_homogeneous(options)
    config = _config_of(options)
    older = None if options.selections_of is None else Run.open(options.selections_of)
    particles = read_for_training(options)
    if options.slurm is not None:
        with export_files(
            overwrite=options.overwrite, files=given_files(options), particles=particles
        ) as outputs:
            outputs.check(options.slurm)
            write_script(options, config)
        options.slurm.chmod(0o755)
        say(f"Submit with: sbatch {options.slurm}")
        return 0
    speaks = launch().rank == 0
    with stop_on_interrupt(aloud=speaks) as asked:
        events = train_events(
            particles, config, options.out, resume=options.resume, stop=asked.is_set
        )
        if speaks:
            # A run that was stopped in its first look begins with it again.
            goes_on = options.resume and Run.open(options.out).resume_file.exists()
            progress = WholeProgress(config, len(particles), resume=goes_on)
            finished: Event | None = tell(events, progress)
        else:
            finished = last_of(events)
    if speaks and older is not None and (options.out / "run.json").exists():
        say(take_over(older, Run.open(options.out)))
    if isinstance(finished, Finished) and finished.reason == "stopped":
        if speaks:
            say(_where_stopped(finished, options.out, epoch_unit(config)))
        return 130
    if speaks:
        say(f"Run: {options.out}")
    return 0


def _where_stopped(finished: Finished, out: Path, unit: str) -> str:
    if (out / "run.json").exists():
        where = f"in {unit} {finished.epoch}" if finished.epoch else f"before the first {unit}"
        return f"Stopped {where}; go on with --resume."
    return f"Stopped before the first {unit}; start it again as before."


def _config_of(options: Namespace) -> RunConfig:
    """What the configuration file says, if there is one, with the command line on top.

    Only what is said is set, so that of a run to resume everything else stays as it was; where it
    differs from that run, it is refused here.
    """
    said = read_config(options.config) if options.config else RunConfig()
    settings = said.model_dump(exclude_unset=True)
    given = {
        "data": data_options(options),
        "model": {"latent_dim": options.latent_dim},
        "linear": {
            "components": options.latent_dim,
            "focus_mask": options.focus and str(options.focus.resolve()),
        },
        "train": {
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "device": options.device,
        },
        "method": options.method or ("linear" if options.focus else None),
        "seed": options.seed,
    }
    for name, value in given.items():
        if isinstance(value, dict):
            table = {key: item for key, item in value.items() if item is not None}
            if table:
                settings[name] = settings.get(name, {}) | table
        elif value is not None:
            settings[name] = value
    config = validated(RunConfig, settings, names=_FLAGS)
    if not options.resume:
        return config
    run = Run.open(options.out)
    return resumed(run.path, run.config, config)
