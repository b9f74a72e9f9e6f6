"""Frozen values that the fields of a session hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_tomodrgn.config import ReadingConfig

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from napari_tomodrgn.analysis.evidence.maps import ComparedMaps
    from napari_tomodrgn.analysis.selections import Selection
    from napari_tomodrgn.data.checks import Check
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.data.tomograms import Projection
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.run.directory import Run

Severity = Literal["error", "warning", "info"]
Done = Callable[[], bool] | None  # whether what was asked for has been done
CanvasMode = Literal["particle", "tomogram", "comparison"]
# What the map on show is made of: the network's latents, or the images of particles around.
MapSource = Literal["decoded", "images"]
VolumeMode = Literal["surface", "projection", "difference", "from pinned"]
PinLayout = Literal["grid", "overlay"]
ParticleShape = Literal["auto", "points", "class", "own"]
AtSlice = Literal["show", "hide", "cut"]
TomogramImage = Literal["slice", "projection", "none"]


class SelectionMode(StrEnum):
    """What becomes of the selection when particles are enclosed."""

    REPLACE = "replace"
    ADD = "add"
    SUBTRACT = "subtract"
    INTERSECT = "intersect"


# Fewer particles near a place than this do not support it.
MIN_SUPPORT = 3


@dataclass(frozen=True, eq=False)
class Isosurface:
    """Surface of a map: vertices (vertex, zyx) in Å from the box centre, faces (face, 3)."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    level: float  # density of the contour
    sigma: float  # the same in standard deviations of the map
    fine: bool = True  # as smooth as it can be shown


@dataclass(frozen=True, eq=False)
class DecodedMap:
    """A map at a particle's latent (None: at a free point), decoded or from the images around.

    ``effective_particles`` is how many particles stand behind a map from images, else None.
    """

    volume: Volume
    particle_id: str | None
    epoch: int
    complete: bool  # False while only the small preview box is there
    point: LatentPoint | None = None  # the free point, where it is none of a particle's
    effective_particles: float | None = None
    resolution_angstrom: float | None = None  # FSC 0.143 of its half maps, of a map from images
    shell_filtered: bool = False  # differences from the middle as held-out images support them


@dataclass(frozen=True, eq=False)
class Decoded(DecodedMap):
    """A decoded map as it is shown: filtered and contoured."""

    mesh: Isosurface = field(kw_only=True)
    lowpass: float = 0.0  # Å, of the mesh and of ``filtered``; 0 is none
    filtered: Volume | None = None
    # Surfaces of where there is more, and less, than in the map of the mean latent, or of the
    # particle ``against``; if asked for.
    difference: tuple[Isosurface, Isosurface] | None = None
    against: str = ""

    @property
    def shown(self) -> Volume:
        """The map with the low-pass filter that is set."""
        return self.volume if self.filtered is None else self.filtered


@dataclass(frozen=True)
class LatentPoint:
    """A place in latent space and how many particles are near (ten is typical)."""

    z: tuple[float, ...]
    n_neighbors: int

    @property
    def unsupported(self) -> bool:
        """Whether so few are near that the network fills in what the data do not say."""
        return self.n_neighbors < MIN_SUPPORT


@dataclass(frozen=True)
class LatentPath:
    """Frames of a trajectory."""

    name: str
    points: tuple[LatentPoint, ...]


@dataclass(frozen=True, eq=False)
class Validation:
    """Back-projection of a selection: filtered map, its contour, FSC of its halves."""

    name: str
    particles: int
    resolution_angstrom: float
    frequency: NDArray[np.float64]  # 1/Å
    correlation: NDArray[np.float64]
    volume: Volume
    mesh: Isosurface
    folder: Path | None = None  # where map, half maps and FSC were written


