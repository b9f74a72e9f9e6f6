"""The commands about what came out of a training: `analyze`, and `import` of another program's."""

from __future__ import annotations

from argparse import Namespace

import numpy as np

from napari_tomodrgn.analysis.latents.analyze import Analysis, analyze_steps
from napari_tomodrgn.analysis.latents.class_images import class_image_steps
from napari_tomodrgn.analysis.tomodrgn_result import import_result as import_folder
from napari_tomodrgn.cli.commands.exploring import add_tsne, print_volumes, reject_few_for_tsne
from napari_tomodrgn.cli.terminal import say, watch
from napari_tomodrgn.files import all_or_none
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import epoch_name


def run_analyze(options: Namespace) -> int:
    """Write components, UMAP, clusters, maps, traversals, audit and figures of a run."""
    run = Run.open(options.run).with_shell_filter(on=not options.no_shell_filter)
    if options.volumes:
        print_volumes(run, options)
        return 0
    images = run.particles(options.images) if options.class_images else None
    if options.tsne:
        reject_few_for_tsne(run, options.epoch)
    steps = analyze_steps(
        run,
        options.epoch,
        options.clusters,
        options.seed,
        overwrite=options.overwrite,
        method="mixture" if options.mixture else "states" if options.states else "k-means",
    )
    with all_or_none(overwrite=True):
        print_analysis(watch(steps), run)
    if images is not None:
        with all_or_none(overwrite=True):
            for _step in class_image_steps(run, options.epoch, images):
                pass
    if options.tsne:
        add_tsne(run, options.epoch, options.seed)
    say(f"→ {run.analysis.folder}")
    return 0


def run_import(options: Namespace) -> int:
    """Make a run of a finished tomoDRGN result."""
    with all_or_none():
        found = import_folder(options.result, options.out, options.source, options.images)
    table = found.run.latents()
    say(f"{len(table)} particles → {options.out}")
    for note in found.notes:
        say(note)
    return 0


def analysed(
    run: Run, epoch: int | None, clusters: int, seed: int = 0, *, overwrite: bool = False
) -> Analysis:
    """The analysis of a run, with bars; its files are all replaced, or none is.

    ``overwrite`` is about what another program found, which is kept otherwise.
    """
    with all_or_none(overwrite=True):
        return watch(analyze_steps(run, epoch, clusters, seed, overwrite=overwrite))


def print_analysis(found: Analysis, run: Run) -> None:
    """What was found of a run, in a few lines on stdout."""
    info = found.info
    print(f"{info.particles} particles, {epoch_name(info.epoch, run.config)}")
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
