"""The analysis of decoded volumes: components, UMAP and clusters of voxels under a mask.

What latents tell apart may be no difference of density, or one far from what is asked for; voxels
under a mask are what is seen there. Columns ``v-PC 1`` …, ``v-UMAP 1``, ``v-UMAP 2`` and
``v-cluster`` join those of the particles, so that all that is done with latents is done with them.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.clusters import Clusters, clusters_of
from napari_tomodrgn.analysis.latents.components import latent_matrix, with_columns
from napari_tomodrgn.analysis.latents.umap_child import is_worth_it, umap_steps
from napari_tomodrgn.analysis.volume_masks import make_mask
from napari_tomodrgn.data.volume import Volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import remove_outdated, written_atomically
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import WorkProgress

# Voxels of a map that are compared; more take memory and tell no more.
_MAX_BOX = 64
_MIN_PARTICLES = 3  # fewer are not analysed


@dataclass(frozen=True)
class VolumeAnalysisConfig:
    """How volumes are to be analysed.

    Attributes
    ----------
    mask
        As `volume_masks.make_mask` takes it, of the map of the mean latent.
    box_size_px
        Box of the maps.
    particles
        So many are decoded, spread evenly over the run; all if None.
    components, clusters, seed
        How many of each, and of what they are drawn.
    umap
        Whether to lay the components out in two dimensions, which takes ten seconds and more.
    """

    mask: str = "soft"
    box_size_px: int = 32
    particles: int | None = 1000
    components: int = 10
    clusters: int = 8
    seed: int = 0
    umap: bool = True


@dataclass(frozen=True, eq=False)
class VolumeAnalysis:
    """What was found.

    Attributes
    ----------
    columns
        Index ``particle_id``, of the particles that were decoded.
    explained
        Share of the variance under the mask of each component.
    clusters
        Of the components.
    share_inside
        Share of the variance of all voxels that lies under the mask.
    """

    columns: pd.DataFrame
    explained: NDArray[np.float64]
    clusters: Clusters
    share_inside: float


def analyze_volumes(
    run: Run, epoch: int | None = None, config: VolumeAnalysisConfig | None = None
) -> Generator[WorkProgress, None, VolumeAnalysis]:
    """Decode particles and analyse their voxels; columns and maps are written into the run.

    Raises
    ------
    BadInputError
        If there are too few particles, the run cannot decode, or the mask is none.
    """
    config = config or VolumeAnalysisConfig()
    table = run.latents(epoch)
    rows = _rows(len(table), config.particles)
    if len(rows) < _MIN_PARTICLES:
        raise BadInputError(f"{run.path}: {len(rows)} particles are too few.", code="too-few")
    decoder = run.decoder(run.last_epoch(epoch))
    config = replace(config, box_size_px=_box(config.box_size_px, decoder.box_size_px))
    latents = latent_matrix(table)
    typical = decoder.decode(latents.mean(axis=0), config.box_size_px)
    mask = make_mask(config.mask, typical)
    weights = np.ones(typical.data.shape) if mask is None else mask
    inside = weights > 0
    voxels = np.empty((len(rows), int(inside.sum())), np.float32)
    outside = 0.0
    for done, (row, target) in enumerate(zip(rows, voxels, strict=True), start=1):
        volume = decoder.decode(latents[row], config.box_size_px)
        target[:] = (volume.data * weights)[inside]
        outside += float((((volume.data - typical.data) * (1 - weights)) ** 2).sum())
        yield WorkProgress(done, len(rows), "Decoding maps")
    scores, axes, explained = _components(voxels, config.components)
    total = float(((voxels - voxels.mean(axis=0)) ** 2).sum())
    clusters = clusters_of(scores, config.clusters, config.seed)
    columns = _columns(scores, clusters)
    if config.umap and is_worth_it(scores):
        places = yield from _umap(scores, config.seed)
        columns[["v-UMAP 1", "v-UMAP 2"]] = places
    columns.index = table.index[rows]
    _write_maps(run, (voxels, axes, clusters), (inside, typical), explained)
    run.save_extras(with_columns(run.extras(), columns.reindex(table.index)))
    return VolumeAnalysis(columns, explained, clusters, total / max(total + outside, 1e-30))


def _rows(count: int, wanted: int | None) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, wanted or count)).astype(np.int64))


def _box(wanted: int, trained: int) -> int:
    if wanted % 2 or not 4 <= wanted <= max(_MAX_BOX, 4):
        raise BadInputError(
            f"--box must be even and 4 to {_MAX_BOX} for an analysis of volumes, got {wanted}."
        )
    return min(wanted, trained)


def _components(
    voxels: NDArray[np.float32], wanted: int
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
    """Scores ``(particle, component)``, unit maps ``(component, voxel)``, shares of variance.

    Of the particles' Gram matrix: there are fewer of them than voxels.
    """
    centred = voxels - voxels.mean(axis=0)
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    count = min(wanted, int((values > 1e-9 * max(values[0], 1e-30)).sum()), len(voxels) - 1)
    if count < 1:
        raise BadInputError("All decoded maps are the same under the mask.", code="no-difference")
    axes = (vectors[:, :count].T @ centred) / np.sqrt(values[:count, None])
    largest = np.abs(axes).argmax(axis=1)
    signs = np.where(axes[np.arange(count), largest] < 0, -1.0, 1.0)
    scores = vectors[:, :count] * np.sqrt(values[:count]) * signs
    turned = np.asarray(axes * signs[:, None], dtype=np.float32)
    return scores, turned, values[:count] / values.sum()


def _columns(scores: NDArray[np.float64], clusters: Clusters) -> pd.DataFrame:
    width = len(str(len(clusters.centers)))
    columns: dict[str, object] = {
        f"v-PC {number}": scores[:, number - 1] for number in range(1, scores.shape[1] + 1)
    }
    columns["v-cluster"] = [f"{label:0{width}d}" for label in clusters.labels]
    return pd.DataFrame(columns)


def _umap(
    scores: NDArray[np.float64], seed: int
) -> Generator[WorkProgress, None, NDArray[np.float32]]:
    with closing(umap_steps(scores, seed)) as steps:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return np.asarray(end.value, np.float32)
            yield WorkProgress(0, 1, "UMAP (ten seconds and more)")


def _clusters_before(run: Run) -> int:
    """How many clusters an earlier analysis of volumes found, as its column says."""
    extras = run.extras()
    if extras is None or "v-cluster" not in extras:
        return 0
    found = pd.to_numeric(extras["v-cluster"], errors="coerce").max()
    return 0 if pd.isna(found) else int(found)


def _write_maps(
    run: Run,
    found: tuple[NDArray[np.float32], NDArray[np.float32], Clusters],
    space: tuple[NDArray[np.bool_], Volume],
    explained: NDArray[np.float64],
) -> None:
    """Mean, components and the mean of each cluster, under the mask."""
    (voxels, axes, clusters), (inside, typical) = found, space
    files = run.analysis

    def write(name: str, values: NDArray[np.float32]) -> None:
        data = np.zeros(typical.data.shape, np.float32)
        data[inside] = values
        write_volume(files.volume_map(name), Volume(data, typical.voxel_size_angstrom))

    write("mean", voxels.mean(axis=0))
    for number, axis in enumerate(axes, start=1):
        write(f"component-{number:02d}", axis)
    for number in range(1, len(clusters.centers) + 1):
        write(f"cluster-{number:02d}", voxels[clusters.labels == number].mean(axis=0))
    for number in range(len(clusters.centers) + 1, _clusters_before(run) + 1):
        remove_outdated(files.volume_map(f"cluster-{number:02d}"))
    names = [f"v-PC {number}" for number in range(1, len(explained) + 1)]
    table = pd.DataFrame({"component": names, "explained_variance": explained})
    with written_atomically(files.volume_components) as temporary:
        table.to_csv(temporary, index=False)
