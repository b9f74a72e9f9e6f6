"""Features of the images of a particle, however many there are, joined into one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_tomodrgn.config import Pooling


class SetPooling(nn.Module):
    """Attention over the images of a particle: two self-attention blocks, then one learnt query."""

    def __init__(self, features: int, heads: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                features, heads, 2 * features, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.query = nn.Parameter(torch.randn(1, 1, features) / math.sqrt(features))
        self.attend = nn.MultiheadAttention(features, heads, batch_first=True)

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """``(particle, tilt, feature)``, ``(particle, tilt)`` → ``(particle, feature)``."""
        for block in self.blocks:
            features = block(features, src_key_padding_mask=~present)
        query = self.query.expand(features.shape[0], -1, -1)
        pooled: Tensor = self.attend(query, features, features, key_padding_mask=~present)[0]
        return pooled[:, 0]


class TiltPooling(nn.Module):
    """Join the features of a particle's images, however many there are.

    ``concatenate`` gives each image the place that it has in its tilt series, zeros where an image
    is missing; all others do not depend on order or number.
    """

    def __init__(self, mode: Pooling, features: int, n_tilts: int) -> None:
        super().__init__()
        self.mode = mode
        self.n_tilts = n_tilts
        self.out_features = features * n_tilts if mode == "concatenate" else features
        self.attention = SetPooling(features) if mode == "set" else None

    def forward(self, features: Tensor, present: Tensor, tilt_index: Tensor) -> Tensor:
        """Join ``(particle, tilt, feature)`` where ``present`` to ``(particle, out_features)``.

        ``tilt_index`` ``(particle, tilt)`` is the place of each image in its tilt series. Every
        particle must have an image.
        """
        there = present[..., None]
        if self.mode == "mean":
            return (features * there).sum(1) / there.sum(1)
        if self.attention is not None:
            pooled: Tensor = self.attention(features, present)
            return pooled
        if self.mode == "concatenate":
            return self._in_series(features, present, tilt_index)
        if self.mode == "max":
            return features.masked_fill(~there, -torch.inf).amax(dim=1)
        return features.masked_fill(~there, torch.nan).nanmedian(dim=1).values

    def _in_series(self, features: Tensor, present: Tensor, tilt_index: Tensor) -> Tensor:
        """Features in the order of the tilt series, ``(particle, tilt · feature)``."""
        # One place more, for what is no image, and for the tilts of a set that is embedded later
        # and has longer series than the one trained on.
        known = present & (tilt_index < self.n_tilts)
        place = torch.where(known, tilt_index, self.n_tilts)[..., None].expand_as(features)
        table = features.new_zeros((len(features), self.n_tilts + 1, features.shape[2]))
        return table.scatter(1, place, features)[:, : self.n_tilts].flatten(1)


def padded_by_particle(particle_index: Tensor, particles: int) -> tuple[Tensor, Tensor]:
    """Lay images ``(image,)`` of particles, ascending, out as ``(particle, tilt)``.

    Returns
    -------
    The image at each place, 0 where there is none, and where there is one.
    """
    counts = torch.bincount(particle_index, minlength=particles)
    first = counts.cumsum(0) - counts
    place = torch.arange(len(particle_index), device=counts.device) - first[particle_index]
    present = torch.arange(int(counts.max()), device=counts.device) < counts[:, None]
    images = torch.zeros_like(present, dtype=torch.int64)
    images[particle_index, place] = torch.arange(len(particle_index), device=counts.device)
    return images, present
