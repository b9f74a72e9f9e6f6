"""Tomograms as files: found by folder and name pattern, opened without being read whole.

Voxel ``(k, j, i)`` of a tomogram lies at ``(k, j, i) · voxel size`` in Å from its corner, where the
positions of particles are counted from.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.mrc import mapped, read_mrc_header
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import as_loop
from napari_tomodrgn.errors import BadInputError


class Voxels(Protocol):
    """An array of voxels zyx: of numpy, mapped from the file, or of whatever a reader gives."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    def __getitem__(self, index: tuple[slice, ...], /) -> Voxels: ...
    def __array__(self) -> np.ndarray: ...


Reader = Callable[[Path], tuple[tuple[Voxels, ...], float]]

# Longer edges than this are binned for the three-dimensional view: graphics memory, and time.
LARGEST_EDGE_PX = 512
DEFAULT_PATTERN = "{name}*.mrc"
# Sections that are averaged at a time: bounds the memory beside the result.
_SLAB_VOXELS = 1 << 25
_SAMPLED_VOXELS = 200_000  # about so many, evenly spaced, decide on the contrast
# What the header and the star file may differ by before it is said.
_TOLERANCE = 0.02


Projection = Literal["", "largest", "smallest"]


@dataclass(frozen=True, eq=False)
class Tomogram:
    """A tomogram, ready to be shown.

    Attributes
    ----------
    path
        Its file.
    levels
        Arrays zyx: as on disk (mapped, read where it is looked at), then, of a large one, binned.
    voxel_size_angstrom
        Of the first level.
    note
        A sentence on what is odd about it, or empty.
    """

    path: Path
    levels: tuple[Voxels, ...]
    voxel_size_angstrom: float
    note: str = ""

    @property
    def shown(self) -> Voxels:
        """The level of the three-dimensional view."""
        return self.levels[-1]

    @property
    def binning(self) -> int:
        """Voxels along an edge that one voxel of ``shown`` stands for."""
        full, shown = int(self.levels[0].shape[0]), int(self.shown.shape[0])
        return max(1, round(full / shown))

    @property
    def extent_zyx_angstrom(self) -> tuple[float, float, float]:
        """Edges in Å."""
        z, y, x = (float(count) * self.voxel_size_angstrom for count in self.levels[0].shape)
        return z, y, x

    def contrast(self, percent: float, projected: Projection = "") -> tuple[float, float]:
        """Grey values that ``percent`` of the voxels lie below, and above.

        ``projected``: of the largest or the smallest values along z, which are all far out.
        """
        if projected:
            step = max(1, round((self.shown.size / _SAMPLED_VOXELS) ** (1 / 2)))
            columns = np.asarray(self.shown[:, ::step, ::step], dtype=np.float32)
            values = columns.max(axis=0) if projected == "largest" else columns.min(axis=0)
        else:
            step = max(1, round((self.shown.size / _SAMPLED_VOXELS) ** (1 / 3)))
            values = np.asarray(self.shown[::step, ::step, ::step], dtype=np.float32)
        low, high = np.percentile(values, [percent, 100 - percent])
        return float(low), float(high) if high > low else float(low) + 1e-6


def stem(tomogram: str) -> str:
    """The name without the extension that WarpTools gives it: TS_1 for TS_1.tomostar."""
    return tomogram.removesuffix(".tomostar").removesuffix(".mrc")


def find_files(
    names: Iterable[str], folder: Path | None, pattern: str = DEFAULT_PATTERN
) -> dict[str, Path]:
    """The file of each tomogram that has one in a folder.

    Parameters
    ----------
    names
        Of the tomograms, as the particles call them.
    folder
        Where they are; None finds nothing.
    pattern
        A file name with ``{name}`` for that of the tomogram and ``*`` for anything. What follows
        the name may be no letter or digit, so that TS_1 does not find TS_10.
    """
    found: dict[str, Path] = {}
    if folder is None or not folder.is_dir():
        return found
    refuse_pattern(pattern)
    for tomogram in names:
        name = stem(tomogram)
        candidates = sorted(folder.glob(pattern.replace("{name}", glob.escape(name))))
        whole = re.compile(re.escape(name) + r"(?![A-Za-z0-9])")
        ours = [one for one in candidates if whole.search(str(one.relative_to(folder)))]
        if ours:
            found[tomogram] = ours[0]
    return found


def refuse_pattern(pattern: str) -> None:
    """Raise `BadInputError` if no file can be looked for by a pattern, as `find_files` takes it."""
    if "{name}" not in pattern:
        raise BadInputError(
            f"The pattern {pattern!r} names no tomogram.",
            remedy="Write {name} for its name, as in {name}*.mrc.",
            code="bad-pattern",
        )
    path = Path(pattern)
    # What a glob takes for a mistake, and with it a name that no file can have.
    stars = any("**" in part and part != "**" for part in path.parts)
    if stars or path.is_absolute() or "\0" in pattern:
        raise BadInputError(
            f"The pattern {pattern!r} is no name of a file in the folder.",
            remedy="Write one such as {name}*.mrc, or {name}/*.mrc for a folder of each.",
            code="bad-pattern",
        )


