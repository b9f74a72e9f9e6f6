"""Latents → maps. Any box, any number, in chunks, so that a caller can stop between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.decoding.class_filter import ClassFilter, factors_at
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.reconstruction.solvent import solvent_at_zero
from napari_tomodrgn.physics.fourier import volume_from_transform

# Frequencies evaluated at a time: bounds memory, and how long a stopped caller waits; on a CPU so
# few that activations stay in its cache.
_POINTS_AT_A_TIME = {"cpu": 1 << 12, "cuda": 1 << 18, "mps": 1 << 16}
# What is kept between maps because it depends on no latent: boxes, and bytes of all of them.
_KEPT_BOXES = 2
_KEPT_BYTES = 256 * 2**20
# Box of coarse answers: the first one of `VolumeDecoder.progressive`, and `preview_basis`.
PREVIEW_BOX = 32


class FourierModel(Protocol):
    """A function ``F(k, z)``: `learn.network.model.Decoder`, or any other on the same points."""

    def __call__(self, frequencies: Tensor, z: Tensor, particle_index: Tensor) -> Tensor:
        """Complex ``(point,)`` amplitudes at ``(point, 3)`` frequencies in cycles per pixel."""
        ...


@runtime_checkable
class PreparedModel(Protocol):
    """A `FourierModel` in two steps, the first of which depends on no latent."""

    def prepare_voxels(self, frequencies: Tensor) -> Any:
        """What to keep of ``(point, 3)`` frequencies that are voxels of the box's transform.

        Maps that a model adds to are read there otherwise than between voxels.
        """
        ...

    def evaluate(self, prepared: Any, z: Tensor, particle_index: Tensor) -> Tensor:
        """Complex ``(point,)`` amplitudes there."""
        ...


@dataclass(frozen=True, eq=False)
class _Grid:
    """Frequencies of a box, their places in its flat transform, and what is kept of each part.

    ``middle`` are amplitudes of latent 0, ``shell`` ``(point,)`` Fourier pixels from the origin.
    """

    frequencies: Tensor
    places: Tensor
    shell: Tensor
    prepared: dict[int, Any]
    middle: dict[int, Tensor]


class VolumeDecoder:
    """Turns latents into maps in Å, density positive, solvent at 0.

    Parameters
    ----------
    model
        ``F(k, z)`` in scaled units, frequencies in cycles per pixel of the training box. Its
        weights must not change any more.
    box_size_px, pixel_size_angstrom
        Of the training images.
    latent_dim
        Length of a latent.
    scale
        Factor from the model's units to those of the images' transform.
    device
        Where the model is.
    """

    def __init__(
        self,
        model: FourierModel,
        *,
        box_size_px: int,
        pixel_size_angstrom: float,
        latent_dim: int,
        scale: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.box_size_px = box_size_px
        self.pixel_size_angstrom = pixel_size_angstrom
        self.latent_dim = latent_dim
        self._model = model
        self._scale = scale
        self._device = torch.device(device)
        self._shell_filter: Sequence[float] | None = None
        self._class_filters: Sequence[ClassFilter] = ()
        self._grids: OrderedDict[int, _Grid] = OrderedDict()

    def with_shell_filter(
        self, factors: Sequence[float], classes: Sequence[ClassFilter] = ()
    ) -> VolumeDecoder:
        """The same decoder, of maps that differ less from that of latent 0.

        ``factors`` ``(shell,)``, by Fourier pixels of the training box from 0 on, are what their
        difference is multiplied with; where there are ``classes``, those of the class at a latent.
        """
        other = copy(self)
        other._shell_filter, other._grids = tuple(factors), OrderedDict()
        other._class_filters = tuple(classes)
        return other

    @property
    def is_affine(self) -> bool:
        """Whether a map is a mean plus a weighted sum, with z as the weights."""
        return isinstance(self._model, LinearDecoder) and not self._class_filters

    def decode(
        self,
        z: ArrayLike,
        box_size_px: int | None = None,
        lowpass_angstrom: float | None = None,
    ) -> Volume:
        """One map.

        Parameters
        ----------
        z
            ``(latent,)``.
        box_size_px
            Even; the training box if None. The field of view stays, so a smaller box has larger
            voxels, and a larger one finer voxels with no more detail.
        lowpass_angstrom
            Resolution beyond which the map is cut, with a soft edge two Fourier pixels wide.
        """
        volumes = self.decode_steps(z, box_size_px, lowpass_angstrom)
        return next(volume for volume in volumes if volume is not None)

    def decode_steps(
        self,
        z: ArrayLike,
        box_size_px: int | None = None,
        lowpass_angstrom: float | None = None,
    ) -> Iterator[Volume | None]:
        """Decode a latent ``(latent,)`` in steps: yield None until it is done, then the map."""
        latent = self._latent(z)
        box = box_size_px or self.box_size_px
        if box % 2 or box < 4:
            raise ValueError(f"box must be even and at least 4, got {box}")
        grid = self._grid(box)
        amplitudes = torch.empty(len(grid.places), dtype=torch.complex64, device=self._device)
        size = _POINTS_AT_A_TIME[self._device.type]
        factors = self._factors(grid, latent[0])
        for start in range(0, len(amplitudes), size):
            with torch.inference_mode():
                amplitudes[start : start + size] = self._filtered(
                    grid, start, size, latent, factors
                )
            yield None
        if lowpass_angstrom is not None:
            amplitudes *= self._lowpass(grid.frequencies, lowpass_angstrom)
        yield self._volume(amplitudes, grid.places, box)

    def decode_many(
        self,
        latents: ArrayLike,
        box_size_px: int | None = None,
        lowpass_angstrom: float | None = None,
    ) -> Iterator[Volume]:
        """Maps of ``(map, latent)`` latents, one after the other."""
        for z in np.asarray(latents, dtype=np.float32).reshape(-1, self.latent_dim):
            yield self.decode(z, box_size_px, lowpass_angstrom)

    def progressive(
        self, z: ArrayLike, lowpass_angstrom: float | None = None
    ) -> Iterator[Volume | None]:
        """Decode a coarse map, then the full one, of ``(latent,)``; None in between, to stop at."""
        if self.box_size_px > PREVIEW_BOX:
            yield from self.decode_steps(z, PREVIEW_BOX, lowpass_angstrom)
        yield from self.decode_steps(z, None, lowpass_angstrom)

    def _latent(self, z: ArrayLike) -> Tensor:
        latent = torch.tensor(np.asarray(z, dtype=np.float32).tolist(), device=self._device)
        if latent.shape != (self.latent_dim,):
            raise ValueError(f"a latent has {self.latent_dim} numbers, got {tuple(latent.shape)}")
        return latent[None]

    def _filtered(
        self, grid: _Grid, start: int, size: int, latent: Tensor, factors: Tensor | None
    ) -> Tensor:
        """Amplitudes at a part of a grid, as far from those of latent 0 as the filter lets them."""
        found = self._evaluate(grid, start, size, latent)
        if factors is None:
            return found
        middle = grid.middle.get(start)
        if middle is None:  # once: it depends on no latent
            middle = self._evaluate(grid, start, size, latent * 0)
            grid.middle[start] = middle
        return middle + factors[start : start + size] * (found - middle)

    def _evaluate(self, grid: _Grid, start: int, size: int, latent: Tensor) -> Tensor:
        """Amplitudes at a part of a grid."""
        frequencies = grid.frequencies[start : start + size]
        particle_index = torch.zeros(len(frequencies), dtype=torch.int64, device=self._device)
        if not isinstance(self._model, PreparedModel):
            return self._model(frequencies, latent, particle_index)
        prepared = grid.prepared.get(start)
        if prepared is None:
            prepared = self._model.prepare_voxels(frequencies)
            if self._kept_bytes() < _KEPT_BYTES:
                grid.prepared[start] = prepared
        return self._model.evaluate(prepared, latent, particle_index)

    def _kept_bytes(self) -> int:
        """Of all that may be kept or not: what the filter needs is little, and always kept."""
        return sum(_bytes(part) for grid in self._grids.values() for part in grid.prepared.values())

    def _grid(self, box: int) -> _Grid:
        """Frequencies of the half-space within Nyquist of both boxes, and where they stand."""
        if box in self._grids:
            self._grids.move_to_end(box)
            return self._grids[box]
        axis = torch.fft.fftfreq(box, 1 / box, device=self._device)
        half = torch.arange(box // 2 + 1, device=self._device, dtype=axis.dtype)
        radius2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + half[None, None, :] ** 2
        limit = min(box, self.box_size_px) / 2
        z, y, x = torch.nonzero((radius2 < limit**2) & (radius2 > 0), as_tuple=True)
        frequencies = torch.stack([half[x], axis[y], axis[z]], dim=-1) / self.box_size_px
        shell = frequencies.norm(dim=-1) * self.box_size_px
        grid = _Grid(frequencies, (z * box + y) * len(half) + x, shell, {}, {})
        self._grids[box] = grid
        if len(self._grids) > _KEPT_BOXES:
            self._grids.popitem(last=False)
        return grid

    def _factors(self, grid: _Grid, z: Tensor) -> Tensor | None:
        """The shell filter at a latent, between shells in a straight line: ``(point,)``."""
        if self._shell_filter is None:
            return None
        table = torch.tensor(self._shell_filter, dtype=torch.float32, device=self._device)
        if self._class_filters:
            table = factors_at(self._class_filters, z)
        radius = grid.shell.clamp(max=len(table) - 1)
        inner = radius.floor().long()
        outer = (inner + 1).clamp(max=len(table) - 1)
        return torch.lerp(table[inner], table[outer], radius - inner)

    def _lowpass(self, frequencies: Tensor, lowpass_angstrom: float) -> Tensor:
        cut = self.pixel_size_angstrom / lowpass_angstrom
        edge = 2 / self.box_size_px
        radius: Tensor = frequencies.norm(dim=-1)
        return ((cut + edge / 2 - radius) / edge).clamp(0, 1)

    def _volume(self, amplitudes: Tensor, places: Tensor, box: int) -> Volume:
        shape = (box, box, box // 2 + 1)
        transform = torch.zeros(shape, dtype=torch.complex64, device=self._device)
        transform.view(-1)[places] = amplitudes
        # Density per voxel of the training box, whatever the box of the map.
        factor = self._scale * (box / self.box_size_px) ** 3
        data = (volume_from_transform(transform) * factor).cpu().numpy()
        voxel = self.pixel_size_angstrom * self.box_size_px / box
        return Volume(solvent_at_zero(data), voxel)


def _bytes(prepared: Any) -> int:
    parts = [prepared] if isinstance(prepared, Tensor) else vars(prepared).values()
    return sum(part.nbytes for part in parts if isinstance(part, Tensor))
