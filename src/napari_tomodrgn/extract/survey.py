"""What is seen before anything is decided or cut: what is there, and where boxes would be.

For one tomogram that lacks something nothing is raised; its row of the table says what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.mrc import mapped, read_mrc_header
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
from napari_tomodrgn.extract.geometry import VoxelFrame
from napari_tomodrgn.extract.inputs import Extraction, read_extraction
from napari_tomodrgn.extract.lists import ParticleList
from napari_tomodrgn.extract.series import Conventions, Series, dose_file
from napari_tomodrgn.extract.settings import ExtractConfig

T = TypeVar("T")
# Finer than a screen shows is of no use, and noise hides what there is.
_MOST_EDGE_PX = 768
_MOST_PLACES = 100  # folders that are looked into for what was not named


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


def folders_beside(config: ExtractConfig, particles: ParticleList) -> dict[str, Path]:
    """Folders beside stacks and list that have what the folders named so far lack.

    Of ``alignment``, ``ctf`` and ``dose``; one counts where it has that of every tomogram of the
    list, and only if no other folder has it, too. Which tomograms a list counts voxels of is not
    guessed.

    Raises
    ------
    BadInputError
        As `survey`.
    """
    found: dict[str, Path] = {}
    places = _places_beside(config)
    for what in ("alignment", "ctf", "dose"):
        if getattr(config, what) not in (None, config.tilt_series):
            continue  # it was named
        known = config.model_copy(update=found)
        if all(getattr(row, what) is not None for row in survey(known, particles)):
            continue
        fit = [one for one in places if _has_all(known, particles, what, one)]
        if len(fit) == 1:
            found[what] = fit[0]
    return found


def _has_all(config: ExtractConfig, particles: ParticleList, what: str, place: Path) -> bool:
    """Whether a place has this of every tomogram; the first one says no at once."""
    tried = config.model_copy(update={what: place})
    first = tried.model_copy(update={"only": (config.only or particles.tomograms)[:1]})
    return all(
        getattr(row, what) is not None for one in (first, tried) for row in survey(one, particles)
    )


def _places_beside(config: ExtractConfig) -> list[Path]:
    """Folders in and beside that of the stacks, and beside the list."""
    around = (config.tilt_series, config.tilt_series.parent, config.particles.parent)
    inside = (one for folder in around for one in sorted(folder.glob("*")) if one.is_dir())
    found = [one for one in inside if not one.name.startswith(".")]
    return list(dict.fromkeys(one.resolve() for one in found))[:_MOST_PLACES]


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


@dataclass(frozen=True, eq=False)
class Predicted:
    """A tilt image, binned to be seen, and places in it; the tomogram, where there is one.

    ``yx_angstrom`` is ``(particle, 2)`` from the middle of the first pixel of ``image``.
    """

    name: str
    image: NDArray[np.float32]
    pixel_size_angstrom: float
    yx_angstrom: NDArray[np.float64]
    names: tuple[str, ...]
    box_angstrom: float
    volume: PredictedVolume | None


@dataclass(frozen=True, eq=False)
class PredictedVolume:
    """A tomogram, and where the list says that its particles are.

    ``voxels`` is zyx, mapped from the file; ``zyx_angstrom`` is ``(particle, 3)`` from the middle
    of the first voxel.
    """

    voxels: NDArray[np.generic]
    voxel_size_angstrom: float
    zyx_angstrom: NDArray[np.float64]


def predict(config: ExtractConfig) -> Predicted:
    """The least tilted image of the first tomogram with its particles, by what is said or usual.

    Raises
    ------
    BadInputError
        As `read_extraction`.
    """
    extraction = read_extraction(config)
    one, plan = extraction.series[0], extraction.plan
    given = config.origin if config.origin != "auto" else extraction.particles.origin
    conventions = Conventions(
        int(given or 0), config.z == "mirror", config.pose == "inverse", one.hand or 1.0
    )
    centred, _ = one.places(extraction.particles, conventions)
    found = one.geometry.project(centred)
    tilt = int(np.abs(one.geometry.stage_tilt_deg).argmin())
    image = one.stack.image(int(one.geometry.sections[tilt]))
    binning = max(1, -(-max(image.shape) // _MOST_EDGE_PX))
    pixel = one.stack.pixel_size_angstrom
    # A binned pixel is the mean of whole ones: its middle is half of them further in.
    places = (found.xy_px[tilt, :, ::-1] - (binning - 1) / 2) * pixel
    return Predicted(
        name=one.name,
        image=_binned(image, binning),
        pixel_size_angstrom=pixel * binning,
        yx_angstrom=places,
        names=tuple(extraction.particles.particle[row] for row in one.rows),
        box_angstrom=plan.box_px * plan.pixel_size_angstrom,
        volume=_in_volume(extraction, one, conventions),
    )


def _in_volume(
    extraction: Extraction, one: Series, conventions: Conventions
) -> PredictedVolume | None:
    """The tomogram that the list counts in, else one that is called after the series."""
    config, path = extraction.config, one.sources.get("tomogram")
    if path is None and config.tomograms is not None:
        found = tomogram_files(config.tomograms, [one.name, one.tomogram])
        path = found[0] if len(found) == 1 else None
    if path is None:
        return None
    header = read_mrc_header(path, "a tomogram")
    z, y, x = header.shape_zyx
    corrected = one.stack.pixel_size_angstrom / one.stack.stated_pixel_size_angstrom
    voxel = header.voxel_size_zyx_angstrom[2] * corrected
    if one.frame is not None and "tomogram" in one.sources and not _in_pixels(extraction):
        voxel = one.frame.voxel_size_angstrom  # the header may say otherwise
    if voxel <= 0:
        return None
    # Which way z runs matters between the list and the alignment, not between it and its tomogram.
    centred, _ = one.places(extraction.particles, replace(conventions, mirror=False))
    frame = VoxelFrame((float(x), float(y), float(z)), voxel, one.geometry.rule)
    where = frame.to_voxels(centred, 0)[:, ::-1] * voxel
    return PredictedVolume(mapped(header), voxel, where)


def _in_pixels(extraction: Extraction) -> bool:
    """Whether the list counts pixels of the tilt series, and not voxels of the tomogram."""
    return extraction.particles.unit == "series_px"


def _binned(image: NDArray[np.float32], binning: int) -> NDArray[np.float32]:
    rows, columns = (size // binning for size in image.shape)
    whole = image[: rows * binning, : columns * binning]
    means = whole.reshape(rows, binning, columns, binning).mean(axis=(1, 3))
    return np.asarray(means, dtype=np.float32)
