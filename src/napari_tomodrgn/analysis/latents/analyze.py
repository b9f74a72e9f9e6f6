"""The analysis of a run: components, UMAP, clusters, their maps, traversals, audit, figures.

A generator of `WorkProgress` events. All that it finds lies under ``RUN/analysis``; UMAP and
clusters are also columns of the particles, which the window shows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_tomodrgn.analysis.latents import figures
from napari_tomodrgn.analysis.latents.audit import audit
from napari_tomodrgn.analysis.latents.clusters import Clusters, Method, clusters_of_table
from napari_tomodrgn.analysis.latents.components import (
    axes_of_table,
    latent_matrix,
    traversal,
    with_columns,
)
from napari_tomodrgn.analysis.latents.umap_child import is_worth_it, umap_steps
from napari_tomodrgn.analysis.tomogram.chimerax_scene import hex_colors
from napari_tomodrgn.data.volume import write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import remove_outdated, write_text, written_atomically
from napari_tomodrgn.learn.run.analysis_files import AnalysisInfo
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import epoch_name
from napari_tomodrgn.learn.runtime.events import WorkProgress

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

UMAP_COLUMNS = ("UMAP 1", "UMAP 2")
CLUSTER_COLUMN = "cluster"
# Maps along each component, components that are followed, clusters unless others are asked.
FRAMES = 10
COMPONENTS = 2


@dataclass(frozen=True, eq=False)
class Analysis:
    """What was found.

    Attributes
    ----------
    info
        Which latents were analysed.
    explained
        Share of each principal component, see `PrincipalAxes`.
    clusters
        Groups of particles.
    audit
        What the latents go with that is no structure, as `audit.audit` ranks it.
    notes
        Sentences about what could not be done.
    """

    info: AnalysisInfo
    explained: np.ndarray
    clusters: Clusters
    audit: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class _State:
    """What is worked out on the way."""

    run: Run
    info: AnalysisInfo
    table: pd.DataFrame
    points: np.ndarray
    notes: list[str] = field(default_factory=list)


def analyze_steps(
    run: Run,
    epoch: int | None = None,
    clusters: int | None = None,
    seed: int = 0,
    *,
    overwrite: bool = False,
    method: Method = "k-means",
) -> Generator[WorkProgress, None, Analysis]:
    """Analyse the latents of an epoch (the last one if None); files as they come.

    Clusters are those of a method, as many as `clusters_of_table` makes of a number.

    Raises
    ------
    BadInputError
        If the run has no (such) epoch or fewer particles than three, or if clusters and UMAP of
        another program would be replaced and ``overwrite`` is false; if states are asked for and
        latents have no widths.
    """
    epoch = run.last_epoch(epoch)
    earlier = run.analysis.info()
    _reject_imported(run, earlier, overwrite=overwrite)
    table = run.latents(epoch)
    points = latent_matrix(table)
    if len(points) < 3:
        raise BadInputError(
            f"{run.path}: {len(points)} particles are too few to analyse.", code="too-few"
        )
    found = clusters_of_table(table, clusters, seed, method)
    info = AnalysisInfo(epoch=epoch, particles=len(points), clusters=len(found.centers), seed=seed)
    state = _State(run, info, table, points)
    axes = axes_of_table(table)
    scores = axes.scores(points)
    _save_components(state, axes.share)
    _save_clusters(state, found)
    places = yield from _umap(state)
    columns = cluster_and_umap(table, found, places)
    run.save_extras(with_columns(run.extras(), columns))
    run.analysis.save_info(info)
    if places is not None:
        run.analysis.save_umap(info)
    yield from _maps(state, found)
    audited = _audit(state)
    _draw(state, found, scores, axes.share, places, audited)
    _remove_beyond(len(found.centers), earlier, run)
    return Analysis(info, axes.share, found, audited, tuple(state.notes))


def _reject_imported(run: Run, earlier: AnalysisInfo | None, *, overwrite: bool) -> None:
    if earlier is not None and earlier.program and not overwrite:
        raise BadInputError(
            f"{run.path}: clusters and UMAP are those of {earlier.program}.",
            remedy="Replace them with --overwrite; the run keeps copies of them as columns "
            f"(k-means {earlier.clusters}, {earlier.program} UMAP 1).",
            code="imported-analysis",
        )


def cluster_and_umap(
    table: pd.DataFrame, found: Clusters | None, places: np.ndarray | None
) -> pd.DataFrame:
    """Columns of the particles: UMAP 1, UMAP 2, cluster (a name, so that colours are its own)."""
    import pandas as pd

    columns: dict[str, object] = {}
    if places is not None:
        columns |= {name: places[:, axis] for axis, name in enumerate(UMAP_COLUMNS)}
    if found is not None:
        width = len(str(len(found.centers)))
        columns[CLUSTER_COLUMN] = [f"{label:0{width}d}" for label in found.labels]
    return pd.DataFrame(columns, index=table.index)


def umap_columns(run: Run, epoch: int, seed: int = 0) -> Iterator[pd.DataFrame | None]:
    """UMAP alone, for the window: None while the child computes, at last the columns.

    They are not written into the run, only of what they are; nothing comes where UMAP has nothing
    to add.
    """
    table = run.latents(epoch)
    points = latent_matrix(table)
    if not is_worth_it(points):
        return
    with closing(umap_steps(points, seed)) as steps:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                run.analysis.save_umap(AnalysisInfo(epoch=epoch, particles=len(table), seed=seed))
                yield cluster_and_umap(table, None, end.value)
                return
            yield None


def _umap(state: _State) -> Generator[WorkProgress, None, np.ndarray | None]:
    if not is_worth_it(state.points):
        state.notes.append(
            "UMAP was left out: the latents have too few dimensions, or there are too few "
            "particles; the principal components show them."
        )
        return None
    what = "UMAP (ten seconds and more)"
    steps = umap_steps(state.points, state.info.seed)
    with closing(steps):
        while True:
            try:
                next(steps)
            except StopIteration as end:
                places: np.ndarray = end.value
                return places
            except BadInputError as error:
                state.notes.append(str(error))
                return None
            yield WorkProgress(0, 1, what)


def _save_components(state: _State, explained: np.ndarray) -> None:
    import pandas as pd

    names = [f"PC {number}" for number in range(1, len(explained) + 1)]
    table = pd.DataFrame({"component": names, "explained_variance": explained})
    _write_table(state.run.analysis.components, table)


def _save_clusters(state: _State, found: Clusters) -> None:
    import pandas as pd

    ids = state.table.index
    labels = pd.DataFrame({"particle_id": ids, "cluster": found.labels})
    _write_table(state.run.analysis.clusters, labels)
    counts = pd.crosstab(state.table["tomogram"].astype(str), found.labels)
    _write_table(state.run.analysis.cluster_tomograms, counts.reset_index())
    centers = {
        "cluster": np.arange(1, len(found.centers) + 1),
        "particles": found.sizes,
        "particle_id": ids[found.centers],
    }
    _write_table(state.run.analysis.centers, pd.DataFrame(centers))


def _maps(state: _State, found: Clusters) -> Generator[WorkProgress, None, None]:
    """Maps of the centres, and along the first components."""
    import pandas as pd

    files = state.run.analysis
    wanted: list[tuple[Path, np.ndarray]] = [
        (files.cluster_map(number), state.points[row])
        for number, row in enumerate(found.centers, start=1)
    ]
    dimensions = state.points.shape[1]
    for component in range(1, min(COMPONENTS, dimensions) + 1):
        scores, latents = traversal(state.table, component, FRAMES)
        table = pd.DataFrame(latents, columns=[f"mu_{axis}" for axis in range(dimensions)])
        table.insert(0, "score", scores)
        table.insert(0, "frame", np.arange(1, FRAMES + 1))
        _write_table(files.traversal(component), table)
        wanted += [
            (files.traversal_map(component, frame), latents[frame - 1])
            for frame in range(1, FRAMES + 1)
        ]
    try:
        decoder = state.run.decoder(state.info.epoch)
    except BadInputError as error:
        state.notes.append(str(error))
        return
    for done, (path, latent) in enumerate(wanted, start=1):
        write_volume(path, decoder.decode(latent))
        yield WorkProgress(done, len(wanted), "Decoding maps")


def _remove_beyond(clusters: int, earlier: AnalysisInfo | None, run: Run) -> None:
    """Remove maps and images of clusters that an earlier analysis had and this one has not."""
    if earlier is None or earlier.program:
        return
    for number in range(clusters + 1, earlier.clusters + 1):
        remove_outdated(run.analysis.cluster_map(number))
        remove_outdated(run.analysis.class_images(number))


def _audit(state: _State) -> pd.DataFrame:
    import pandas as pd

    try:
        particles = state.run.particles(images_needed=False)
    except BadInputError as error:
        state.notes.append(f"The audit was left out: {error}")
        return pd.DataFrame()
    audited = audit(state.table, particles)
    _write_table(state.run.analysis.audit, audited)
    return audited


def _draw(
    state: _State,
    found: Clusters,
    scores: np.ndarray,
    explained: np.ndarray,
    places: np.ndarray | None,
    audited: pd.DataFrame,
) -> None:
    """Charts of clusters, variance and audit."""
    import pandas as pd

    files = state.run.analysis
    colors = hex_colors(pd.Series(found.labels))
    maps = {"umap": (places, UMAP_COLUMNS)}
    if scores.shape[1] > 1:
        axes = tuple(f"PC {k + 1} ({explained[k]:.0%})" for k in (0, 1))
        maps["components"] = (scores[:, :2], (axes[0], axes[1]))
    for name, (xy, axes) in maps.items():
        if xy is None:
            continue
        labels = [
            figures.Label(str(number), *map(float, xy[row]))
            for number, row in enumerate(found.centers, start=1)
        ]
        title = (
            f"{len(xy):,} particles, {epoch_name(state.info.epoch, state.run.config)}, by cluster"
        )
        write_text(files.figure(name), figures.scatter(xy, colors, (title, *axes), labels))
    names = [f"PC {k + 1}" for k in range(len(explained))]
    notes = [f"{share:.1%}" for share in explained]
    unit = "share of the variance, in units of how unsure particles are"
    chart = figures.bars(names, list(explained), notes, ("Principal components", unit))
    write_text(files.figure("variance"), chart)
    if not audited.empty:
        notes = [f"{row.verdict}, q {row.q_value:.1g}" for row in audited.itertuples()]
        words = ("What the latents go with", "share of the latents' variance (adjusted)")
        names, values = list(audited["nuisance"]), list(audited["effect"])
        write_text(files.figure("audit"), figures.bars(names, values, notes, words))


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False)
