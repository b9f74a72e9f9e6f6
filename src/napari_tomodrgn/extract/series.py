"""Everything that is known of one tomogram of the list: stack, alignment, CTF, doses, places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.mrc import read_mrc_header
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments import AlignmentInput, find_alignment, read_alignment
from napari_tomodrgn.extract.ctf import TiltContrast, find_contrast, read_contrast
from napari_tomodrgn.extract.dose import doses_by_order, find_dose, read_doses
from napari_tomodrgn.extract.folders import (
    StackFile,
    read_match,
    series_name,
    stack_of,
    stacks_in,
    tomogram_files,
)
from napari_tomodrgn.extract.geometry import (
    TiltGeometry,
    VoxelFrame,
    mirrored_z,
    tilt_angles,
)
from napari_tomodrgn.extract.lists import ParticleList
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.extract.tilt_stack import TiltStack, open_tilt_stack

FloatArray = NDArray[np.float64]
# A voxel size of a header is written with few digits.
_SAME_SIZE = 0.01


@dataclass(frozen=True)
class Conventions:
    """What no file settles: the data or the user do.

    ``origin`` is from where voxels count; ``mirror`` whether z of the list runs the other way;
    ``inverse`` whether poses go specimen → reference; ``hand`` the sign of the depth.
    """

    origin: int
    mirror: bool
    inverse: bool
    hand: float


@dataclass(frozen=True, eq=False)
class Series:
    """One tomogram of the list with all that belongs to it.

    Attributes
    ----------
    name
        Of the tilt series.
    tomogram
        What the list calls it.
    rows
        Rows of its particles in the list.
    stack, geometry
        Images and where the specimen is in them.
    contrast
        CTF of each section of the stack.
    doses
        Before each section, e/Å².
    frame
        How the list's voxels lie; None where it does not count voxels.
    alignment
        Format of the alignment.
    sources
        Files that were read, by what they are.
    """

    name: str
    tomogram: str
    rows: NDArray[np.int64]
    stack: TiltStack
    geometry: TiltGeometry
    contrast: TiltContrast
    doses: FloatArray
    frame: VoxelFrame | None
    alignment: str
    sources: dict[str, Path]

    @property
    def hand(self) -> float | None:
        """Sign of the depth in the defocus, where a file says."""
        return self.contrast.hand if self.contrast.hand is not None else self.geometry.hand

    @property
    def size_px(self) -> tuple[int, int, int]:
        """Of the specimen's volume in pixels of the tilt series; thickness guessed if unknown."""
        if self.geometry.specimen_size_px is not None:
            x, y, z = self.geometry.specimen_size_px
        elif self.frame is not None:
            factor = self.frame.voxel_size_angstrom / self.stack.pixel_size_angstrom
            x, y, z = (size * factor for size in self.frame.size_px)
        else:
            x, y = self.stack.size_px
            z = max(x, y) / 4
        # Even, so that half of it is a whole pixel for whoever reads it.
        return 2 * round(x / 2), 2 * round(y / 2), 2 * round(z / 2)

    def places(
        self, particles: ParticleList, conventions: Conventions
    ) -> tuple[FloatArray, FloatArray]:
        """Å from the middle of the specimen, and poses, of this tomogram's particles."""
        where, rotations = particles.coordinates[self.rows], particles.rotations[self.rows]
        centred = self._centred(particles, where, conventions.origin)
        if conventions.inverse:
            rotations = rotations.transpose(0, 2, 1)
        if conventions.mirror:
            return mirrored_z(centred, rotations)
        return centred, rotations

    def _centred(self, particles: ParticleList, where: FloatArray, origin: int) -> FloatArray:
        pixel = self.stack.pixel_size_angstrom
        if particles.unit in ("centred_angstrom", "corner_angstrom"):
            # Counted in the file's pixels, whatever these are now known to measure.
            where = where * (pixel / self.stack.stated_pixel_size_angstrom)
        if particles.unit == "centred_angstrom":
            return where
        if particles.unit == "middle_px":
            return where * pixel
        assert self.frame is not None
        if particles.unit == "corner_angstrom":
            return self.frame.from_voxels(where / self.frame.voxel_size_angstrom, 0)
        return self.frame.from_voxels(where, origin)


