"""What all panels share: one evented state per window. No Qt here.

A panel reads the session, writes one field, and listens to the fields that it draws; panels never
talk to each other. Signals run in the thread that sets the field, so only the GUI thread sets any.
Particles are always known by identity (``"<tomogram>/<particle>"``), never by a row number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import SignalGroupDescriptor

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.particle_columns import MAX_CATEGORIES as MAX_CATEGORIES
from napari_tomodrgn.particle_columns import SELECTIONS as SELECTIONS
from napari_tomodrgn.particle_columns import Clip as Clip
from napari_tomodrgn.particle_columns import Column as Column
from napari_tomodrgn.particle_columns import axes_of as axes_of
from napari_tomodrgn.particle_columns import axis_label as axis_label
from napari_tomodrgn.particle_columns import axis_names as axis_names
from napari_tomodrgn.particle_columns import color_names as color_names
from napari_tomodrgn.particle_columns import column as column
from napari_tomodrgn.particle_columns import latent_matrix as latent_matrix
from napari_tomodrgn.particle_columns import mask_of as mask_of
from napari_tomodrgn.particle_columns import names_where as names_where
from napari_tomodrgn.particle_columns import principal_components as principal_components
from napari_tomodrgn.particle_columns import resolve_axes as resolve_axes
from napari_tomodrgn.particle_columns import row_of as row_of
from napari_tomodrgn.particle_columns import selected_mask as selected_mask
from napari_tomodrgn.particle_columns import typical_particle as typical_particle
from napari_tomodrgn.particle_columns import with_columns
from napari_tomodrgn.work_status import TrainingStatus, WorkStatus

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from napari_tomodrgn.analysis.overview import Overview
    from napari_tomodrgn.analysis.selections import Selection
    from napari_tomodrgn.data.checks import Check
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.run.directory import Run


@dataclass(frozen=True, eq=False)
class Mesh:
    """Surface of a map: vertices (vertex, zyx) in Å from the box centre, faces (face, 3)."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    level: float  # density of the contour
    sigma: float  # the same in standard deviations of the map
    fine: bool = True  # as smooth as it can be shown


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded map and the particle whose latent it was decoded from (None: a free point)."""

    volume: Volume
    mesh: Mesh
    particle_id: str | None
    epoch: int
    complete: bool  # False while only the small preview box is there
    point: LatentPoint | None = None  # the free point, where it is none of a particle's
    lowpass: float = 0.0  # Å, of the mesh and of ``filtered``; 0 is none
    filtered: Volume | None = None
    # Surfaces of where there is more, and less, than in the map of the mean latent; if asked for.
    difference: tuple[Mesh, Mesh] | None = None

    @property
    def shown(self) -> Volume:
        """The map with the low-pass filter that is set."""
        return self.volume if self.filtered is None else self.filtered


@dataclass(frozen=True)
class LatentPoint:
    """A place in latent space and how many particles are near (ten is typical)."""

    z: tuple[float, ...]
    near: int

    @property
    def weak(self) -> bool:
        """Whether so few are near that the network fills in what the data do not say."""
        return self.near < FEW


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
    mesh: Mesh


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

    SHAPES: ClassVar[tuple[str, ...]] = ("auto", "points", "class", "own")

    shape: str = "auto"
    most_surfaces: int = 1000
    most_own: int = 300
    only_selected: bool = False
    within: float = 0.0
    at_slice: str = "show"
    image: str = "slice"
    depth: float = 0.5
    thickness: float = 100.0
    percent: float = 1.0
    reverse: bool = False


@dataclass(frozen=True)
class Message:
    """One sentence for the banner; ``severity`` is ``error``, ``warning`` or ``info``."""

    text: str
    severity: str = "info"


# Fewer particles near a place than this do not support it.
FEW = 3

# Tables, maps and particle sets have no useful `==`; a new object is a change.
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(
        (
            *("particles", "checks", "summary", "run", "latents", "extras"),
            *("decoded", "validation", "metrics", "overview", "tomogram_files"),
        ),
        operator.is_,
    ),
    "message": lambda _old, _new: False,  # the same sentence twice is shown twice
}


@dataclass(eq=False)
class Session:
    """State of one window. Setting a field emits ``session.events.<field>(new value)``.

    Attributes
    ----------
    source
        File or folder that was opened.
    particles
        Particles that are open, or None.
    checks
        What was asked of them with its answers; the physics come in one by one.
    reading
        How they were read otherwise than their star file says.
    asked
        Path that could not be opened, or None.
    summary
        What was understood of them, as ``data.checks.summary`` gives it.
    run
        Run that is open or being trained, or None.
    latents
        Its latents, one row per particle (index ``particle_id``), or None.
    extras
        More columns of the particles (index ``particle_id``), or None: what was worked out or
        joined. Axis, colour and filter like those of the star file, and kept in the run.
    epoch
        Epoch that ``latents`` belong to.
    axes
        Names of the two columns that the scatter shows.
    color
        Name of the column that colours particles everywhere; empty for none.
    clip
        Which of that column's values get colours of their own.
    selection
        Identities of the selected particles.
    selections
        Named selections of the run, sorted by name.
    focused
        Identity of the particle that is shown as a volume.
    hovered
        Identity of the particle under the pointer.
    decoded
        The volume on show.
    point
        Free point of the latent space that is shown instead of ``focused``, or None.
    path
        Trajectory, or None; ``frame`` is the one that is shown.
    pinned
        Identities of particles whose volumes are shown beside.
    sigma
        Contour level of volumes in standard deviations above solvent.
    lowpass
        Resolution in Å beyond which volumes are cut; 0 is none.
    style
        ``surface``, ``projection`` (maximum intensity), or ``difference`` to the mean.
    layout
        Of pinned volumes: ``grid``, or ``overlay``.
    surface_color
        ``#rrggbb`` of all surfaces; empty: as particles are coloured.
    stage
        What the canvas shows: ``particle`` (decoded volumes) or ``tomogram``.
    tomogram
        Name of the tomogram on show, empty for none.
    tomogram_files
        Files of the tomograms that were found, by name.
    in_cell
        How tomogram and particles are shown.
    validation
        Reconstruction of a selection, the last one made.
    validating
        Whether one is being made.
    overview
        Distributions of the particles' tilts, views and defoci, once they were asked for.
    checking
        Whether the physics of the particles is being checked.
    metrics
        One row an epoch of the run: losses, as ``Run.metrics`` gives them; or None.
    forecast
        What training as the form says would take: ``seconds``, ``ram_gb``, ``gpu_gb``, ``device``;
        or ``problem``, a sentence.
    training
        What the training thread is doing.
    message
        Last sentence for the user, or None when it was dismissed.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(equality_operators=_COMPARISONS)

    source: Path | None = None
    asked: Path | None = None
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    particles: ParticleSet | None = None
    checks: tuple[Check, ...] = ()
    summary: dict[str, Any] = field(default_factory=dict)
    run: Run | None = None
    latents: pd.DataFrame | None = None
    extras: pd.DataFrame | None = None
    epoch: int = 0
    axes: tuple[str, str] = ("PC 1", "PC 2")
    color: str = ""
    clip: Clip = field(default_factory=Clip)
    selection: frozenset[str] = frozenset()
    selections: tuple[Selection, ...] = ()
    focused: str | None = None
    hovered: str | None = None
    decoded: Decoded | None = None
    point: LatentPoint | None = None
    path: LatentPath | None = None
    frame: int = 0
    pinned: tuple[str, ...] = ()
    sigma: float = 3.0
    lowpass: float = 0.0
    style: str = "surface"
    layout: str = "grid"
    surface_color: str = ""
    stage: str = "particle"
    tomogram: str = ""
    tomogram_files: dict[str, Path] = field(default_factory=dict)
    in_cell: TomogramDisplay = TomogramDisplay()
    validation: Validation | None = None
    validating: WorkStatus = field(default_factory=WorkStatus)
    overview: Overview | None = None
    checking: WorkStatus = field(default_factory=WorkStatus)
    metrics: pd.DataFrame | None = None
    forecast: dict[str, Any] = field(default_factory=dict)
    training: TrainingStatus = field(default_factory=TrainingStatus)
    message: Message | None = None

    def say(self, text: str, severity: str = "info") -> None:
        """Show one sentence in the banner."""
        self.message = Message(text, severity)

    def add_extras(self, table: pd.DataFrame) -> None:
        """Add columns by identity (index ``particle_id``); those of the same names are replaced."""
        self.extras = with_columns(self.extras, table)

    def silence(self) -> None:
        """Disconnect all listeners: the window is going, but work may still be ending."""
        for name in self.events:
            self.events[name].disconnect()

    def clear_particles(self) -> None:
        """Forget everything that hangs on particles, before others are opened."""
        self.decoded = None
        self.point = self.path = None
        self.pinned = ()
        self.stage, self.tomogram, self.tomogram_files = "particle", "", {}
        self.focused = self.hovered = None
        self.selection = frozenset()
        self.selections = ()
        self.latents = self.metrics = self.extras = None
        self.run = None
        self.epoch = 0
        self.checks = ()
        self.summary = {}
        self.particles = None
        self.source = None
