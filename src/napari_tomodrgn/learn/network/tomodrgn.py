"""The network of tomoDRGN: its Hartley decoder as a `FourierModel`, its encoder as it is.

Tensors keep tomoDRGN's names in the run; this is the one place that knows what they mean here:

    decoder.freqs (3P, 3)                 features [sin Bk, cos Bk], no 2π
    decoder.decoder.main.0[.linear]       columns :6P of the features, 6P: of the latent
    ….main.{2, 4, …}.linear               x + Linear(x)
    ….main.{2 (L + 1)}                    o₀, o₁; its value is h(k) = o₀ − o₁
    encoder.encoder_a, encoder.encoder_b  the same kind of network for an image, for a particle

A layer named ``linear`` is residual: tomoDRGN makes the first and the last one so as well where
their widths agree. It asks its decoder at k and −k independently; the two values are those of a
Hartley transform, so F(k) = (h(k) + h(−k)) / 2 + i (h(−k) − h(k)) / 2 of a real map.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.network.fast_linear import as_rows, dense
from napari_tomodrgn.learn.network.model import ResidualMlp
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.runtime.tensors import read_tensors

if TYPE_CHECKING:
    from napari_tomodrgn.learn.network.tomodrgn_settings import TomodrgnNetwork

# Of the pixels of its lattice, (D + 1)², that tomoDRGN's encoder sees; kept with the weights.
ENCODER_MASK = "encoder.mask"
FREQUENCIES = "decoder.freqs"
_Made = TypeVar("_Made", bound=nn.Module)
_DECODER = "decoder.decoder.main"
_IMAGE_ENCODER, _PARTICLE_ENCODER = "encoder.encoder_a.main", "encoder.encoder_b.main"


class HartleyDecoder(nn.Module):
    """``F(k, z)`` of a decoder of tomoDRGN.

    Parameters
    ----------
    tensors
        Weights under tomoDRGN's names.
    network
        What they do not show.
    """

    frequencies: Tensor

    def __init__(self, tensors: dict[str, Tensor], network: TomodrgnNetwork) -> None:
        super().__init__()
        layers = _layers(tensors, _DECODER)
        weight, bias = layers[0].whole()
        # Its lattice ends at `extent`, ours at half a cycle per pixel.
        self.register_buffer("frequencies", tensors[FREQUENCIES] * (network.extent / 0.5))
        features = 2 * len(self.frequencies)
        if weight.shape[1] <= features:
            raise ValueError(f"{weight.shape[1]} inputs cannot hold {features} features and z")
        self.latent_dim = weight.shape[1] - features
        self.network = _network(layers, network.activation, features)
        self.latent = nn.utils.skip_init(nn.Linear, self.latent_dim, len(weight), bias=False)
        with torch.no_grad():
            self.network.first.weight.copy_(weight[:, :features])
            self.network.first.bias.copy_(bias)
            self.latent.weight.copy_(weight[:, features:])

    def forward(self, frequencies: Tensor, z: Tensor, particle_index: Tensor) -> Tensor:
        """Complex ``(point,)`` amplitudes; arguments as `learn.network.model.Decoder` has them."""
        return self.evaluate(self.prepare(frequencies), z, particle_index)

    def prepare(self, frequencies: Tensor) -> Tensor:
        """Run the first layer at k and then at −k, without what the latent adds.

        ``(point, 3)`` frequencies in cycles per pixel → ``(2 point + padding, hidden)``, or pixels.
        """
        angles = frequencies @ self.frequencies.T
        sine, cosine = angles.sin(), angles.cos()
        features = torch.cat([torch.cat([sine, cosine], 1), torch.cat([-sine, cosine], 1)])
        added = self.network.padding_of(len(features), features.device)
        rows = self.network.as_pixels(functional.pad(features, (0, 0, 0, added)))
        return dense(rows, self.network.first.weight, self.network.first.bias)

    prepare_voxels = prepare  # no maps in it: a voxel is a point like any other

    def evaluate(self, prepared: Tensor, z: Tensor, particle_index: Tensor) -> Tensor:
        """Evaluate amplitudes, complex ``(point,)``, at the points of `prepare`.

        The network gives Hartley values H, so F(k) = (H(k) + H(−k)) / 2 + i (H(−k) − H(k)) / 2.

        Parameters
        ----------
        prepared
            Of `prepare`.
        z
            ``(particle, latent)``.
        particle_index
            ``(point,)`` which row of ``z`` each point belongs to.
        """
        latent: Tensor = self.latent(z)
        if len(z) == 1:
            hidden = prepared + latent.view(1, -1, *[1] * (prepared.ndim - 2))
        else:
            rows = as_rows(prepared)
            both = functional.pad(
                particle_index.repeat(2), (0, len(rows) - 2 * len(particle_index))
            )
            hidden = rows + latent[both]
        outputs = self.network.after_first(hidden)[: 2 * len(particle_index)].float()
        here, opposite = (outputs[:, 0] - outputs[:, 1]).split(len(particle_index))
        return torch.complex((here + opposite) / 2, (opposite - here) / 2)


class HartleyEncoder(nn.Module):
    """Hartley pixels of a particle's images → posterior of its latent, as tomoDRGN finds it."""

    mask: Tensor

    def __init__(self, tensors: dict[str, Tensor], network: TomodrgnNetwork) -> None:
        super().__init__()
        self.register_buffer("mask", tensors[ENCODER_MASK].bool())
        self.image = _network(_layers(tensors, _IMAGE_ENCODER), network.activation)
        self.particle = _network(_layers(tensors, _PARTICLE_ENCODER), network.activation)
        self.activation = nn.ReLU() if network.activation == "relu" else nn.LeakyReLU()
        self.pooling = network.pooling

    def forward(self, pixels: Tensor, counts: list[int]) -> Posterior:
        """Posteriors of particles.

        Parameters
        ----------
        pixels
            ``(image, point)`` Hartley values inside the mask, images of a particle together.
        counts
            How many of them each particle has.
        """
        pooled = torch.stack([self._pool(part) for part in self.image(pixels).split(counts)])
        mu, logvar = self.particle(self.activation(pooled)).float().chunk(2, dim=-1)
        return Posterior(mu, logvar)

    def _pool(self, features: Tensor) -> Tensor:
        if self.pooling == "max":
            return features.amax(dim=0)
        if self.pooling == "median":  # between the two middle ones where their number is even
            return features.quantile(0.5, dim=0)
        return features.mean(dim=0)