def read_all_series(config: ExtractConfig, particles: ParticleList) -> list[Series]:
    """Find and read all that belongs to the tomograms of a list, in their order.

    Raises
    ------
    BadInputError
        If anything is missing, damaged, or cannot be told.
    """
    stacks = stacks_in(config.tilt_series)
    match = read_match(config.match) if config.match else {}
    chosen = particles.tomograms
    if config.only:
        unknown = [name for name in config.only if name not in chosen]
        if unknown:
            raise BadInputError(
                f"{particles.path}: no tomogram is called {unknown[0]!r}; there are "
                f"{', '.join(chosen[:6])}.",
                code="unknown-tomogram",
            )
        chosen = [name for name in chosen if name in config.only]
    known = [stack.name for stack in stacks]
    pairs = [
        (tomogram, series_name(tomogram, known, match, config.tilt_series)) for tomogram in chosen
    ]
    taken: dict[str, str] = {}
    for tomogram, name in pairs:
        if name in taken:
            raise BadInputError(
                f"{config.tilt_series}: tomograms {taken[name]} and {tomogram} of the list would "
                f"both be tilt series {name}.",
                remedy="Say which belong together with --match TABLE.csv (tomogram,tilt_series).",
                code="ambiguous-series",
            )
        taken[name] = tomogram
    return [
        _read_series(
            config, particles, tomogram, stack_of(name, stacks, config.stacks, config.tilt_series)
        )
        for tomogram, name in pairs
    ]


def _read_series(
    config: ExtractConfig, particles: ParticleList, tomogram: str, file: StackFile
) -> Series:
    aligned = config.stacks == "aligned" or (config.stacks == "auto" and file.aligned)
    stack = open_tilt_stack(file.path, config.pixel_size_angstrom)
    names = list(dict.fromkeys([file.name, file.path.stem, tomogram]))
    found = find_alignment(config.alignment, names)
    source = AlignmentInput(found.path, found.name, stack, config.ignore_local)
    geometry = read_alignment(found, source, aligned_stack=aligned)
    tilt = np.full(stack.count, np.nan)
    tilt[geometry.sections] = geometry.stage_tilt_deg
    contrast_file = find_contrast(config.ctf or config.alignment, names)
    contrast = read_contrast(contrast_file, found.name, geometry.sections, stack.count)
    if aligned:
        contrast = _turned(contrast, read_alignment(found, source), stack.count)
    doses, dose_file = _doses(config, names, found.name, tilt)
    sources = {
        "stack": file.path,
        "alignment": found.path,
        "ctf": contrast_file,
        "dose": dose_file,
    }
    frame, tomogram_file = _frame(config, particles, names, stack, geometry)
    if tomogram_file is not None:
        sources["tomogram"] = tomogram_file
    return Series(
        name=file.name,
        tomogram=tomogram,
        rows=particles.rows_of(tomogram),
        stack=stack,
        geometry=geometry,
        contrast=contrast,
        doses=doses,
        frame=frame,
        alignment=found.format,
        sources=sources,
    )


def _turned(contrast: TiltContrast, raw: TiltGeometry, count: int) -> TiltContrast:
    """Astigmatism, measured on raw images, as it is in images that were turned upright."""
    axis = np.zeros(count)
    axis[raw.sections] = tilt_angles(raw.rotations)[:, 0]
    return replace(contrast, defocus_angle_deg=contrast.defocus_angle_deg - axis)


def _doses(
    config: ExtractConfig, names: list[str], series: str, tilt_deg: FloatArray
) -> tuple[FloatArray, Path]:
    path = dose_file(config, names)
    if config.dose_per_tilt is not None and config.order is not None:
        return doses_by_order(path, config.dose_per_tilt, tilt_deg), path
    return read_doses(path, series, tilt_deg), path


