"""What all panels share: one evented state per window, and pure functions on it. No Qt here.

A panel reads the session, writes one field, and listens to the fields that it draws; panels never
talk to each other. Signals run in the thread that sets the field, so only the GUI thread sets any.
Particles are always known by identity (``"<tomogram>/<particle>"``), never by a row number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from napari_tomodrgn.learn.events import Losses

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.analysis.selections import Selection
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.run import Run

# Columns with at most this many different values are coloured by category.
MAX_CATEGORIES = 20
# Name of the colour column that shows the named selections.
SELECTIONS = "selections"


@dataclass(frozen=True, eq=False)
class Mesh:
    """Surface of a map: vertices (vertex, zyx) in Å from the box centre, faces (face, 3)."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    level: float  # density of the contour
    sigma: float  # the same in standard deviations of the map


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

    @property
    def shown(self) -> Volume:
        """The map with the low-pass filter that is set."""
        return self.volume if self.filtered is None else self.filtered


@dataclass(frozen=True)
class LatentPoint:
    """A place in latent space and how many particles are near (ten is typical)."""

    z: tuple[float, ...]
    near: int


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
class ValidationStatus:
    """Whether a reconstruction is under way, and how far, 0…1."""

    busy: bool = False
    fraction: float = 0.0


@dataclass(frozen=True)
class Message:
    """One sentence for the banner; ``severity`` is ``error``, ``warning`` or ``info``."""

    text: str
    severity: str = "info"


@dataclass(frozen=True)
class TrainingStatus:
    """What the training thread is doing; ``phase`` is one of `PHASES`."""

    PHASES: ClassVar[tuple[str, ...]] = ("idle", "preparing", "training", "stopping")

    phase: str = "idle"
    epoch: int = 0
    epochs: int = 0
    first_epoch: int = 1
    fraction: float = 0.0  # of the phase, 0…1
    losses: Losses | None = None
    seconds_left: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a training thread is alive."""
        return self.phase != "idle"


# Tables, maps and particle sets have no useful `==`; a new object is a change.
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(
        ("particles", "problems", "summary", "run", "latents", "decoded", "validation", "metrics"),
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
    problems
        What the preflight found in them (``Problem`` objects).
    summary
        What was understood of them, as ``data.checks.summary`` gives it.
    run
        Run that is open or being trained, or None.
    latents
        Its latents, one row per particle (index ``particle_id``), or None.
    epoch
        Epoch that ``latents`` belong to.
    axes
        Names of the two columns that the scatter shows.
    colour
        Name of the column that colours particles everywhere; empty for none.
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
        ``surface``, or ``projection`` (maximum intensity).
    validation
        Reconstruction of a selection, the last one made.
    validating
        Whether one is being made.
    metrics
        One row an epoch of the run: losses, as ``Run.metrics`` gives them; or None.
    forecast
        What training as the form says would take: ``seconds``, ``ram_gb``, ``gpu_gb``.
    training
        What the training thread is doing.
    message
        Last sentence for the user, or None when it was dismissed.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(equality_operators=_COMPARISONS)

    source: Path | None = None
    particles: ParticleSet | None = None
    problems: list[Any] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    run: Run | None = None
    latents: pd.DataFrame | None = None
    epoch: int = 0
    axes: tuple[str, str] = ("PC 1", "PC 2")
    colour: str = ""
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
    validation: Validation | None = None
    validating: ValidationStatus = ValidationStatus()
    metrics: pd.DataFrame | None = None
    forecast: dict[str, float] = field(default_factory=dict)
    training: TrainingStatus = TrainingStatus()
    message: Message | None = None

    def say(self, text: str, severity: str = "info") -> None:
        """Show one sentence in the banner."""
        self.message = Message(text, severity)

    def silence(self) -> None:
        """Disconnect all listeners: the window is going, but work may still be ending."""
        for name in self.events:
            self.events[name].disconnect()

    def clear_particles(self) -> None:
        """Forget everything that hangs on particles, before others are opened."""
        self.decoded = None
        self.point = self.path = None
        self.pinned = ()
        self.focused = self.hovered = None
        self.selection = frozenset()
        self.selections = ()
        self.latents = self.metrics = None
        self.run = None
        self.epoch = 0
        self.problems = []
        self.summary = {}
        self.particles = None
        self.source = None


@dataclass(frozen=True, eq=False)
class Column:
    """One value per particle, in the order of the latent table.

    For categories ``values`` are codes into ``categories`` (-1 where there is none).
    """

    name: str
    values: NDArray[Any]
    categories: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()  # of the categories, where they have colours of their own

    @property
    def categorical(self) -> bool:
        """Whether the values are codes of categories."""
        return bool(self.categories)

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest finite value, (0, 1) where there is none."""
        finite = self.values[np.isfinite(self.values)]
        return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def latent_matrix(latents: pd.DataFrame) -> NDArray[np.float64]:
    """The means ``mu_0…`` as an array (particle, dimension)."""
    return latents[_mean_columns(latents)].to_numpy(np.float64)