def read_decoder(path: Path, network: TomodrgnNetwork) -> HartleyDecoder:
    """The decoder of a checkpoint of an imported run.

    Raises
    ------
    BadInputError
        If the file is absent or damaged, or of another network.
    """
    return _made(HartleyDecoder, path, network)


def read_encoder(path: Path, network: TomodrgnNetwork) -> HartleyEncoder:
    """The encoder of a checkpoint of an imported run; raises as `read_decoder` does."""
    return _made(HartleyEncoder, path, network)


def _made(kind: type[_Made], path: Path, network: TomodrgnNetwork) -> _Made:
    tensors, _ = read_tensors(path)
    try:
        made = kind(tensors, network)
    except (KeyError, ValueError, RuntimeError) as error:
        raise BadInputError(
            f"{path}: not a network of tomoDRGN as this version knows it ({error}).",
            code="bad-checkpoint",
        ) from error
    return made.eval().requires_grad_(requires_grad=False)


class _Layer:
    """One linear layer under tomoDRGN's names."""

    def __init__(self, tensors: dict[str, Tensor], name: str) -> None:
        self.residual = f"{name}.linear.weight" in tensors
        stem = f"{name}.linear" if self.residual else name
        self.weight, self.bias = tensors[f"{stem}.weight"], tensors[f"{stem}.bias"]

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weight ``(out, in)`` and bias, with the identity in it where the layer is residual."""
        if not self.residual:
            return self.weight, self.bias
        return self.weight + torch.eye(len(self.weight)), self.bias


def _layers(tensors: dict[str, Tensor], prefix: str) -> list[_Layer]:
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)(\.linear)?\.weight")
    numbers = sorted(int(match[1]) for name in tensors if (match := pattern.fullmatch(name)))
    if len(numbers) < 2:
        raise ValueError(f"no layers {prefix}.0 …")
    return [_Layer(tensors, f"{prefix}.{number}") for number in numbers]


def _network(layers: list[_Layer], activation: str, inputs: int | None = None) -> ResidualMlp:
    """The network of these layers; the first one is left empty where ``inputs`` says its width."""
    first, *hidden, last = layers
    if not all(layer.residual for layer in hidden):
        raise ValueError("a hidden layer without a skip")
    sizes = (inputs or first.weight.shape[1], len(first.weight), len(last.weight))
    with torch.random.fork_rng(devices=[]):  # nn.Linear draws initial weights
        made = ResidualMlp(sizes, len(hidden), activation)
    given = 1 if inputs else 0
    if last.residual != (len(last.weight) == len(first.weight)):
        raise ValueError("a last layer with a skip of another kind")
    own = [made.first, *made.hidden, made.last]
    with torch.no_grad():
        for target, layer in zip(own[given:], layers[given:], strict=True):
            assert isinstance(target, nn.Linear)
            target.weight.copy_(layer.weight)
            target.bias.copy_(layer.bias)
    return made