def dose_file(config: ExtractConfig, names: list[str]) -> Path:
    """Where the doses of a series stand: the user's order, the folder named, or beside the rest.

    Raises
    ------
    BadInputError
        If nowhere.
    """
    if config.order is not None:
        return config.order
    beside = (config.ctf, config.alignment, config.tilt_series)
    for place in (config.dose,) if config.dose is not None else beside:
        path = None if place is None else find_dose(place, names)
        if path is not None:
            return path
    raise BadInputError(
        f"{config.dose or config.tilt_series}: the doses of {names[0]} were not found (mdoc, XML "
        "or tomograms star).",
        remedy="Pass --dose DIR, or --dose-per-tilt E and --order FILE.",
        code="no-dose",
    )


def _frame(
    config: ExtractConfig,
    particles: ParticleList,
    names: list[str],
    stack: TiltStack,
    geometry: TiltGeometry,
) -> tuple[VoxelFrame | None, Path | None]:
    """How voxels of the list's tomogram lie in the specimen."""
    if particles.unit in ("centred_angstrom", "middle_px"):
        return None, None
    said = config.list_pixel_size_angstrom or particles.voxel_size_angstrom
    header = _tomogram(config, names, said)
    if particles.unit == "series_px":
        return _series_frame(header, stack, geometry, names), header and header[2]
    voxel = said or (header[1] if header else None)
    if voxel is None:
        raise BadInputError(
            f"{particles.path}: counts voxels of a tomogram whose voxel size is not known.",
            remedy="Pass --list-pixel-size A, or --tomograms DIR.",
            code="no-list-pixel-size",
        )
    if config.list_pixel_size_angstrom is None:
        # Headers count in the pixels of before they were corrected.
        voxel *= stack.pixel_size_angstrom / stack.stated_pixel_size_angstrom
    if header is not None:
        return VoxelFrame(header[0], voxel, geometry.rule), header[2]
    if geometry.specimen_size_px is None:
        raise BadInputError(
            f"{particles.path}: counts voxels from the corner of a tomogram, but the size of the "
            f"tomogram of {names[0]} is not known.",
            remedy="Pass --tomograms DIR with the reconstructions; their headers are enough.",
            code="no-tomogram-size",
        )
    factor = voxel / stack.pixel_size_angstrom
    x, y, z = geometry.specimen_size_px
    return VoxelFrame((x / factor, y / factor, z / factor), voxel, geometry.rule), None


def _series_frame(
    header: tuple[tuple[float, float, float], float, Path] | None,
    stack: TiltStack,
    geometry: TiltGeometry,
    names: list[str],
) -> VoxelFrame:
    size = geometry.specimen_size_px
    if size is None and header is not None:
        factor = header[1] / stack.stated_pixel_size_angstrom
        x, y, z = (n * factor for n in header[0])
        size = (x, y, z)
    if size is None:
        raise BadInputError(
            f"{stack.path}: the size of the volume of {names[0]} is not known.",
            remedy="Pass --tomograms DIR with the reconstructions; their headers are enough.",
            code="no-tomogram-size",
        )
    return VoxelFrame(size, stack.pixel_size_angstrom, geometry.rule)


def _tomogram(
    config: ExtractConfig, names: list[str], voxel: float | None
) -> tuple[tuple[float, float, float], float, Path] | None:
    """Size, voxel size and file of the tomogram of a series; that of the list's voxels if several.

    Raises
    ------
    BadInputError
        If there is none, or none of that voxel size, or several.
    """
    if config.tomograms is None:
        return None
    found = []
    for path in tomogram_files(config.tomograms, names):
        header = read_mrc_header(path, "a tomogram")
        z, y, x = header.shape_zyx
        size = header.voxel_size_zyx_angstrom[2]
        if voxel is None or size <= 0 or abs(size / voxel - 1) < _SAME_SIZE or size == 1.0:
            found.append(((float(x), float(y), float(z)), voxel or size, path))
    if len(found) != 1:
        what = f" of {voxel:g} Å voxels" if voxel else ""
        raise BadInputError(
            f"{config.tomograms}: {len(found)} tomograms{what} of {names[0]} were found.",
            remedy="Name a folder with the one that the list was made in, or --list-pixel-size A.",
            code="no-tomogram" if not found else "ambiguous-tomogram",
        )
    if found[0][1] <= 0:
        raise BadInputError(
            f"{found[0][2]}: gives no voxel size.",
            remedy="Pass --list-pixel-size A.",
            code="no-list-pixel-size",
        )
    return found[0]
