"""Alignments of Warp and M: the XML of a tilt series.

::

    a = AxisAngle      t = −(Angles + LevelAngleY)      b = LevelAngleX      s = AxisOffset, Å

and then the movement grids, cubic splines over the image and the tilts, are subtracted. Levels
left out move particles by 29 Å in the mean on a real series, movement grids by 4 Å. M's angle
grids turn what is seen, ``Rz Ry Rx · P``, not where it is; they are applied where they are the same
for a whole tilt. ``AreAnglesInverted`` turns the sign of the depth alone.
"""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments.common import AlignmentInput, check_count
from napari_tomodrgn.extract.geometry import (
    LocalMotion,
    TiltGeometry,
    centre_index,
    tilt_rotations,
)
from napari_tomodrgn.extract.text_files import parse_number, read_bytes

FloatArray = NDArray[np.float64]
# Warps of the volume are not applied; they, and differences of angles in a tilt, may be so large.
_SMALL_WARP_ANGSTROM = 1.0
_SMALL_ANGLE_DEG = 0.05
_MOST_NODES = 1 << 22  # along a side of a grid; more is damage


@dataclass(frozen=True, eq=False)
class Grid:
    """Values on a regular grid over [0, 1]³ (x, y over the image, z over the tilts), ``(x, y, z)``.

    Between nodes it is a cubic spline with natural ends, one axis after the other.
    """

    values: FloatArray

    @property
    def trivial(self) -> bool:
        """Whether it is 0 everywhere."""
        return not self.values.any()

    def along_z(self, count: int) -> FloatArray:
        """Values in the middle of the image at ``count`` tilts."""
        z = np.linspace(0, 1, count) if count > 1 else np.zeros(1)
        return self.at(np.stack([np.full(count, 0.5), np.full(count, 0.5), z], axis=-1))

    def at(self, points: FloatArray) -> FloatArray:
        """Values at ``(point, 3)`` places in [0, 1]³."""
        x, y, z = (
            _spline_weights(points[:, axis], size) for axis, size in enumerate(self.values.shape)
        )
        return np.asarray(np.einsum("ni,nj,nk,ijk->n", x, y, z, self.values, optimize=True))

    def in_tilts(self, xy: FloatArray) -> FloatArray:
        """Values at places ``(tilt, point, 2)`` in [0, 1]² of each tilt, ``(tilt, point)``."""
        tilts = len(xy)
        z = np.linspace(0, 1, tilts) if tilts > 1 else np.zeros(1)
        planes = np.einsum("tk,ijk->tij", _spline_weights(z, self.values.shape[2]), self.values)
        x = _spline_weights(xy[..., 0].ravel(), planes.shape[1]).reshape(*xy.shape[:2], -1)
        y = _spline_weights(xy[..., 1].ravel(), planes.shape[2]).reshape(*xy.shape[:2], -1)
        return np.asarray(np.einsum("tni,tnj,tij->tn", x, y, planes))


def _spline_weights(places: FloatArray, size: int) -> FloatArray:
    """How much each node counts at each place: ``(place, node)``."""
    if size == 1:
        return np.ones((len(places), 1))
    nodes = np.linspace(0, 1, size)
    inside = np.clip(places, 0, 1)
    if size < 4:  # too few for a cubic with natural ends in scipy: through the points themselves
        return np.asarray(make_interp_spline(nodes, np.eye(size), k=size - 1)(inside))
    spline = make_interp_spline(nodes, np.eye(size), k=3, bc_type="natural")
    return np.asarray(spline(inside))