def principal_components(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (particle, component) and the share of the variance that each component explains.

    Components are sorted by variance; the largest loading of each is positive, so that the picture
    does not flip from one call to the next.
    """
    mean, vectors = mean_and_components(points)
    scores = (points - mean) @ vectors
    variances = scores.var(axis=0)
    total = variances.sum()
    return scores, variances / total if total > 0 else np.zeros_like(variances)


def mean_and_components(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and unit vectors (dimension, component) of the principal components."""
    mean = points.mean(axis=0)
    centred = points - mean
    _, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(points) - 1))
    vectors = vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return mean, vectors * signs


def axis_names(latents: pd.DataFrame, particles: ParticleSet | None = None) -> list[str]:
    """Columns that can be an axis: principal components, latent dimensions, numbers of the star."""
    dimensions = len(_mean_columns(latents))
    names = [f"PC {number}" for number in range(1, dimensions + 1)] if dimensions > 1 else []
    names += [f"z {number}" for number in range(dimensions)]
    return names + _star_names(particles, numeric=True)


def colour_names(latents: pd.DataFrame, particles: ParticleSet | None = None) -> list[str]:
    """Columns that can colour the particles: the tomogram, then every axis."""
    words = [name for name in _star_names(particles, numeric=False) if name != "tomogram"]
    return ["tomogram", *words, *axis_names(latents, particles)]


def resolve_axes(wanted: tuple[str, str], names: list[str]) -> tuple[str, str]:
    """The wanted axes where they exist, else the first names that do."""
    if wanted[0] in names and wanted[1] in names:
        return wanted
    return names[0], names[min(1, len(names) - 1)]


def column(latents: pd.DataFrame, particles: ParticleSet | None, name: str) -> Column:
    """The values of a column by its name, one per row of ``latents``.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    if name.startswith("PC "):
        scores, _ = principal_components(latent_matrix(latents))
        return Column(name, scores[:, int(name[3:]) - 1])
    if name.startswith("z "):
        return Column(name, latents[f"mu_{name[2:]}"].to_numpy(np.float64))
    series = latents[name] if name in latents else _star_column(particles, latents, name)
    if series.dtype.kind in "fiu" and (name != "tomogram"):
        return Column(name, series.to_numpy(np.float64))
    return _as_categories(name, series.to_numpy(object))


def axis_label(latents: pd.DataFrame, name: str) -> str:
    """The name as it stands on the axis, with the explained variance for components."""
    if not name.startswith("PC "):
        return name
    _, share = principal_components(latent_matrix(latents))
    return f"{name} ({share[int(name[3:]) - 1]:.0%})"


def mask_of(latents: pd.DataFrame, identities: Iterable[str]) -> NDArray[np.bool_]:
    """True for the rows of ``latents`` that bear one of these identities."""
    return np.asarray(latents.index.isin(list(identities)))


def _mean_columns(latents: pd.DataFrame) -> list[str]:
    names = [name for name in latents.columns if str(name).startswith("mu_")]
    return sorted(names, key=lambda name: int(name[3:]))


def _star_names(particles: ParticleSet | None, *, numeric: bool) -> list[str]:
    if particles is None:
        return []
    names = []
    for name, series in particles.particles.items():
        if numeric and series.dtype.kind in "fiu" and series.notna().any():
            names.append(str(name))
        elif not numeric and series.dtype.kind not in "fiu":
            # A name of its own for every particle is no category.
            names += [str(name)] if series.nunique() <= MAX_CATEGORIES else []
    return names


def _star_column(particles: ParticleSet | None, latents: pd.DataFrame, name: str) -> pd.Series[Any]:
    if particles is None or name not in particles.particles:
        raise KeyError(name)
    return particles.particles[name].reindex(latents.index)


def _as_categories(name: str, values: NDArray[Any]) -> Column:
    words = np.array(["" if value is None else str(value) for value in values])
    categories, codes = np.unique(words, return_inverse=True)
    return Column(name, codes.astype(np.int64), tuple(str(word) for word in categories))