@dataclass(frozen=True, eq=False)
class ComparedGroups:
    """Two groups of particles, what images say of their difference, and where that is kept.

    Attributes
    ----------
    names, colors
        Of A and B; colours as ``#rrggbb``.
    groups
        Who was asked to be in A and in B; B is None where it was drawn at random.
    ids
        Identities of the particles of the run, in the order of the labels in ``found``.
    found
        Who was compared, maps, difference.
    record
        The same as plain numbers and words (`describe_comparison`), with ``p_holm`` if it is kept.
    folder
        Where maps, half maps and curves were written, or None if they could not be.
    earlier
        Whether one of the names has come to mean other particles since.
    """

    names: tuple[str, str]
    colors: tuple[str, str]
    groups: tuple[frozenset[str], frozenset[str] | None]
    ids: tuple[str, ...]
    found: ComparedMaps
    record: dict[str, object]
    folder: Path | None = None
    earlier: bool = False

    @property
    def sentence(self) -> str:
        """What it found, and whether that is of groups that are others by now."""
        words = str(self.record["sentence"])
        return f"Of the groups as they were: {words}" if self.earlier else words


@dataclass(frozen=True)
class TomogramDisplay:
    """How a tomogram and its particles are shown; lengths in Å.

    Attributes
    ----------
    shape
        ``auto`` (by the size on the screen), ``points``, ``class`` (one surface for all particles
        of a category) or ``own`` (each particle's decoded map).
    most_surfaces, most_own
        Particles drawn as surfaces, and as their own map: those nearest to what is looked at.
    only_selected, within
        Draw only the selected, or those within a distance of the particle in focus (0: all).
    at_slice
        What the slice does to surfaces: ``show`` all, ``hide`` those behind it, or ``cut`` away
        what is in front of it.
    image
        ``slice``, ``projection`` (maximum or minimum intensity) or ``none``.
    depth
        Place of the slice along z, 0…1.
    thickness
        Of the slice, averaged over.
    percent
        Of the voxels that may be black, and white.
    reverse
        Whether low values are bright.
    """

    shape: ParticleShape = "auto"
    most_surfaces: int = 1000
    most_own: int = 300
    only_selected: bool = False
    within: float = 0.0
    at_slice: AtSlice = "show"
    image: TomogramImage = "slice"
    depth: float = 0.5
    thickness: float = 100.0
    percent: float = 1.0
    reverse: bool = False

    @property
    def projected(self) -> Projection:
        """Which values along z are shown; empty where a slice is."""
        if self.image != "projection":
            return ""
        return "smallest" if self.reverse else "largest"


@dataclass(frozen=True)
class Message:
    """One sentence for the banner; ``severity`` is ``error``, ``warning`` or ``info``.

    ``done`` tells of a sentence that asks the user for something whether that was done: the
    sentence then goes by itself.
    """

    text: str
    severity: Severity = "info"
    done: Done = field(default=None, compare=False)


@dataclass(frozen=True)
class NotOpened:
    """A file of particles that could not be opened, and how it was read: it can be corrected."""

    path: Path
    options: ReadingConfig


@dataclass(frozen=True, eq=False)
class LoadedData:
    """What was found at a path that was opened, or as far as it could be read.

    Attributes
    ----------
    note
        A sentence for the user where something is lacking.
    quality
        What the run measured when it ended, as ``Run.quality`` gives it.
    """

    source: Path
    import_options: ReadingConfig
    particles: ParticleSet | None = None
    checks: tuple[Check, ...] = ()
    summary: dict[str, object] = field(default_factory=dict)
    run: Run | None = None
    latents: pd.DataFrame | None = None
    epoch: int = 0
    note: str = ""
    quality: dict[str, object] = field(default_factory=dict)
    selections: tuple[Selection, ...] = ()
    metrics: pd.DataFrame | None = None
    added_columns: pd.DataFrame | None = None


def same_run(one: Run | None, other: Run | None) -> bool:
    """Whether both are one run, be it as it stood at two epochs of its training."""
    if one is None or other is None:
        return one is other
    return (one.path, one.info.created) == (other.path, other.info.created)
