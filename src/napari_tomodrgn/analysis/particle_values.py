"""Columns of particles by name, from all places that have them, one row a particle.

In this order: a table of latents (``mu_0``, also as ``z 0``, ``PC 1``; tomogram), added columns and
the user's tables, what every dialect reads (places, angles, ``tilts``), and the columns of the star
file as it is, of an image-series file those of the particle's first image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.expressions import Expression
from napari_tomodrgn.analysis.latents.components import axes_of_table, latent_matrix
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import as_loop

_COMPONENT, _DIMENSION = re.compile(r"PC (\d+)"), re.compile(r"z (\d+)")


@dataclass(frozen=True, eq=False)
class ParticleValues:
    """All columns that are known of some particles.

    Attributes
    ----------
    particles
        Whose; their order is that of all answers.
    latents
        Table of a run, or None.
    added
        More columns, the first that has a name counts; indexed by identity.
    """

    particles: ParticleSet
    latents: pd.DataFrame | None = None
    added: Sequence[pd.DataFrame] = ()

    def names(self) -> list[str]:
        """Every name that `table` takes."""
        own = [] if self.latents is None else self._latent_names()
        tables = [*self.added, self.particles.particles, self._star]
        return list(dict.fromkeys([*own, *(str(name) for one in tables for name in one.columns)]))

    def table(self, names: Iterable[str]) -> pd.DataFrame:
        """These columns, those that are not there left out; index ``particle_id``."""
        found = {name: self._column(name) for name in names}
        known = {name: series for name, series in found.items() if series is not None}
        return pd.DataFrame(known, index=self.particles.particles.index)

    def ids_where(self, condition: Expression) -> list[str]:
        """Identities of the particles that satisfy a condition.

        Raises
        ------
        BadInputError
            As `Expression.mask`.
        """
        table = self.table(condition.names)
        for name in condition.names:
            if name not in table:
                raise condition.unknown(name, self.names())
        return [str(name) for name in table.index[condition.mask(table)]]

    def _latent_names(self) -> list[str]:
        assert self.latents is not None
        means = [name for name in self.latents if str(name).startswith("mu_")]
        axes = range(len(means))
        made = [f"PC {axis + 1}" for axis in axes] + [f"z {axis}" for axis in axes]
        return made + [str(name) for name in self.latents.columns]

    def _column(self, name: str) -> pd.Series | None:
        index = self.particles.particles.index
        if self.latents is not None and (series := self._latent_column(name)) is not None:
            return series.reindex(index)
        for table in (*self.added, self.particles.particles, self._star):
            if name in table:
                return table[name].reindex(index)
        return None

    def _latent_column(self, name: str) -> pd.Series | None:
        assert self.latents is not None
        if (match := _DIMENSION.fullmatch(name)) and f"mu_{match[1]}" in self.latents:
            return self.latents[f"mu_{match[1]}"]
        if match := _COMPONENT.fullmatch(name):
            scores, number = self._scores, int(match[1]) - 1
            if 0 <= number < scores.shape[1]:
                return pd.Series(scores[:, number], self.latents.index)
        return self.latents[name] if name in self.latents else None

    @cached_property
    def _scores(self) -> np.ndarray:
        assert self.latents is not None
        return axes_of_table(self.latents).scores(latent_matrix(self.latents))

    @cached_property
    def _star(self) -> pd.DataFrame:
        """The rows of the star file, one a particle."""
        source, images = self.particles.source, self.particles.images
        rows = images.groupby("particle_id", observed=True)["source_row"].min()
        wanted = rows.reindex(self.particles.particles.index).to_numpy(np.int64)
        frame = as_loop(source.blocks[source.particle_block]).iloc[wanted]
        rows_of_particles: pd.DataFrame = frame.set_axis(self.particles.particles.index, axis=0)
        return rows_of_particles
