"""What is there of each tomogram before anything is decided or cut: a table of ticks.

Nothing is raised for one tomogram that lacks something; its row says what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments import find_alignment
from napari_tomodrgn.extract.ctf import find_contrast
from napari_tomodrgn.extract.folders import (
    StackFile,
    read_match,
    series_name,
    stack_of,
    stacks_in,
    tomogram_files,
)
from napari_tomodrgn.extract.lists import ParticleList
from napari_tomodrgn.extract.series import dose_file
from napari_tomodrgn.extract.settings import ExtractConfig

T = TypeVar("T")


@dataclass(frozen=True)
class SurveyRow:
    """What was found of one tomogram of the list; None where nothing, ``missing`` says why.

    ``dose`` is the file of the order, where the user gives doses.
    """

    tomogram: str
    particles: int
    series: str | None
    stack: Path | None
    alignment: Path | None
    ctf: Path | None
    dose: Path | None
    volume: Path | None
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether images can be cut."""
        return not self.missing


def survey(config: ExtractConfig, particles: ParticleList) -> list[SurveyRow]:
    """What is there of each tomogram of a list.

    Raises
    ------
    BadInputError
        If a folder is not there, or the table that matches names is damaged.
    """
    stacks = stacks_in(config.tilt_series)
    match = read_match(config.match) if config.match else {}
    chosen = config.only or particles.tomograms
    return [_row(config, particles, tomogram, stacks, match) for tomogram in chosen]


def _row(
    config: ExtractConfig,
    particles: ParticleList,
    tomogram: str,
    stacks: list[StackFile],
    match: dict[str, str],
) -> SurveyRow:
    missing: list[str] = []
    where = config.tilt_series
    count = len(particles.rows_of(tomogram))
    known = [stack.name for stack in stacks]
    series = _found(missing, lambda: series_name(tomogram, known, match, where))
    if series is None:
        return SurveyRow(tomogram, count, None, None, None, None, None, None, tuple(missing))
    names = list(dict.fromkeys([series, tomogram]))
    volumes = tomogram_files(config.tomograms, names) if config.tomograms else []
    return SurveyRow(
        tomogram=tomogram,
        particles=count,
        series=series,
        stack=_found(missing, lambda: stack_of(series, stacks, config.stacks, where).path),
        alignment=_found(missing, lambda: find_alignment(config.alignment, names).path),
        ctf=_found(missing, lambda: find_contrast(config.ctf or config.alignment, names)),
        dose=_found(missing, lambda: dose_file(config, names)),
        volume=volumes[0] if len(volumes) == 1 else None,
        missing=tuple(missing),
    )


def _found(missing: list[str], find: Callable[[], T]) -> T | None:
    try:
        return find()
    except BadInputError as error:
        missing.append(str(error))
        return None
