"""The commands `traverse` and `convergence`, and what `analyze` does beyond latents."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.convergence import convergence_steps
from napari_tomodrgn.analysis.latents.clusters import DEFAULT_CLUSTERS
from napari_tomodrgn.analysis.latents.components import (
    axes_of_table,
    latent_matrix,
    mean_columns,
    traversal,
    with_columns,
)
from napari_tomodrgn.analysis.latents.paths import along_neighbours
from napari_tomodrgn.analysis.volume_space import VolumeAnalysisConfig, analyze_volumes
from napari_tomodrgn.cli.choosing import given_files
from napari_tomodrgn.cli.commands.runs import reject_box_and_lowpass
from napari_tomodrgn.cli.terminal import Bar, say, watch
from napari_tomodrgn.data.volume import write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import all_or_none, written_atomically
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.exports import export_files
from napari_tomodrgn.learn.runtime.device import pick_device


def run_traverse(options: Namespace) -> int:
    """Write latents and maps along a component, or along a way between particles."""
    run = Run.open(options.run).with_shell_filter(on=not options.no_shell_filter)
    reject_box_and_lowpass(run, options)
    table = run.latents(options.epoch)
    frames = _through(table, options) if options.through else _along(table, options)
    decoder = run.decoder(options.epoch, pick_device(options.device))
    files = [options.out / f"frame-{number:02d}.mrc" for number in range(1, len(frames) + 1)]
    bar = Bar("Decoding", "maps")
    with export_files(overwrite=options.overwrite, files=given_files(options), run=run) as outputs:
        outputs.check(options.out / "latents.csv", *files)
        with written_atomically(options.out / "latents.csv") as temporary:
            frames.to_csv(temporary, index=False)
        latents = frames[mean_columns(frames)].to_numpy(np.float32)
        maps = decoder.decode_many(latents, options.box, options.lowpass)
        for done, (file, volume) in enumerate(zip(files, maps, strict=True), start=1):
            write_volume(file, volume)
            bar.show(done, len(files))
    bar.close()
    say(f"{len(files):,} maps → {options.out}")
    return 0


def _along(table: pd.DataFrame, options: Namespace) -> pd.DataFrame:
    """Frames along a principal component: on its axis, or the particles nearest to it."""
    points = latent_matrix(table)
    if not 1 <= options.component <= points.shape[1]:
        raise BadInputError(
            f"--component is 1 to {points.shape[1]} of these latents, got {options.component}."
        )
    limits = (options.limits, 100 - options.limits)
    scores, latents = traversal(table, options.component, options.frames, limits)
    frames = pd.DataFrame(latents, columns=mean_columns(table))
    if options.on_data:
        own = axes_of_table(table).scores(points)[:, options.component - 1]
        rows = [_nearest(points, latent, own, score)
                for latent, score in zip(latents, scores, strict=True)]  # fmt: skip
        frames = table.iloc[rows][mean_columns(table)].reset_index()
        scores = own[rows]
    frames.insert(0, "score", scores)
    frames.insert(0, "frame", np.arange(1, len(frames) + 1))
    return frames


def _nearest(points: np.ndarray, latent: np.ndarray, own: np.ndarray, score: float) -> int:
    """The particle nearest to a place of the axis, of the tenth with the nearest scores."""
    near = np.argsort(np.abs(own - score))[: max(1, len(points) // 10)]
    return int(near[np.linalg.norm(points[near] - latent, axis=1).argmin()])


def _through(table: pd.DataFrame, options: Namespace) -> pd.DataFrame:
    """Frames that are particles, on the shortest way along neighbours through some of them."""
    if len(options.through) < 2:
        raise BadInputError("--through takes two particles or more.")
    missing = [name for name in options.through if name not in table.index]
    if missing:
        raise BadInputError(
            f"{options.run}: no particle is called {missing[0]!r}; names look like "
            f"{table.index[0]!r}.",
            code="unknown-particle",
        )
    anchors = table.index.get_indexer(pd.Index(options.through)).tolist()
    rows = along_neighbours(latent_matrix(table), anchors, options.neighbors)
    frames = table.iloc[rows][mean_columns(table)].reset_index()
    frames.insert(0, "frame", np.arange(1, len(frames) + 1))
    return frames


def run_convergence(options: Namespace) -> int:
    """Say whether a training has converged, with a table and a plot."""
    run = Run.open(options.run)
    found = watch(convergence_steps(run, options.maps, options.every, options.box))
    with all_or_none(overwrite=True), written_atomically(run.analysis.convergence) as temporary:
        found.table.to_csv(temporary, index=False)
    print(f"{'epoch':>6}  latents  maps (CC)  FSC 0.5 (Å)")
    for row in found.table.to_dict("records"):
        print(
            f"{int(row['epoch']):6d}  {row['latents']:7.3f}  {row['map_correlation']:9.4f}  "
            f"{row['fsc_half_angstrom']:11.2f}"
        )
    print(found.verdict)
    say(f"→ {run.analysis.convergence}")
    return 0


def print_volumes(run: Run, options: Namespace) -> None:
    """Analyse decoded volumes, and say what was found."""
    config = VolumeAnalysisConfig(
        mask=options.mask,
        box_size_px=options.box or 32,
        particles=1000 if options.sample is None else options.sample or None,
        clusters=options.clusters or DEFAULT_CLUSTERS,
        seed=options.seed,
        umap=not options.no_umap,
    )
    with all_or_none(overwrite=True):
        found = watch(analyze_volumes(run, options.epoch, config))
    print(f"{len(found.columns)} volumes, {found.share_inside:.0%} of their variance in the mask")
    shares = ", ".join(f"{share:.0%}" for share in found.explained[:5])
    print(f"variance of the first components of their voxels: {shares}")
    sizes = ", ".join(f"{number}: {size}" for number, size in enumerate(found.clusters.sizes, 1))
    print(f"volumes in each cluster: {sizes}")
    say(f"→ {run.analysis.volume_map('mean').parent}")


def reject_few_for_tsne(run: Run, epoch: int | None) -> None:
    """Raise if t-SNE cannot be had of so few particles."""
    count = len(run.latents(epoch))
    if count < 4:
        raise BadInputError(f"{run.path}: {count} particles are too few for t-SNE.")


def add_tsne(run: Run, epoch: int | None, seed: int) -> None:
    """Add t-SNE of the latents as columns ``t-SNE 1`` and ``t-SNE 2``."""
    from sklearn.manifold import TSNE

    table = run.latents(epoch)
    points = latent_matrix(table)
    # The default of 30 neighbours has to be fewer than there are particles.
    model = TSNE(perplexity=min(30.0, (len(points) - 1) / 3), random_state=seed)
    places = model.fit_transform(points)
    columns = pd.DataFrame(places, columns=["t-SNE 1", "t-SNE 2"], index=table.index)
    run.save_extras(with_columns(run.extras(), columns))
    say("t-SNE 1, t-SNE 2: columns of the particles")
