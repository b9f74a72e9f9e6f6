"""The commands about what came out of a training: `analyze`, and `import` of another program's."""

from __future__ import annotations

from argparse import Namespace

import numpy as np

from napari_tomodrgn.analysis.latents.analyze import Analysis, analyze_steps
from napari_tomodrgn.analysis.tomodrgn_result import import_result as import_folder
from napari_tomodrgn.cli.terminal import say, watch
from napari_tomodrgn.learn.run.directory import Run


def analyze(options: Namespace) -> int:
    """Write components, UMAP, clusters, maps, traversals, audit and figures of a run."""
    run = Run.open(options.run)
    steps = analyze_steps(
        run, options.epoch, options.clusters, options.seed, overwrite=options.overwrite
    )
    print_analysis(watch(steps))
    say(f"→ {run.analysis.folder}")
    return 0


def import_result(options: Namespace) -> int:
    """Make a run of a finished tomoDRGN result."""
    found = import_folder(options.result, options.out, options.source, options.images)
    table = found.run.latents()
    say(f"{len(table)} particles → {options.out}")
    for note in found.notes:
        say(note)
    return 0


def analysed(run: Run, epoch: int | None, clusters: int, seed: int = 0) -> Analysis:
    """The analysis of a run, with bars."""
    return watch(analyze_steps(run, epoch, clusters, seed))


def print_analysis(found: Analysis) -> None:
    """What was found, in a few lines on stdout."""
    info = found.info
    print(f"{info.particles} particles, epoch {info.epoch}")
    shares = ", ".join(f"{share:.0%}" for share in found.explained[:5])
    print(f"variance of the first principal components: {shares}")
    sizes = ", ".join(f"{number}: {size}" for number, size in enumerate(found.clusters.sizes, 1))
    print(f"particles in each cluster: {sizes}")
    if not found.audit.empty:
        print("What the latents go with that is no structure (share of their variance):")
    for row in found.audit.to_dict("records"):
        inside = float(row["within_tomograms"])
        words = "" if np.isnan(inside) else f", {inside:.1%} within tomograms"
        print(
            f"{row['nuisance']!s:>28}  {row['effect']:6.1%}{words}; {row['component']} "
            f"{row['component_effect']:.1%}; p {row['p_value']:.2g}: {row['verdict']}"
        )
    for note in found.notes:
        say(note)
