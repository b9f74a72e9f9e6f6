"""Surfaces of the particles of a tomogram, made in a thread, nearest first.

Every particle first gets the surface of its category's mean map; those nearest to what is looked at
then get that of their own map, some at a time. Maps are kept as half floats in bounded memory: a
box of 32 takes 64 KiB and its surface about 30 KiB, so 5,000 different maps take some 450 MiB of
the `KEPT_BYTES`; what was not asked for the longest is decoded again when it is wanted.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.tomogram.layers import ENTRIES, Chunk
from napari_tomodrgn.gui.volumes.decoding_service import DecoderCache

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.tomogram.meshes import Mesh
    from napari_tomodrgn.analysis.tomogram.placement import Poses
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
    from napari_tomodrgn.learn.run.directory import Run

KEPT_BYTES = 512 * 2**20
# Box that particles in place are decoded in: finer detail is smaller than a pixel of the screen.
BOX = 32
# A surface with many triangles takes the window a while to take over: not too often.
_SECONDS_BETWEEN_SURFACES = 2.0
# The window takes over so many vertices in some 50 ms, for which it stands still.
_VERTICES_PER_SURFACE = 110_000
_NEGATE_Y = np.array([1.0, -1.0, 1.0], np.float32)

Key = tuple[str, int, str]


@dataclass(frozen=True, eq=False)
class SurfaceRequest:
    """What is to be drawn.

    Attributes
    ----------
    run, epoch
        Whose decoder.
    poses
        Of the tomogram.
    latents
        ``(particle, latent)`` of the particles of ``poses``; NaN where there is none.
    classes
        Category of each, −1 for none.
    class_latents
        ``(category, latent)``; the last is the mean of all, for those of no category.
    surfaces
        Rows to be drawn as surfaces, nearest first.
    own
        How many of these, from the first, get their own map.
    sigma
        Contour.
    """

    run: Run
    epoch: int
    poses: Poses
    latents: NDArray[np.float32]
    classes: NDArray[np.int64]
    class_latents: NDArray[np.float32]
    surfaces: NDArray[np.int64]
    own: int
    sigma: float


@dataclass(frozen=True, eq=False)
class SurfaceReady:
    """A merged surface is ready: number ``number`` of ``count``; ``own`` maps are in so far."""

    number: int
    count: int
    chunk: Chunk
    own: int
    wanted: int


class MapCache:
    """Maps and their surfaces by key, the last used first to stay; for one thread."""

    def __init__(self, limit_bytes: int = KEPT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._maps: OrderedDict[Key, tuple[NDArray[np.float16], float]] = OrderedDict()
        self._meshes: dict[Key, tuple[tuple[float, int], Mesh]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        """Return the number of maps that are kept."""
        return len(self._maps)

    def mesh(self, key: Key, look: tuple[float, int], decode: Callable[[], Volume]) -> Mesh:
        """The surface of a map at ``look`` (σ, step), decoded only if it is not kept."""
        from napari_tomodrgn.analysis.tomogram.meshes import contour
        from napari_tomodrgn.data.volume import Volume

        kept = self._meshes.get(key)
        if kept is not None and kept[0] == look:
            self._maps.move_to_end(key)
            return kept[1]
        if key in self._maps:
            data, voxel = self._maps[key]
            volume = Volume(data.astype(np.float32), voxel)
        else:
            volume = decode()
        made = contour(volume, *look)
        self._keep(key, volume, (look, made))
        return made

    def _keep(self, key: Key, volume: Volume, mesh: tuple[tuple[float, int], Mesh]) -> None:
        self._forget(key)
        # Half floats end at 65,504: maps are kept in units of their largest value.
        self._maps[key] = (_halved(volume.data), volume.voxel_size_angstrom)
        self._meshes[key] = mesh
        self.bytes += self._bytes(key)
        while self.bytes > self.limit_bytes and len(self._maps) > 1:
            self._forget(next(iter(self._maps)))

    def _forget(self, key: Key) -> None:
        if key in self._maps:
            self.bytes -= self._bytes(key)
            del self._maps[key], self._meshes[key]

    def _bytes(self, key: Key) -> int:
        mesh = self._meshes[key][1]
        arrays = (self._maps[key][0], mesh.vertices_zyx_angstrom, mesh.faces, mesh.values)
        return sum(array.nbytes for array in arrays)


class SurfaceBuilder(Work):
    """Makes what a `SurfaceRequest` asks for; `queue.item` hands over `SurfaceReady`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.queue = LatestTask(self, computes=True)
        self.store = MapCache()
        self._decoders = DecoderCache()

    def request(self, request: SurfaceRequest) -> None:
        """Make this instead of what was asked before."""
        self.queue.request(lambda: self.steps(request))

    def steps(self, request: SurfaceRequest) -> Iterator[SurfaceReady | None]:
        """Merged surfaces as they are ready: first of the categories, then of particles."""
        from napari_tomodrgn.analysis.tomogram.meshes import step_within_budget

        decoder = self._decoders.of(request.run, request.epoch)
        yield None
        box = min(BOX, decoder.box_size_px)
        look = (request.sigma, step_within_budget(box, len(request.surfaces)))
        where = (request.run.maps_key, request.epoch)
        shapes: dict[int, Mesh] = {}  # by row
        by_class: dict[int, Mesh] = {}
        for category in sorted(set(request.classes[request.surfaces].tolist())):
            z = request.class_latents[category]
            # Not kept: the same name stands for other particles when columns change.
            by_class[category] = _contoured(decoder, z, box, look)
            yield None
        for row in request.surfaces.tolist():
            shapes[row] = by_class[int(request.classes[row])]
        sizes = [len(mesh.vertices_zyx_angstrom) for mesh in by_class.values()]
        per = particles_per_surface(float(np.mean(sizes)))
        parts = [request.surfaces[at : at + per] for at in range(0, len(request.surfaces), per)]
        for number in range(len(parts)):
            yield SurfaceReady(
                number, len(parts), merged(parts[number], shapes, request.poses), 0, request.own
            )
        told, changed = time.monotonic(), set()
        for done, row in enumerate(request.surfaces[: request.own].tolist(), start=1):
            z, key = request.latents[row], (*where, request.poses.ids[row])
            if np.isfinite(z).all():
                shapes[row] = self.store.mesh(key, look, partial(decoder.decode, z, box))
                changed.add((done - 1) // per)
            yield None
            if time.monotonic() - told > _SECONDS_BETWEEN_SURFACES or done == request.own:
                for number in sorted(changed):
                    chunk = merged(parts[number], shapes, request.poses)
                    yield SurfaceReady(number, len(parts), chunk, done, request.own)
                told, changed = time.monotonic(), set()


def merged(rows: NDArray[np.int64], shapes: dict[int, Mesh], poses: Poses) -> Chunk:
    """Merge the surfaces of some particles at their poses, as the layer takes them.

    Parameters
    ----------
    rows
        ``(row,)`` of ``poses``.
    shapes
        The surface of each of these rows, from the centre of its map.
    poses
        Of the tomogram's particles.
    """
    from napari_tomodrgn.analysis.tomogram.meshes import merge

    mesh = merge([shapes[row] for row in rows.tolist()], [poses[row] for row in rows.tolist()])
    return Chunk(rows, mesh.vertices_zyx_angstrom * _NEGATE_Y, mesh.faces, mesh.values)


def particles_per_surface(vertices: float) -> int:
    """How many particles of so many vertices are merged into one surface."""
    return int(np.clip(_VERTICES_PER_SURFACE / max(vertices, 1.0), 16, ENTRIES))


def _contoured(
    decoder: VolumeDecoder, z: NDArray[np.float32], box: int, look: tuple[float, int]
) -> Mesh:
    from napari_tomodrgn.analysis.tomogram.meshes import contour

    return contour(decoder.decode(z, box), *look)


def _halved(data: NDArray[np.float32]) -> NDArray[np.float16]:
    largest = float(np.abs(data).max())
    return (data / (largest or 1.0)).astype(np.float16)
