"""File names below ``RUN/analysis``; those of the run itself stand in `learn.run.directory`.

analysis.json  umap.json  components.csv  audit.csv  columns.parquet  checks.json
clusters.csv  cluster_centers.csv  cluster_tomograms.csv  conditions.csv  context.csv
clusters/cluster-01.mrc  traversals/pc-1.csv  traversals/pc-1/frame-01.mrc
volumes/mean.mrc  volumes/component-01.mrc  volumes/components.csv  convergence.csv
figures/umap.svg  selections/NAME.json
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_tomodrgn.files import write_text


class AnalysisInfo(BaseModel):
    """What ``analysis.json`` says: which latents were analysed, and how.

    Attributes
    ----------
    epoch
        Epoch of the latents.
    particles
        Their number.
    clusters
        Number of clusters.
    seed
        Of clusters and UMAP.
    program
        Which other program found them; empty where they were found here.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    particles: int
    clusters: int = 0
    seed: int = 0
    program: str = ""


@dataclass(frozen=True)
class AnalysisFiles:
    """The names; ``folder`` is ``RUN/analysis``."""

    folder: Path

    @property
    def clusters(self) -> Path:
        """Cluster of each particle: ``particle_id, cluster``."""
        return self.folder / "clusters.csv"

    @property
    def centers(self) -> Path:
        """The particle at the centre of each cluster: ``cluster, particles, particle_id``."""
        return self.folder / "cluster_centers.csv"

    @property
    def cluster_tomograms(self) -> Path:
        """How many particles of each cluster each tomogram has: ``tomogram, 1, 2, …``"""
        return self.folder / "cluster_tomograms.csv"

    @property
    def components(self) -> Path:
        """Share of the variance that each principal component explains."""
        return self.folder / "components.csv"

    @property
    def audit(self) -> Path:
        """What the latents go with that is no structure."""
        return self.folder / "audit.csv"

    def cluster_map(self, cluster: int) -> Path:
        """Map of the particle at the centre of a cluster."""
        return self.folder / "clusters" / f"cluster-{cluster:02d}.mrc"

    def traversal(self, component: int) -> Path:
        """Latents along a principal component: ``frame, score, mu_0…``"""
        return self.folder / "traversals" / f"pc-{component}.csv"

    def traversal_map(self, component: int, frame: int) -> Path:
        """Map of one of its frames (from 1)."""
        return self.folder / "traversals" / f"pc-{component}" / f"frame-{frame:02d}.mrc"

    def volume_map(self, name: str) -> Path:
        """A map of the analysis of volumes: ``mean``, ``component-01``, ``cluster-01``."""
        return self.folder / "volumes" / f"{name}.mrc"

    @property
    def volume_components(self) -> Path:
        """Share of the voxels' variance that each of their components explains."""
        return self.folder / "volumes" / "components.csv"

    @property
    def convergence(self) -> Path:
        """How latents and maps changed from epoch to epoch."""
        return self.folder / "convergence.csv"

    def figure(self, name: str) -> Path:
        """A figure."""
        return self.folder / "figures" / f"{name}.svg"

    def class_images(self, cluster: int) -> Path:
        """Tilt images of a cluster's particles, a row each."""
        return self.folder / "figures" / f"cluster-{cluster:02d}-images.png"

    @property
    def class_image_rows(self) -> Path:
        """Which particle is in which row of these: ``cluster, row, particle_id``."""
        return self.folder / "figures" / "cluster-images.csv"

    def first_map_file(self, epoch: int) -> Path:
        """The decoded map of the typical particle of an epoch, which a window opens with."""
        return self.folder / f"first-map-{epoch:04d}.mrc"

    def info(self) -> AnalysisInfo | None:
        """What was analysed; None where nothing was, or nobody knows what."""
        return _read(self.folder / "analysis.json")

    def save_info(self, info: AnalysisInfo) -> None:
        """Write ``analysis.json``."""
        write_text(self.folder / "analysis.json", info.model_dump_json(indent=2) + "\n")

    def umap(self) -> AnalysisInfo | None:
        """Of which latents the UMAP columns are, which the window computes too."""
        return _read(self.folder / "umap.json")

    def save_umap(self, info: AnalysisInfo) -> None:
        """Write ``umap.json``."""
        write_text(self.folder / "umap.json", info.model_dump_json(indent=2) + "\n")


def _read(path: Path) -> AnalysisInfo | None:
    try:
        return AnalysisInfo.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
