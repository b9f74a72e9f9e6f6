"""What all panels share: one evented state per window. No Qt here.

A panel reads the session, writes one field, and listens to the fields that it draws; panels never
talk to each other. Signals run in the thread that sets the field, so only the GUI thread sets any.
Particles are always known by identity (``"<tomogram>/<particle>"``), never by a row number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from psygnal import SignalGroupDescriptor

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.learn.run.epoch_files import epoch_name
from napari_tomodrgn.particle_columns import CLUSTER, Clip, Column, ParticleTable, with_columns
from napari_tomodrgn.session.actions import SHOW_EPOCH, Action
from napari_tomodrgn.session.values import (
    CanvasMode,
    ComparedGroups,
    Decoded,
    Done,
    LatentPath,
    LatentPoint,
    LoadedData,
    MapSource,
    Message,
    NotOpened,
    PinLayout,
    Severity,
    TomogramDisplay,
    Validation,
    VolumeMode,
)
from napari_tomodrgn.work_status import TrainingStatus, WorkStatus

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.analysis.overview import Overview
    from napari_tomodrgn.analysis.selections import Selection
    from napari_tomodrgn.data.checks import Check
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run

# What a field belongs to: it goes back to its default when other particles are opened, when
# another run begins, or never.
DATA, RUN, WINDOW = {"owner": "data"}, {"owner": "run"}, {"owner": "window"}

# Added columns that are worked out of a run's latents, or judged by them, and the first letters of
# such names: of another run they say nothing.
_OF_RUN, _OF_RUN_BEGIN = (CLUSTER, "trust", "neighbour_state"), ("UMAP ", "moved in ")

# Checks with these codes and another verdict than "ok" mean that images cannot be read.
_MISSING_IMAGES = ("unreadable-stack", "missing-images")

# Tables, maps and particle sets have no useful `==`; a new object is a change.
_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    **dict.fromkeys(
        (
            *("particles", "checks", "run", "latents", "added_columns", "selected_by"),
            *("decoded", "validation", "comparison", "metrics", "overview"),
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
    import_options
        How they were read otherwise than their star file says.
    asked
        Particles that could not be opened beside what is open, or None.
    summary
        What was understood of them, as ``data.checks.summary`` gives it.
    run
        Run that is open or being trained, or None.
    latents
        Its latents, one row per particle (index ``particle_id``), or None.
    added_columns
        More columns of the particles (index ``particle_id``), or None: what was worked out or
        joined. Axis, colour and filter like those of the star file, and kept in the run.
    epoch
        Epoch that ``latents`` belong to.
    clusters_epoch
        Epoch whose latents the clusters were found in; None where there are none, or nobody knows.
    axes
        Names of the two columns that the scatter shows; empty until they are chosen, which is the
        first two that there are (`particle_columns.resolve_axes`).
    color
        Name of the column that colours particles everywhere; empty for none.
    color_limits
        Which of that column's values get colours of their own.
    selection
        Identities of the selected particles.
    selected_by
        The selection that was chosen with `select`, and the actions that made it.
    selections
        Named selections of the run, sorted by name.
    selections_in_writing
        Those that are on their way to the run's folder: their names and colours are taken.
    focused
        Identity of the particle that is shown as a volume.
    class_map
        Of a class whose map was asked for, ``(identity of who stands for it, "cluster 2")``.
    hovered
        Identity of the particle under the pointer.
    decoded
        The volume on show.
    map_source
        What it is made from: ``decoded`` by the network, or the ``images`` of the particles around.
    free_point
        Free point of the latent space that is shown instead of ``focused``, or None.
    trajectory
        Trajectory, or None; ``frame`` is the one that is shown.
    pinned
        Identities of particles whose volumes are shown beside.
    sigma
        Contour level of volumes in standard deviations above solvent.
    lowpass
        Resolution in Å beyond which volumes are cut; 0 is none.
    shell_filter
        Whether decoded maps show no more than held-out images support, shell by shell.
    style
        ``surface``, ``projection`` (maximum intensity), ``difference`` to the mean, or ``from
        pinned``: the difference to the particle that was pinned first.
    layout
        Of pinned volumes: ``grid``, or ``overlay``.
    surface_color
        ``#rrggbb`` of all surfaces; empty: as particles are coloured.
    canvas_mode
        What the canvas shows: ``particle`` (decoded volumes), ``tomogram``, or ``comparison`` (two
        groups of particles beside their difference).
    tomogram
        Name of the tomogram on show, empty for none.
    tomogram_files
        Files of the tomograms that were found, by name.
    tomogram_display
        How tomogram and particles are shown.
    validation
        Reconstruction of a selection, the last one made.
    reconstruction_status
        Whether one is being made.
    comparison
        Two groups that were compared, the last ones.
    comparison_status
        Whether groups are being compared.
    image_map_status
        Whether the map on show is being made from images.
    overview
        Distributions of the particles' tilts, views and defoci, once they were asked for.
    preflight_status
        Whether the physics of the particles is being checked.
    metrics
        One row an epoch of the run: losses, as ``Run.metrics`` gives them; or None.
    quality
        What the run measured when it ended, as ``Run.quality`` gives it; empty before.
    forecast
        What training as the form says would take: ``seconds``, ``ram_gb``, ``gpu_gb``, ``device``;
        or ``problem``, a sentence.
    training
        What the training thread is doing.
    message
        Last sentence for the user, or None when it was dismissed.
    actions
        What was done since this was opened, as a script repeats it.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(equality_operators=_COMPARISONS)

    source: Path | None = field(default=None, metadata=DATA)
    asked: NotOpened | None = field(default=None, metadata=DATA)
    import_options: ReadingConfig = field(default_factory=ReadingConfig, metadata=DATA)
    particles: ParticleSet | None = field(default=None, metadata=DATA)
    checks: tuple[Check, ...] = field(default=(), metadata=DATA)
    summary: dict[str, object] = field(default_factory=dict, metadata=DATA)
    added_columns: pd.DataFrame | None = field(default=None, metadata=DATA)
    run: Run | None = field(default=None, metadata=RUN)
    epoch: int = field(default=0, metadata=RUN)
    latents: pd.DataFrame | None = field(default=None, metadata=RUN)
    clusters_epoch: int | None = field(default=None, metadata=RUN)
    axes: tuple[str, str] = field(default=("", ""), metadata=DATA)
    color: str = field(default="", metadata=DATA)
    color_limits: Clip = field(default_factory=Clip, metadata=DATA)
    selection: frozenset[str] = field(default=frozenset(), metadata=DATA)
    selected_by: tuple[frozenset[str], tuple[Action, ...]] | None = field(
        default=None, metadata=DATA
    )
    selections: tuple[Selection, ...] = field(default=(), metadata=RUN)
    selections_in_writing: tuple[Selection, ...] = field(default=(), metadata=RUN)
    focused: str | None = field(default=None, metadata=RUN)
    class_map: tuple[str, str] | None = field(default=None, metadata=RUN)
    hovered: str | None = field(default=None, metadata=RUN)
    decoded: Decoded | None = field(default=None, metadata=RUN)
    map_source: MapSource = field(default="decoded", metadata=RUN)
    free_point: LatentPoint | None = field(default=None, metadata=RUN)
    trajectory: LatentPath | None = field(default=None, metadata=RUN)
    frame: int = field(default=0, metadata=RUN)
    pinned: tuple[str, ...] = field(default=(), metadata=RUN)
    sigma: float = field(default=3.0, metadata=RUN)
    lowpass: float = field(default=0.0, metadata=RUN)
    shell_filter: bool = field(default=True, metadata=RUN)
    style: VolumeMode = field(default="surface", metadata=RUN)
    surface_color: str = field(default="", metadata=RUN)
    layout: PinLayout = field(default="grid", metadata=WINDOW)
    canvas_mode: CanvasMode = field(default="particle", metadata=DATA)
    tomogram: str = field(default="", metadata=DATA)
    tomogram_files: dict[str, Path] = field(default_factory=dict, metadata=DATA)
    tomogram_display: TomogramDisplay = field(default=TomogramDisplay(), metadata=WINDOW)
    validation: Validation | None = field(default=None, metadata=DATA)
    reconstruction_status: WorkStatus = field(default_factory=WorkStatus, metadata=WINDOW)
    comparison: ComparedGroups | None = field(default=None, metadata=RUN)
    comparison_status: WorkStatus = field(default_factory=WorkStatus, metadata=WINDOW)
    image_map_status: WorkStatus = field(default_factory=WorkStatus, metadata=WINDOW)
    overview: Overview | None = field(default=None, metadata=DATA)
    preflight_status: WorkStatus = field(default_factory=WorkStatus, metadata=DATA)
    metrics: pd.DataFrame | None = field(default=None, metadata=RUN)
    quality: dict[str, object] = field(default_factory=dict, metadata=RUN)
    forecast: dict[str, object] = field(default_factory=dict, metadata=DATA)
    training: TrainingStatus = field(default_factory=TrainingStatus, metadata=WINDOW)
    message: Message | None = field(default=None, metadata=WINDOW)
    actions: tuple[Action, ...] = field(default=(), metadata=DATA)

    @property
    def run_of_maps(self) -> Run | None:
        """The run, as its maps are to be decoded: with its shell filter or without."""
        return self.run.with_shell_filter(on=self.shell_filter) if self.run is not None else None

    @property
    def has_images(self) -> bool:
        """Whether the tilt images of the particles are there, to be trained on or reconstructed."""
        missing = any(
            check.code in _MISSING_IMAGES and check.verdict != "ok" for check in self.checks
        )
        return self.particles is not None and not missing

    @property
    def table(self) -> ParticleTable | None:
        """All that is known of each particle: of the run, else of the star file; or None."""
        rows = self.latents
        if rows is None and self.particles is not None:
            rows = self.particles.particles
        return None if rows is None else ParticleTable(rows, self.particles, self.added_columns)

    @property
    def color_column(self) -> Column | None:
        """What colours the particles now, None for one colour."""
        if (table := self.table) is None:
            return None
        return table.color_column(self.color, self.color_limits, self.selections)

    @property
    def outdated(self) -> str:
        """Of which epoch the clusters are that colour the particles, where it is another."""
        made = self.clusters_epoch
        if made in (None, self.epoch) or self.color != CLUSTER:
            return ""
        return f"of {epoch_name(made, None if self.run is None else self.run.config)}"

    @property
    def next_selection_name(self) -> str:
        """What a selection is called when nobody gives it a name: ``region 1`` and so on."""
        taken = {one.name for one in (*self.selections, *self.selections_in_writing)}
        return next(name for n in count(1) if (name := f"region {n}") not in taken)

    # -- updates ------------------------------------------------------------------------------

    def update(self, **changes: object) -> None:
        """Set several fields as one: listeners are called once all of them are set."""
        before = {name: getattr(self, name) for name in changes}
        with self.events.blocked():
            for name, value in changes.items():
                setattr(self, name, value)
        for one in fields(self):  # in the order of their declaration
            name = one.name
            alike: Callable[[object, object], bool] = _COMPARISONS.get(name, operator.eq)
            if name in changes and not alike(before[name], changes[name]):
                self.events[name].emit(getattr(self, name), before[name])

    def open(self, data: LoadedData) -> None:
        """Show what was opened; all that belonged to what was open before is forgotten."""
        ours = {one.name for one in fields(self)}
        given = {one.name: getattr(data, one.name) for one in fields(data) if one.name in ours}
        self.update(**{**self._defaults(DATA, RUN), **given})

    def reset(self) -> None:
        """Forget all that belongs to what is open."""
        self.update(**self._defaults(DATA, RUN))

    def start_run(self, training: TrainingStatus) -> None:
        """Forget another run, now that one is trained on the same particles.

        Columns of the star file and of the user's tables stay, and so does what is selected.
        """
        changes: dict[str, object] = {"training": training}
        columns = self.added_columns
        gone = [] if columns is None else [name for name in columns.columns if _is_of_run(name)]
        if columns is not None and gone:
            kept = columns.drop(columns=gone)
            changes["added_columns"] = kept if len(kept.columns) else None
        if self.color in gone:
            changes |= {"color": "", "color_limits": Clip()}
        if self.validation is not None and self.validation.folder is not None:
            changes["validation"] = None  # of a selection in the latents, kept in that run
        self.update(**self._defaults(RUN), **changes)

    def show_latents(
        self, run: Run, latents: pd.DataFrame, epoch: int, metrics: pd.DataFrame | None
    ) -> None:
        """Show another epoch of a run.

        Its latent space is another one: what was a place in the old one is none in this.
        """
        anew = {"run": run, "latents": latents, "epoch": epoch, "metrics": metrics}
        if self.clusters_epoch is None and self.added_columns is not None:
            anew["clusters_epoch"] = self.epoch if CLUSTER in self.added_columns else None
        self.update(**anew, free_point=None, trajectory=None, frame=0, class_map=None)

    @property
    def last_epoch_trained(self) -> int:
        """The last epoch of the run, which may not be on show."""
        if self.metrics is None or not len(self.metrics):
            return self.epoch
        return max(self.epoch, int(self.metrics["epoch"].iloc[-1]))

    @property
    def epoch_words(self) -> str:
        """Which epoch is on show, in words; the first look, what training starts from, is 0."""
        config = None if self.run is None else self.run.config
        return "no points yet" if self.latents is None else epoch_name(self.epoch, config)

    def add_columns(self, table: pd.DataFrame, epoch: int | None = None) -> None:
        """Add columns by identity (index ``particle_id``); those of the same names are replaced.

        ``epoch``: of the latents that they were worked out of, where that is not the one on show.
        """
        changes: dict[str, object] = {}
        if CLUSTER in table:
            changes = {"class_map": None, "clusters_epoch": self.epoch if epoch is None else epoch}
        self.update(added_columns=with_columns(self.added_columns, table), **changes)

    def show_class(self, identity: str, name: str) -> None:
        """Show the map of the particle that stands for a class, as the map of that class."""
        self.update(
            focused=identity,
            class_map=(identity, name),
            free_point=None,
            trajectory=None,
            canvas_mode="particle",
        )

    def select(self, identities: frozenset[str], *how: Action) -> None:
        """Change the selection, and note by which actions it is made from the one before."""
        self.update(selected_by=(identities, how), selection=identities)

    def record(self, *actions: Action) -> None:
        """Note what was done, and before it the epoch, where it is another than before."""
        if self.run is not None and self.latents is not None:
            shown = Action.of(SHOW_EPOCH, self.epoch)
            told = (one for one in reversed(self.actions) if one.verb == SHOW_EPOCH)
            actions = actions if next(told, None) == shown else (shown, *actions)
        self.actions = (*self.actions, *actions)

    def show_message(self, text: str, severity: Severity = "info", done: Done = None) -> None:
        """Show one sentence to the user; one that asks for something goes once it is `done`."""
        self.message = Message(text, severity, done)

    def disconnect_all(self) -> None:
        """Disconnect all listeners: the window is going, but work may still be ending."""
        for name in self.events:
            self.events[name].disconnect()

    def _defaults(self, *owners: dict[str, str]) -> dict[str, object]:
        """Defaults of the fields that belong to one of these."""
        return {
            one.name: one.default if one.default_factory is MISSING else one.default_factory()
            for one in fields(self)
            if one.metadata in owners
        }


def _is_of_run(column: str) -> bool:
    return column in _OF_RUN or column.startswith(_OF_RUN_BEGIN)