@dataclass(frozen=True, eq=False)
class WarpSeries:
    """The XML of a tilt series: attributes, lists, parameters of the CTF and grids."""

    path: Path
    root: ElementTree.Element

    def attribute(self, name: str, default: float = 0.0) -> float:
        """A number of the outermost element."""
        text = self.root.get(name)
        return default if text is None else parse_number(self.path, 1, text)

    def flag(self, name: str) -> bool:
        """Whether an attribute of the outermost element is true."""
        return self.root.get(name, "False").strip().lower() == "true"

    def words(self, name: str) -> list[str]:
        """The words of an element that is a list; none where it is absent."""
        element = self.root.find(name)
        return [] if element is None or element.text is None else element.text.split()

    def numbers(self, name: str, count: int) -> FloatArray:
        """The numbers of a list with one entry a tilt.

        Raises
        ------
        BadInputError
            If there are more or fewer, or something is no number.
        """
        words = self.words(name)
        if len(words) != count:
            raise BadInputError(
                f"{self.path}: {name} has {len(words)} values, but there are {count} tilts.",
                code="wrong-count",
            )
        return np.array([parse_number(self.path, 1, word) for word in words])

    def parameter(self, name: str) -> float | None:
        """A parameter of the CTF."""
        for element in self.root.iterfind("CTF/Param"):
            if element.get("Name") == name:
                return parse_number(self.path, 1, element.get("Value", ""))
        return None

    def grid(self, name: str) -> Grid:
        """A grid; one node of 0 where it is absent."""
        element = self.root.find(name)
        if element is None:
            return Grid(np.zeros((1, 1, 1)))
        if element.get("Duration") is not None:  # over four dimensions; told apart by being 0
            values = [parse_number(self.path, 1, node.get("Value", "")) for node in element]
            return Grid(np.array(values or [0.0]).reshape(-1, 1, 1))
        shape = [self._size(element, side) for side in ("Width", "Height", "Depth")]
        values_at = np.full(shape, np.nan)
        for node in element:
            place = tuple(int(parse_number(self.path, 1, node.get(axis, "0"))) for axis in "XYZ")
            if any(not 0 <= at < size for at, size in zip(place, shape, strict=True)):
                raise self._damaged(name, f"has a node at {place}, outside of {tuple(shape)}")
            values_at[place] = parse_number(self.path, 1, node.get("Value", ""))
        if np.isnan(values_at).any():
            raise self._damaged(name, "lacks nodes")
        return Grid(values_at)

    def _size(self, element: ElementTree.Element, side: str) -> int:
        size = int(parse_number(self.path, 1, element.get(side, "1")))
        if not 1 <= size <= _MOST_NODES:
            raise self._damaged(element.tag, f"has a {side} of {size}")
        return size

    def _damaged(self, name: str, found: str) -> BadInputError:
        return BadInputError(f"{self.path}: grid {name} {found}.", code="bad-grid")


def read_warp_series(path: Path) -> WarpSeries:
    """Parse the XML of a tilt series, in whichever encoding it says.

    Raises
    ------
    BadInputError
        If it is not well formed, defines entities, or is no tilt series.
    """
    raw = read_bytes(path)
    # An entity may refer to others until the memory is full; Warp writes none.
    if b"<!" in raw.replace(b"\0", b"").replace(b"<!--", b""):
        raise BadInputError(f"{path}: declares entities, which are not read.", code="bad-xml")
    try:
        root = ElementTree.parse(io.BytesIO(raw)).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadInputError(f"{path}: not well-formed XML ({error}).", code="bad-xml") from error
    if root.tag != "TiltSeries":
        raise BadInputError(
            f"{path}: holds <{root.tag}>, not <TiltSeries>.",
            remedy="Name the folder with the XML files of tilt series, not of movies.",
            code="not-tilt-series",
        )
    return WarpSeries(path, root)


