"""The commands that open a window: `demo` and `view`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pandas as pd

from napari_tomodrgn.cli.commands.analysis import analysed, print_analysis
from napari_tomodrgn.cli.commands.inspect import print_report
from napari_tomodrgn.cli.commands.sets import write_simulation
from napari_tomodrgn.cli.terminal import say, stop_on_interrupt, tell
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.checks import file_checks, problems_of, summary
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.exports import export_files
from napari_tomodrgn.learn.training.progress import WholeProgress
from napari_tomodrgn.learn.training.train import train as train_events
from napari_tomodrgn.synthetic import SimulationConfig

# The demo: large states that differ by a subunit, small images, a quarter of a minute to write.
DEMO = SimulationConfig(particles=240, tilts=21, box_size_px=32, states=3, snr=0.1, tomograms=2)
DEMO_EPOCHS = 12  # clusters are then those of the truth (ARI 1.000, `docs/benchmarks.md`)


def run_demo(options: Namespace) -> int:
    """Simulate, check, train, analyse, then show."""
    from napari_tomodrgn.analysis.latents.clusters import agreement

    source = options.out / "simulated" / "warptools" / "particles_optimisation_set.star"
    say("1. Simulating ribosomes of three compositions in two tomograms")
    if not source.exists():
        write_simulation(options.out / "simulated", DEMO)
    say("2. Checking them")
    particles = read_particles(source)
    checks = file_checks(particles)
    print_report(summary(particles, problems_of(checks)), checks)
    say("3. Training")
    config = RunConfig.model_validate({"train": {"epochs": DEMO_EPOCHS}})
    run_path = options.out / "run"
    with stop_on_interrupt() as asked:
        resume = (run_path / "run.json").exists()
        events = train_events(particles, config, run_path, resume=resume, stop=asked.is_set)
        finished = tell(events, WholeProgress(config, len(particles), resume=resume))
    if finished is not None and finished.reason == "stopped":
        return 130
    say("4. Analysing: do the latents separate the compositions?")
    run = Run.open(run_path)
    found = analysed(run, None, DEMO.states)
    print_analysis(found, run)
    truth = pd.read_csv(options.out / "simulated" / "truth.csv")
    states = truth.set_index("particle_id").loc[run.latents().index, "state"].to_numpy()
    ari = agreement(found.clusters.labels, states)
    say(f"   clusters of the latents against the truth: ARI {ari:.3f}")
    if options.no_view:
        return 0
    return _show([run_path], options.screenshot)


def run_view(options: Namespace) -> int:
    """Open napari."""
    for path in options.paths:
        if not path.exists():
            raise BadInputError(f"{path}: does not exist.")
    if options.screenshot is None:
        return _show(options.paths, None)
    with export_files(overwrite=options.overwrite, files=options.paths) as outputs:
        outputs.check(options.screenshot)
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
