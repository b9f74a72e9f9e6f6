"""The linear decoder: a map is the mean plus a weighted sum of components."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.linear.fourier_ball import make_ball, sphere
from napari_tomodrgn.learn.linear.linear_model import LinearModel
from napari_tomodrgn.learn.runtime.tensors import load_tensors
from napari_tomodrgn.physics.fourier import (
    GridCorners,
    grid_corners,
    gridding,
    read_corners,
    transform_table,
    transform_volume,
    volume_from_transform,
    voxel_table,
)
from napari_tomodrgn.physics.lattice import conjugate_where, into_half_space

# Padding of the maps before they are read between the voxels of their transform.
OVERSAMPLING = 2


class LinearDecoder(nn.Module):
    """``F(k, z) = F_0(k) + Σ_j z_j F_j(k)``, the interface of `FourierModel`.

    Parameters
    ----------
    maps
        ``(1 + component, n, n, n)`` real maps zyx over the field of view of the training box,
        whose transforms have the amplitudes of the training images; the mean comes first.
    radius_px
        Fourier pixels up to which they hold signal; a soft edge of one pixel follows.
    box_size_px
        Of the training images.
    """

    maps: Tensor
    limits: Tensor
    table: Tensor
    voxels: Tensor | None

    def __init__(self, maps: Tensor, radius_px: float, box_size_px: int) -> None:
        super().__init__()
        self.register_buffer("maps", maps.contiguous())
        self._radius_px, self._box_size_px = radius_px, box_size_px
        self.register_buffer("limits", torch.tensor([radius_px, box_size_px], device=maps.device))
        table = transform_table(maps, OVERSAMPLING)
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("voxels", None, persistent=False)  # made when it is first asked for

    @classmethod
    def from_model(cls, model: LinearModel, box_size_px: int) -> LinearDecoder:
        """The decoder of a fitted model."""
        if model.ball.oversampling != 1:
            raise ValueError("maps are read from grids of one voxel a Fourier pixel")
        size = model.ball.support.shape[0]
        # Reading between voxels has dimmed what the voxels say: take it as the samples saw it.
        dimming = gridding(size, 1, model.basis.device)
        # What is nuisance to the latents is no part of what they decode to.
        shown = model.basis[..., : 1 + model.groups[0].stop]
        grids = model.ball.on_grid(shown)
        maps = torch.stack([volume_from_transform(grid) * dimming for grid in grids])
        return cls(maps, model.ball.radius_px, box_size_px)

    @classmethod
    def read(cls, path: Path) -> LinearDecoder:
        """The decoder in a checkpoint.

        Raises
        ------
        BadInputError
            If the file is absent, damaged or of another method.
        """
        try:
            tensors, _ = load_tensors(path)
            radius, box = tensors["limits"].tolist()
            return cls(tensors["maps"], radius, int(box))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BadInputError(
                f"{path}: cannot be read as a basis of the linear method ({error}).",
                code="bad-checkpoint",
            ) from error

    def without_mean(self, most: int) -> LinearDecoder:
        """The decoder of its first components alone, at ``most`` so many; the mean is 0."""
        maps = self.maps[: 1 + most].clone()
        maps[0] = 0
        radius, box = self.limits.tolist()
        return LinearDecoder(maps, radius, int(box))

    @property
    def transforms(self) -> Tensor:
        """Complex ``(1 + component, 2 n, 2 n, n + 1)`` transforms of the maps, padded twice."""
        size = OVERSAMPLING * self.maps.shape[-1]
        values = torch.view_as_complex(self.table.unflatten(1, (-1, 2)))
        return values.T.reshape(-1, size, size, size // 2 + 1)

    @property
    def components(self) -> int:
        """Length of a latent."""
        return int(self.maps.shape[0]) - 1

    def forward(self, frequencies: Tensor, z: Tensor, particle_index: Tensor) -> Tensor:
        """Amplitudes at ``(point, 3)`` frequencies in cycles per pixel, as `FourierModel`."""
        return self.evaluate(self.prepare(frequencies), z, particle_index)

    def prepare(self, frequencies: Tensor) -> Tensor:
        """Complex ``(point, 1 + component)``: the mean and the components at the points."""
        inside, mirrored = into_half_space(frequencies)
        corners = grid_corners(inside * (OVERSAMPLING * self._box_size_px))
        return conjugate_where(self.in_half_space(inside, corners), mirrored[:, None])

    def in_half_space(self, frequencies: Tensor, corners: GridCorners) -> Tensor:
        """Do the same at ``(point, 3)`` frequencies with kx ≥ 0.

        ``corners`` are those of a grid of `OVERSAMPLING` times the training box.
        """
        found = read_corners(self.table, OVERSAMPLING * self.maps.shape[-1], corners)
        return found * self._edge(frequencies)

    def prepare_voxels(self, frequencies: Tensor) -> Tensor:
        """`prepare` at ``(point, 3)`` frequencies that are voxels of the training box's transform.

        Read there as the maps are, without what corrects for reading between voxels.
        """
        inside, mirrored = into_half_space(frequencies)
        return conjugate_where(self.at_voxels(inside), mirrored[:, None])

    def at_voxels(self, frequencies: Tensor) -> Tensor:
        """The same in the half-space, ``(point, 3)`` with kx ≥ 0."""
        if self.voxels is None:
            self.voxels = voxel_table(self.maps)
        corners = grid_corners(frequencies * self._box_size_px)
        return read_corners(self.voxels, self.maps.shape[-1], corners) * self._edge(frequencies)

    def _edge(self, frequencies: Tensor) -> Tensor:
        """``(point, 1)`` soft edge of what the maps hold."""
        radius_px = frequencies.norm(dim=-1, keepdim=True) * self._box_size_px
        edge: Tensor = (self._radius_px + 1 - radius_px).clamp(0, 1)
        return edge

    def evaluate(self, prepared: Tensor, z: Tensor, particle_index: Tensor) -> Tensor:
        """Evaluate complex ``(point,)`` amplitudes for latents ``(particle, latent)``."""
        if len(z) == 1:
            weighted: Tensor = prepared[:, 1:] @ z[0].to(prepared.dtype)
        else:
            weighted = (prepared[:, 1:] * z[particle_index]).sum(-1)
        return prepared[:, 0] + weighted

    def basis_volumes(self, box_size_px: int, *, with_level: bool = False) -> Tensor:
        """``(1 + component, box, box, box)`` maps: any particle's map is their weighted sum.

        Density per voxel of the training box, whatever ``box_size_px``, as
        `learn.decoding.volume_decoder.VolumeDecoder` gives it for a scale of 1: without their mean
        values, unless ``with_level``. Transforms of maps without are wrong between the voxels.
        """
        radius, box = self.limits.tolist()
        size = self.maps.shape[-1]
        wide = max(size, box_size_px)
        axis = torch.fft.fftfreq(size, 1 / size, device=self.maps.device)
        half = torch.arange(size // 2 + 1, device=axis.device)
        distance = torch.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + half**2)
        # What `learn.decoding.volume_decoder.VolumeDecoder` asks for, and nothing beyond.
        seen = distance < min(box_size_px, box) / 2
        seen[0, 0, 0] = with_level
        factor = (radius + 1 - distance).clamp(0, 1) * seen
        middle = wide // 2 - box_size_px // 2
        keep = slice(middle, middle + box_size_px)
        start = wide // 2 - size // 2
        volumes = []
        for one in self.maps:
            spectrum = torch.fft.fftshift(transform_volume(one) * factor, dim=(0, 1))
            grid = spectrum.new_zeros((wide, wide, wide // 2 + 1))
            grid[start : start + size, start : start + size, : size // 2] = spectrum[..., :-1]
            small = torch.fft.ifftshift(grid[keep, keep, : box_size_px // 2 + 1], dim=(0, 1))
            volumes.append(volume_from_transform(small) * (box_size_px / box) ** 3)
        return torch.stack(volumes)


def save_linear_model(path: Path, model: LinearModel, decoder: LinearDecoder) -> None:
    """Write a checkpoint of the linear method: maps to decode from, and what posteriors need."""
    tensors = {
        **decoder.state_dict(),
        "basis": model.basis,
        "noise": model.noise,
        # The decoder's maps may go further than what latents are inferred from.
        "radius": torch.tensor([model.ball.radius_px]),
        "share": torch.tensor([model.share], dtype=torch.float64),
    }
    if model.focus is not None:
        tensors["focus"] = torch.tensor([model.focus])
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with written_atomically(path) as temporary:
        save_file(tensors, temporary)


def read_linear_model(path: Path, device: torch.device | str = "cpu") -> LinearModel:
    """The model of such a checkpoint, for posteriors: its prior is not kept.

    Raises
    ------
    BadInputError
        If the file is absent, damaged, or of a version that did not store it.
    """
    try:
        tensors, _ = load_tensors(path)
        radius = int(tensors["radius" if "radius" in tensors else "limits"][0])
        basis, noise = tensors["basis"].to(device), tensors["noise"].to(device)
        share = float(tensors["share"])
        focus = int(tensors["focus"]) if "focus" in tensors else None
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BadInputError(
            f"{path}: holds no fit of the linear method ({error}).",
            remedy="Train the run again with this version.",
            code="bad-checkpoint",
        ) from error
    ball = make_ball(radius, support=sphere(1.0), device=device)
    prior = torch.ones((len(noise), basis.shape[2]), device=noise.device)
    return LinearModel(ball, basis, basis, noise, prior, share, focus=focus)
