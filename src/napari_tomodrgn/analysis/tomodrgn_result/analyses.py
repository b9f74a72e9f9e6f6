"""What ``tomodrgn analyze`` left of a result, as columns of the particles.

Clusters keep tomoDRGN's numbers, which begin with 0. All of its k-means sets come as columns of
their own, which no analysis here replaces; the largest one of the last analysis is also the run's
clusters, and its UMAP the run's UMAP.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.latents.analyze import CLUSTER_COLUMN, UMAP_COLUMNS
from napari_tomodrgn.analysis.tomodrgn_result.folder import ResultFolder, number_in
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.safe_pickle import read_arrays
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.run.analysis_files import AnalysisInfo
from napari_tomodrgn.learn.run.directory import Run


def import_analyses(folder: ResultFolder, run: Run, particles: ParticleSet) -> list[str]:
    """Bring in clusters and UMAP of all analyses; sentences about what could not be read."""
    analyses = sorted(folder.path.glob("analyze.*"), key=lambda one: number_in(one.suffix))
    columns = pd.DataFrame(index=pd.Index(particles.ids, name="particle_id"))
    notes: list[str] = []
    for analysis in analyses:
        newest = analysis is analyses[-1]
        suffix = "" if newest else f" (epoch {number_in(analysis.suffix) + 1})"
        _add_umap(columns, analysis / "umap.pkl", suffix, notes)
        sets = analysis.glob("kmeans*/labels.pkl")
        for file in sorted(sets, key=lambda file: number_in(file.parent.name)):
            labels = _values(file, len(columns), notes)
            if labels is not None:
                name = f"k-means {number_in(file.parent.name)}{suffix}"
                columns[name] = _words(labels.ravel().astype(int))
                if newest:
                    columns[CLUSTER_COLUMN] = columns[name]
                    _save_clusters(run, columns, file.parent)
    if len(columns.columns):
        run.save_extras(columns)
        _save_info(run, columns, number_in(analyses[-1].suffix) + 1)
    return notes


def _add_umap(columns: pd.DataFrame, file: Path, suffix: str, notes: list[str]) -> None:
    if not file.exists():
        return
    values = _values(file, len(columns), notes)
    if values is not None:
        places = np.float32(values).reshape(len(values), -1)[:, :2]
        columns[[f"tomoDRGN {name}{suffix}" for name in UMAP_COLUMNS]] = places
        if not suffix:
            columns[list(UMAP_COLUMNS)] = places


def _values(file: Path, count: int, notes: list[str]) -> np.ndarray | None:
    """One array of a pickle, one row a particle; None, and a sentence, where it is not that."""
    try:
        (values,) = read_arrays(file, 1)
    except BadInputError as error:
        notes.append(str(error))
        return None
    if len(values) == count:
        return values
    notes.append(f"{file}: has {len(values)} values for {count} particles, and was left out.")
    return None


def _words(labels: np.ndarray) -> list[str]:
    """Numbers of one width, so that they sort as numbers do."""
    width = len(str(labels.max(initial=0)))
    return [f"{label:0{width}d}" for label in labels]


def _save_clusters(run: Run, columns: pd.DataFrame, folder: Path) -> None:
    numbers = columns[CLUSTER_COLUMN].astype(int)
    table = pd.DataFrame({"particle_id": columns.index, "cluster": numbers.to_numpy()})
    with written_atomically(run.analysis.clusters) as temporary:
        table.to_csv(temporary, index=False)
    try:
        rows = np.loadtxt(folder / "centers_ind.txt", dtype=int, ndmin=1)
        centers = columns.index[rows]
    except (OSError, ValueError, IndexError):
        return  # which particle stands for a cluster is no more than a label in a figure
    known = np.arange(len(centers))
    sizes = [int((numbers == number).sum()) for number in known]
    table = pd.DataFrame({"cluster": known, "particles": sizes, "particle_id": centers})
    with written_atomically(run.analysis.centers) as temporary:
        table.to_csv(temporary, index=False)


def _save_info(run: Run, columns: pd.DataFrame, epoch: int) -> None:
    count = int(columns[CLUSTER_COLUMN].nunique()) if CLUSTER_COLUMN in columns else 0
    info = AnalysisInfo(epoch=epoch, particles=len(columns), clusters=count, program="tomoDRGN")
    run.analysis.save_info(info)
    if UMAP_COLUMNS[0] in columns:
        run.analysis.save_umap(info)