def named_by_source(particles: ParticleSet) -> dict[str, Path]:
    """Files that the tomograms star itself names (RELION 5), as far as they are there."""
    source = particles.source
    overview = (source.tomogram_blocks or {}).get("global")
    if overview is None or "rlnTomoReconstructedTomogram" not in overview:
        return {}
    overview = as_loop(overview)
    base = (source.tomograms_path or source.path).parent
    found = {}
    for name, file in zip(
        overview["rlnTomoName"], overview["rlnTomoReconstructedTomogram"], strict=True
    ):
        for folder in (base, *base.parents):
            if (folder / str(file)).is_file():
                found[str(name)] = folder / str(file)
                break
    return found


def open_tomogram(
    path: Path,
    extent_xyz_angstrom: tuple[float, float, float] | None = None,
    read_other: Reader | None = None,
) -> Iterator[Tomogram | None]:
    """Open a tomogram in steps: None while a large one is binned, at last the tomogram.

    Parameters
    ----------
    path
        MRC, or what ``read_other`` reads.
    extent_xyz_angstrom
        Its size as the particles' source has it: the voxel size where the file gives none, and
        what it is compared with.
    read_other
        Gives levels and voxel size in Å (0: unknown) of files that are not MRC.

    Raises
    ------
    BadInputError
        If it cannot be read, or is no volume.
    """
    if path.suffix.lower() in (".mrc", ".map", ".rec", ".st"):
        header = read_mrc_header(path, "a tomogram")
        levels: tuple[Voxels, ...] = (mapped(header),)
        voxel = header.voxel_size_zyx_angstrom[-1]
    elif read_other is not None:
        levels, voxel = read_other(path)
    else:
        raise BadInputError(f"{path}: not an MRC file.", code="not-a-tomogram")
    if levels[0].ndim != 3 or min(levels[0].shape) < 2:
        raise BadInputError(
            f"{path}: a tomogram has three axes, this has the shape {tuple(levels[0].shape)}.",
            code="not-a-tomogram",
        )
    small = [max(level.shape) <= LARGEST_EDGE_PX for level in levels]
    # napari draws the last level in three dimensions: none that is coarser than it has to be.
    levels = levels[: small.index(True) + 1] if any(small) else levels
    found = _with_voxel_size(Tomogram(path, levels, voxel), extent_xyz_angstrom)
    if max(found.shown.shape) <= LARGEST_EDGE_PX:
        yield replace(found, levels=(*levels[:-1], _in_memory(levels[-1])))
        return
    factor = -(-max(found.shown.shape) // LARGEST_EDGE_PX)
    binned = np.empty([max(1, edge // factor) for edge in found.shown.shape], np.float32)
    for _ in _bin_into(binned, found.shown, factor):
        yield None
    # The levels have to be exact multiples: napari takes the scale from their shapes.
    whole = found.shown[tuple(slice(0, edge * factor) for edge in binned.shape)]
    yield replace(found, levels=(whole, binned))


def _with_voxel_size(found: Tomogram, extent_xyz: tuple[float, float, float] | None) -> Tomogram:
    """The voxel size of the header, or of the particles' source; a note where they disagree."""
    if extent_xyz is None:
        if found.voxel_size_angstrom > 0:
            return found
        note = f"{found.path.name} gives no voxel size: 1 Å is taken."
        return replace(found, voxel_size_angstrom=1.0, note=note)
    expected = float(np.mean(np.divide(extent_xyz[::-1], found.levels[0].shape)))
    header = found.voxel_size_angstrom
    # 1 Å is what programs write that know of none.
    if header <= 0 or (header == 1.0 and abs(expected - 1.0) > _TOLERANCE):
        note = f"{found.path.name} gives no voxel size: {expected:.3f} Å from the star file."
        return replace(found, voxel_size_angstrom=expected, note=note)
    if abs(header / expected - 1) > _TOLERANCE:
        note = (
            f"{found.path.name}: its edges are {header / expected - 1:+.0%} off those in the star "
            "file; is it the whole tomogram?"
        )
        return replace(found, note=note)
    return found


def _in_memory(data: Voxels) -> np.ndarray:
    """Read here, in the thread that opens it, so that the window need not."""
    read = np.asarray(data)
    kept = read.dtype in (np.float16, np.float32, np.uint8, np.int8, np.int16, np.uint16)
    return np.array(read, read.dtype.newbyteorder("=") if kept else np.float32)


def _bin_into(result: NDArray[np.float32], data: Voxels, factor: int) -> Iterator[None]:
    """Means of blocks of ``factor`` voxels along each edge, some sections at a time."""
    shape = result.shape
    per_section = factor * data.shape[1] * data.shape[2]
    sections = max(1, _SLAB_VOXELS // per_section)
    _, rows, columns = shape
    for start in range(0, shape[0], sections):
        stop = min(start + sections, shape[0])
        slab = data[start * factor : stop * factor, : rows * factor, : columns * factor]
        blocks = np.asarray(slab, np.float32).reshape(
            stop - start, factor, rows, factor, columns, factor
        )
        result[start:stop] = blocks.mean(axis=(1, 3, 5))
        yield None
