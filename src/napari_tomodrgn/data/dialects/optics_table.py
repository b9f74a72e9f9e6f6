"""Optics of the rows of a star file: from its optics block, or from columns of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.optics import Optics, OpticsGroup, Sampling
from napari_tomodrgn.data.star_table import StarTable

# Star files round: numbers that are off their middle by a smaller share of it are the same.
SAME = 1e-3
BEAM_COLUMNS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
# Of a pixel size, best first: the first that there is is read.
PIXEL_COLUMNS = ("rlnImagePixelSize", "rlnPixelSize", "rlnDetectorPixelSize")


@dataclass(frozen=True, eq=False)
class OpticsTable:
    """Optics of some rows: a block of groups, or columns of the rows themselves.

    ``groups`` holds the groups in use, ``group`` the place among them of each of ``rows``.
    """

    groups: StarTable
    rows: StarTable
    group: NDArray[np.int64]

    def table_of(self, *columns: str) -> StarTable:
        """The table that has one of these columns: that of the groups if neither has."""
        return (
            self.rows
            if any(name in self.rows for name in columns)
            and not any(name in self.groups for name in columns)
            else self.groups
        )

    def numbers(self, column: str, default: float | None = None) -> NDArray[np.float64]:
        """Read the number of each row ``(row,)``; ``default`` everywhere if the column is absent.

        Raises
        ------
        BadInputError
            As `StarTable.numbers`.
        """
        table = self.table_of(column)
        values = table.numbers(column, default)
        return values[self.group] if table is self.groups else values

    def flag(self, column: str, absent: bool = False) -> bool:
        """Whether a column that has to be the same for all says 1; ``absent`` without it."""
        return bool(self.table_of(column).constant(column, float(absent)))

    def agreed(self, column: str) -> NDArray[np.float64]:
        """The number above 0 of each row ``(row,)``; those that differ by rounding become one.

        Raises
        ------
        BadInputError
            If a number is not above 0.
        """
        table = self.table_of(column)
        values = table.numbers(column)
        if not (values > 0).all():
            row = int(np.argmin(values))
            raise table.problem(column, row, f"is {values[row]:g}, but must be above 0")
        different = np.unique(values)
        agreed, first = np.empty_like(values), 0
        while first < len(different):
            last = int(np.searchsorted(different, different[first] * (1 + 2 * SAME), "right")) - 1
            alike = (values >= different[first]) & (values <= different[last])
            agreed[alike] = np.median(values[alike])
            first = last + 1
        return agreed[self.group] if table is self.groups else agreed

    def names(self) -> NDArray[np.object_]:
        """What the star file calls the group of each row, ``(row,)``; empty without a block."""
        if self.groups is self.rows:
            return np.full(len(self.rows), "", dtype=object)
        name = "rlnOpticsGroupName" if "rlnOpticsGroupName" in self.groups else "rlnOpticsGroup"
        return np.array(self.groups.texts(name).to_pylist(), dtype=object)[self.group]

    def split(
        self,
        beam: Sequence[str],
        pixel_size_angstrom: NDArray[np.float64],
        box_size_px: NDArray[np.int64],
        b_factor: NDArray[np.float64] | float = 0.0,
    ) -> Beams:
        """Group rows by what the microscope gives and how images are sampled, the largest first.

        Parameters
        ----------
        beam
            The columns of voltage (kV), spherical aberration (mm) and amplitude contrast.
        pixel_size_angstrom, box_size_px
            ``(row,)`` of the images.
        b_factor
            ``(row,)`` B-factor per dose in Å² per e/Å², or one number for all.

        Raises
        ------
        BadInputError
            If a voltage is not above 0, or a value no number.
        """
        values = [self.numbers(name) for name in beam]
        if not (values[0] > 0).all():
            table, row = self.table_of(beam[0]), int(np.argmin(values[0]))
            row = int(self.group[row]) if table is self.groups else row
            raise table.problem(beam[0], row, f"is {values[0].min():g}, but must be above 0")
        factors = np.broadcast_to(b_factor, len(values[0]))
        rows = np.stack([*values, factors, pixel_size_angstrom, box_size_px], axis=1)
        kinds, code, count = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(-count, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        group = place[code.reshape(-1)].astype(np.int64)
        samplings = [Sampling(int(kinds[i, 5]), float(kinds[i, 4])) for i in order]
        groups = [OpticsGroup(*kinds[i, :4].tolist()) for i in order]
        names = [""] * len(groups)
        if len(set(samplings)) > 1:
            said = self.names()
            names = [", ".join(dict.fromkeys(said[group == i])) for i in range(len(groups))]
        return Beams(tuple(groups), tuple(samplings), tuple(names), group)


@dataclass(frozen=True, eq=False)
class Beams:
    """Groups of images that the microscope took alike, and the group of each row.

    ``samplings`` are those of the images of each group, ``names`` what the star file calls it where
    they differ.
    """

    groups: tuple[OpticsGroup, ...]
    samplings: tuple[Sampling, ...]
    names: tuple[str, ...]
    group: NDArray[np.int64]

    def optics(self, **fields: Any) -> Optics:
        """The optics of a set; ``fields`` are those that all images share."""
        groups = self.groups
        if len(set(self.samplings)) > 1:
            groups = tuple(
                replace(
                    group,
                    stored_box_size_px=one.box_size_px,
                    stored_pixel_size_angstrom=one.pixel_size_angstrom,
                    group_name=name,
                )
                for group, one, name in zip(groups, self.samplings, self.names, strict=True)
            )
        first = {**vars(groups[0]), **vars(self.samplings[0])}
        first |= {"stored_box_size_px": None, "stored_pixel_size_angstrom": None}
        return Optics(**first, other_groups=groups[1:], **fields)