def read_warp_xml(source: AlignmentInput) -> TiltGeometry:
    """Read the XML of a tilt series.

    Raises
    ------
    BadInputError
        If it is damaged, does not fit the stack, or warps the volume or turns particles in place
        and ``ignore_local`` is not set.
    """
    series, stack = read_warp_series(source.path), source.stack
    count = len(series.words("Angles"))
    if count == 0:
        raise BadInputError(f"{source.path}: has no Angles.", code="no-tilts")
    check_count(source.path, "tilts", count, stack)
    _refuse_unapplied(series, source.ignore_local)
    offsets = np.stack([series.numbers(f"AxisOffset{axis}", count) for axis in "XY"], axis=1)
    tilt = -(series.numbers("Angles", count) + series.attribute("LevelAngleY"))
    axis = series.numbers("AxisAngle", count)
    rotations = tilt_rotations(axis, tilt, series.attribute("LevelAngleX"))
    views = None if source.ignore_local else _own_views(series, rotations)
    # Å of the file, in the pixels that it was made with.
    pixel = stack.stated_pixel_size_angstrom
    used = used_tilts(series, count)
    return TiltGeometry(
        rotations=rotations[used],
        middle_px=(centre_index(stack.size_px, "n/2") + offsets / pixel)[used],
        sections=used,
        pixel_size_angstrom=stack.pixel_size_angstrom,
        image_size_px=stack.size_px,
        rule="n/2",
        own_views=None if views is None else views[used],
        hand=-1.0 if series.flag("AreAnglesInverted") else 1.0,
        local=None if source.ignore_local else _movement(series, stack.size_px, pixel, used, count),
    )


def used_tilts(series: WarpSeries, count: int) -> NDArray[np.int64]:
    """Tilts that are not switched off, ``(tilt,)`` ascending from 0.

    Raises
    ------
    BadInputError
        If the flags are of another number of tilts than ``count``, or all are off.
    """
    words = series.words("UseTilt") or ["True"] * count
    if len(words) != count:
        raise BadInputError(
            f"{series.path}: UseTilt has {len(words)} values, but there are {count} tilts.",
            code="wrong-count",
        )
    used = np.flatnonzero([word.lower() == "true" for word in words])
    if not len(used):
        raise BadInputError(f"{series.path}: UseTilt switches every tilt off.", code="no-tilts")
    return used


def _movement(
    series: WarpSeries,
    size_px: tuple[int, int],
    pixel_size: float,
    used: NDArray[np.int64],
    count: int,
) -> LocalMotion | None:
    x, y = (series.grid(f"GridMovement{axis}") for axis in "XY")
    if x.trivial and y.trivial:
        return None

    def motion(xy_px: FloatArray) -> FloatArray:
        whole = np.zeros((count, *xy_px.shape[1:]))
        whole[used] = xy_px / np.array(size_px, dtype=np.float64)
        both = np.stack([x.in_tilts(whole), y.in_tilts(whole)], axis=-1)
        return np.asarray(both[used] / pixel_size)

    return motion


def _own_views(series: WarpSeries, rotations: FloatArray) -> FloatArray | None:
    """The rotations with M's angles of whole tilts, if there are any."""
    grids = [series.grid(f"GridAngle{axis}") for axis in "XYZ"]
    if all(grid.trivial for grid in grids):
        return None
    x, y, z = (grid.along_z(len(rotations)) for grid in grids)
    return tilt_rotations(z, y, x) @ rotations


def _refuse_unapplied(series: WarpSeries, ignore_local: bool) -> None:
    if ignore_local:
        return
    for axis in "XYZ":
        warp = float(np.abs(series.grid(f"GridVolumeWarp{axis}").values).max())
        if warp > _SMALL_WARP_ANGSTROM:
            raise _unapplied(series, f"GridVolumeWarp{axis} reaches {warp:.2f} Å")
        angles = series.grid(f"GridAngle{axis}").values
        spread = float(np.ptp(angles, axis=(0, 1)).max())
        if spread > _SMALL_ANGLE_DEG:
            raise _unapplied(series, f"GridAngle{axis} varies by {spread:.2f}° within a tilt")


def _unapplied(series: WarpSeries, found: str) -> BadInputError:
    return BadInputError(
        f"{series.path}: {found}, which is not applied.",
        remedy="Pass --ignore-local to use the alignment without it.",
        code="local-alignment",
    )
