"""A run, or particles, explored step by step without a window: select, look, write files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_tomodrgn.config import ReadingConfig, validated
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.particle_columns import (
    Clip,
    ParticleTable,
    cluster_column,
    latent_of,
    mask_of,
    names_where,
    with_columns,
)
from napari_tomodrgn.session.enclosing import (
    Mask,
    combine_selections,
    in_category,
    in_lasso,
    in_range,
)
from napari_tomodrgn.session.selection_history import SelectionHistory
from napari_tomodrgn.session.shown_maps import lowpassed, write_frames
from napari_tomodrgn.session.values import LatentPath, LatentPoint, SelectionMode

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from napari_tomodrgn.analysis.latents.clusters import Method
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.files import OutputFiles
    from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
    from napari_tomodrgn.learn.run.directory import Run


class Exploration:
    """What is open, what is selected and shown of it; nothing is read before it is asked for.

    As a context manager it ends the program with one sentence, and status 2, at bad input.

    Parameters
    ----------
    source
        Run directory, shared run, or star file of particles.
    reading
        How a star file is to be read otherwise than it says, and where the images are, as the
        fields of `ReadingConfig`.
    overwrite
        Whether exports may replace files that are there and would change.

    Attributes
    ----------
    run
        The run, or None before one is trained.
    epoch
        Epoch whose latents and weights are meant.
    selection
        Identities of the selected particles.
    volume
        The map that was decoded last.
    path
        The trajectory that was made last.
    """

    def __init__(
        self,
        source: str | Path,
        reading: Mapping[str, object] | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        self.source, self.overwrite = Path(source), overwrite
        self.reading = validated(ReadingConfig, dict(reading or {}))
        self.volume: Volume | None = None
        self.path: LatentPath | None = None
        self._trained: Run | None = None
        self._epoch: int | None = None
        self._latents: tuple[int, pd.DataFrame] | None = None
        self._decoder: tuple[int, VolumeDecoder] | None = None
        self._filters_shells = True
        self._added: pd.DataFrame | None = None
        self._history = SelectionHistory()
        self._selection: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        """Work with it in a block."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the program where input is bad."""
        if isinstance(error, BadInputError):
            sys.stderr.write(f"{error}\n")
            raise SystemExit(2) from None

    # -- what there is -------------------------------------------------------------------------

    @property
    def run(self) -> Run | None:
        """The run that was trained here, or opened."""
        return self._trained or self._opened

    @cached_property
    def _opened(self) -> Run | None:
        from napari_tomodrgn.learn.run.archive import is_archive
        from napari_tomodrgn.learn.run.directory import Run

        is_run = self.source.is_dir() or is_archive(self.source)
        return Run.open(self.source) if is_run else None

    @property
    def epoch(self) -> int:
        """The epoch that is meant."""
        run = self._needed_run()
        return run.last_epoch() if self._epoch is None else self._epoch

    @cached_property
    def particles(self) -> ParticleSet:
        """The particles, with the images where they are; exploring needs none of them."""
        try:
            return self.particles_with_images()
        except BadInputError:
            if self.run is None:
                raise
            return self.run.particles(images_needed=False)

    def particles_with_images(self) -> ParticleSet:
        """The particles, and their images.

        Raises
        ------
        BadInputError
            If there are no images.
        """
        if self._opened is not None:
            return self._opened.particles(images=self.reading.images)
        return read_as_said(self.source, self.reading)

    @property
    def latents(self) -> pd.DataFrame:
        """Latents of the epoch, index ``particle_id``."""
        if self._latents is None or self._latents[0] != self.epoch:
            self._latents = (self.epoch, self._needed_run().latents(self.epoch))
        return self._latents[1]

    @property
    def decoder(self) -> VolumeDecoder:
        """Latents → maps, with the weights of the epoch."""
        if self._decoder is None or self._decoder[0] != self.epoch:
            run = self._needed_run().with_shell_filter(on=self._filters_shells)
            self._decoder = (self.epoch, run.decoder(self.epoch))
        return self._decoder[1]

    @property
    def table(self) -> ParticleTable:
        """All that is known of each particle: latents, star file, what the run keeps beside."""
        if self.run is None:
            return ParticleTable(self.particles.particles, self.particles, self._added)
        added = self.run.extras()
        if self._added is not None:
            added = with_columns(added, self._added)
        return ParticleTable(self.latents, self.particles, added)

    def show_epoch(self, epoch: int) -> None:
        """Mean this epoch from now on."""
        self._epoch = self._needed_run().last_epoch(epoch)

    def use_shell_filter(self, *, on: bool) -> None:
        """Decode maps that differ only as held-out images support it, or as they were learnt."""
        self._filters_shells, self._decoder = on, None

    # -- selecting -----------------------------------------------------------------------------

    @property
    def selection(self) -> frozenset[str]:
        """Identities of the selected particles."""
        return self._selection

    @selection.setter
    def selection(self, identities: frozenset[str]) -> None:
        if identities != self._selection:
            self._history.remember(self._selection)
            self._selection = identities

    def select(self, identities: Iterable[str], mode: str = "replace") -> None:
        """Select particles by identity; ``mode``: replace, add, subtract or intersect."""
        enclosed = frozenset(map(str, identities))
        self.selection = combine_selections(self._selection, enclosed, SelectionMode(mode))

    def lasso(
        self, x: str, y: str, corners: Sequence[Sequence[float]], mode: str = "replace"
    ) -> None:
        """Select the particles inside a closed line over two columns."""
        self._select_marked(in_lasso(self.table, x, y, corners), mode)

    def category(self, column: str, value: str, mode: str = "replace") -> None:
        """Select the particles that have a value of a column of words, such as a cluster."""
        self._select_marked(in_category(self.table, column, value), mode)

    def in_range(
        self, column: str, low: float | None, high: float | None, mode: str = "replace"
    ) -> None:
        """Select the particles whose value of a column is between limits (None: none)."""
        self._select_marked(in_range(self.table, column, low, high), mode)

    def _select_marked(self, mask: Mask, mode: str) -> None:
        self.select(names_where(self.table.rows, mask), mode)

    def invert(self) -> None:
        """Select all other particles."""
        self.selection = frozenset(map(str, self.table.rows.index)) - self._selection

    def clear(self) -> None:
        """Select nothing."""
        self.selection = frozenset()

    def undo(self) -> None:
        """Go back to the selection before."""
        self._selection = self._history.undo(self._selection)

    def redo(self) -> None:
        """Undo the undoing."""
        self._selection = self._history.redo(self._selection)

    def save_selection(self, name: str, color: str = "") -> None:
        """Keep the selection under a name in the run, instead of one of that name."""
        from napari_tomodrgn.analysis.selections import Selection, save_selection

        chosen = tuple(sorted(self._selection))
        save_selection(self._needed_run().path, Selection(name=name, particles=chosen, color=color))

    def show_selection(self, name: str) -> None:
        """Select the particles that the run keeps under a name."""
        from napari_tomodrgn.analysis.selections import load_selection

        self.selection = frozenset(load_selection(self._needed_run().path, name).particles)

    def delete_selection(self, name: str) -> None:
        """Forget a named selection of the run; the particles stay."""
        from napari_tomodrgn.analysis.selections import delete_selection

        delete_selection(self._needed_run().path, name)

    def find_clusters(self, count: int, method: Method = "k-means") -> None:
        """Find so many clusters of the latents: values of the column ``cluster``.

        Methods are k-means, mixture (of Gaussians), and states: those that are told apart by how
        sure each particle's latent is, so many at most.
        """
        self._added = with_columns(self._added, cluster_column(self.latents, count, method))

    def add_columns(self, path: str | Path) -> None:
        """Add the columns of a file, matched by particle."""
        from napari_tomodrgn.analysis.user_tables import read_user_table

        table = read_user_table(path, self.particles).columns
        self._added = with_columns(self._added, table)

    # -- looking -------------------------------------------------------------------------------

    def decode(self, particle_id: str) -> Volume:
        """The map of a particle's latent."""
        if not mask_of(self.latents, [particle_id]).any():
            raise BadInputError(
                f"{self._needed_run().path}: has no particle {particle_id!r}.",
                code="unknown-particle",
            )
        return self.decode_at(latent_of(self.latents, particle_id))

    def decode_at(self, z: ArrayLike) -> Volume:
        """The map of any latent ``(latent,)``."""
        self.volume = self.decoder.decode(np.asarray(z, np.float32))
        return self.volume

    def trajectory(self, name: str, points: Sequence[Sequence[float]], near: Sequence[int]) -> None:
        """Make a path of latents ``(frame, latent)``, with how many particles are near each."""
        pairs = zip(points, near, strict=True)
        self.path = LatentPath(name, tuple(LatentPoint(tuple(z), count) for z, count in pairs))

    # -- writing files -------------------------------------------------------------------------

    def save_map(self, path: str | Path, lowpass: float = 0.0) -> None:
        """Write the map that was decoded last, cut at a resolution in Å (0: as it is)."""
        from napari_tomodrgn.data.volume import write_volume

        if self.volume is None:
            raise BadInputError(f"{path}: no map was decoded to be written.", code="no-map")
        with self._exporting():
            write_volume(path, lowpassed(self.volume, lowpass))

    def save_frames(self, folder: str | Path, lowpass: float = 0.0) -> None:
        """Write the map of every frame of the path made last, and a table of their latents."""
        if self.path is None:
            raise BadInputError(f"{folder}: no path was made to be written.", code="no-path")
        with self._exporting():
            write_frames(self.decoder, self.path, Path(folder), lowpass)

    def save_class_maps(self, folder: str | Path, column: str, lowpass: float = 0.0) -> None:
        """Write the map of each class of a column, and a table of the classes."""
        from napari_tomodrgn.analysis.selections import load_selection, selection_names
        from napari_tomodrgn.session.class_maps import particle_classes, write_class_maps

        run = self._needed_run().path
        selections = tuple(load_selection(run, name) for name in selection_names(run))
        shade = self.table.color_column(column, Clip(), selections)
        if shade is None or not shade.categorical:
            raise BadInputError(
                f"{run}: no column of names is called {column!r}.", code="no-classes"
            )
        with self._exporting():
            classes = particle_classes(self.latents, shade)
            write_class_maps(self.decoder, classes, Path(folder), lowpass)

    def export_particles(self, path: str | Path) -> None:
        """Write the selected particles, or all if none is, with the columns that were added."""
        from napari_tomodrgn.session.particle_files import write_particles

        with self._exporting():
            write_particles(self.particles, self._selection, path, self.table.added_columns)

    def _exporting(self) -> AbstractContextManager[OutputFiles]:
        from napari_tomodrgn.learn.run.exports import export_files

        return export_files(overwrite=self.overwrite, particles=self.particles, run=self.run)

    def _needed_run(self) -> Run:
        if self.run is None:
            raise BadInputError(f"{self.source}: is no run, nor was one trained.", code="not-a-run")
        return self.run


def read_as_said(path: Path, reading: ReadingConfig) -> ParticleSet:
    """The particles of a star file, read as is said where the file is wrong or silent.

    Raises
    ------
    BadInputError
        If they cannot be read.
    """
    from napari_tomodrgn.data.dialects import read_particles

    particles = read_particles(
        path, images=reading.images, dialect=reading.dialect, overrides=reading.overrides
    )
    said = {
        "ctf_premultiplied": reading.data.ctf_premultiplied,
        "dose_weighted": reading.data.dose_weighted,
    }
    changes = {name: value for name, value in said.items() if value is not None}
    return particles.with_optics(**changes) if changes else particles
