"""The variational autoencoder, top to bottom.

    images of a particle --(image encoder, each)--> features --(pooling over tilts)-->
        --(particle encoder)--> mu, logvar --> z --(decoder, with k)--> F(k, z), complex

The decoder is a function of frequency: ``F(k, z)`` on any set of points. It is asked only in the
half-space kx ≥ 0 and mirrored elsewhere, so that maps are real by construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from napari_tomodrgn.config import ModelConfig
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.network.fast_linear import (
    ProductTable,
    as_pixels,
    as_rows,
    default_products,
    dense,
    padding_of,
    residual,
)
from napari_tomodrgn.learn.network.pooling import TiltPooling, padded_by_particle
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.reconstruction.backprojection import OVERSAMPLING
from napari_tomodrgn.learn.reconstruction.mean_map import MeanMap
from napari_tomodrgn.physics.fourier import grid_corners
from napari_tomodrgn.physics.lattice import conjugate_where, into_half_space

# Particles of a call up to which their latents are spread over points by a product: the gradient of
# taking rows is summed row by row on a CPU, and on a GPU took 1.3 ms of a step's 2.3 (H100).
_FEW_PARTICLES = {"cpu": 32, "cuda": 256, "mps": 32}
_ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "silu": nn.SiLU}


class ResidualMlp(nn.Module):
    """Linear, then ``layers`` times x + Linear(x), then linear; skips also where widths agree."""

    def __init__(self, sizes: tuple[int, int, int], layers: int, activation: str) -> None:
        super().__init__()
        inputs, hidden, outputs = sizes
        self.first = nn.Linear(inputs, hidden)
        self.hidden = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.last = nn.Linear(hidden, outputs)
        self.activation = _ACTIVATIONS[activation]()
        self.width = hidden
        self.products = default_products()
        self._skip_first, self._skip_last = inputs == hidden, hidden == outputs

    def forward(self, x: Tensor) -> Tensor:
        """``(row, inputs)`` → ``(row, outputs)``."""
        values = self.as_pixels(x)
        if self._skip_first:
            return self.after_first(residual(values, self.first.weight, self.first.bias))
        return self.after_first(dense(values, self.first.weight, self.first.bias))

    def after_first(self, values: Tensor) -> Tensor:
        """Run the rest of the network on the output of its first layer, which it may overwrite.

        ``(row, hidden)``, or pixels as `as_pixels` lays them out, → ``(row, outputs)``.
        """
        values = self.as_pixels(self._activate(values))
        for layer in self.hidden:
            assert isinstance(layer, nn.Linear)
            values = self._activate(residual(values, layer.weight, layer.bias))
        rows = as_rows(values)
        out: Tensor = self.last(rows)
        return out + rows if self._skip_last else out

    def as_pixels(self, rows: Tensor) -> Tensor:
        """``(row, feature)`` in the layout that the hidden layers are fastest in."""
        return as_pixels(rows, self.width, self.products)

    def padding_of(self, rows: int, device: torch.device) -> int:
        """How many rows to add for that layout."""
        return padding_of(rows) if self.products.uses_convolution(rows, self.width, device) else 0

    def _activate(self, values: Tensor) -> Tensor:
        if isinstance(self.activation, nn.ReLU):
            return torch.relu_(values)
        activated: Tensor = self.activation(values)
        return activated


class Encoder(nn.Module):
    """Images of a particle → posterior of its latent."""

    def __init__(self, config: ModelConfig, n_samples: int, n_tilts: int) -> None:
        super().__init__()
        image_sizes = (2 * n_samples, config.image_encoder_dim, config.image_features)
        self.image = ResidualMlp(image_sizes, config.image_encoder_layers, config.activation)
        self.pool = TiltPooling(config.pooling, config.image_features, n_tilts)
        self.activation = _ACTIVATIONS[config.activation]()
        particle_sizes = (
            self.pool.out_features,
            config.particle_encoder_dim,
            2 * config.latent_dim,
        )
        self.particle = ResidualMlp(
            particle_sizes, config.particle_encoder_layers, config.activation
        )

    def forward(
        self, samples: Tensor, particle_index: Tensor, tilt_index: Tensor, particles: int
    ) -> Posterior:
        """Infer posteriors of particles from complex ``(image, point)`` samples, phases corrected.

        ``particle_index`` ``(image,)``, ascending, and ``tilt_index`` say whose they are and where
        in the tilt series. Every particle must have an image.
        """
        images, present = padded_by_particle(particle_index, particles)
        features = self.image(torch.view_as_real(samples).flatten(-2))
        return self._joined(features[images], present, tilt_index[images])

    def from_padded(self, samples: Tensor, present: Tensor, tilt_index: Tensor) -> Posterior:
        """Infer posteriors from complex ``(particle, tilt, point)`` samples where ``present``."""
        rows = torch.view_as_real(samples).flatten(-2).flatten(0, 1)
        features = self.image(rows).unflatten(0, present.shape)
        return self._joined(features, present, tilt_index)

    def _joined(self, features: Tensor, present: Tensor, tilt_index: Tensor) -> Posterior:
        pooled = self.pool(features, present, tilt_index)
        mu, logvar = self.particle(self.activation(pooled)).float().chunk(2, dim=-1)
        return Posterior(mu, logvar)


def encoding_matrix(config: ModelConfig, box_size_px: int, generator: torch.Generator) -> Tensor:
    """Frequencies of the positional encoding, ``(feature, 3)``: features are sin and cos of B k.

    ``gaussian``: normal, standard deviation ``sigma · D/2`` (k in cycles per pixel, no 2π).
    Geometric series per axis, i = 0 … P−1: ``geometric`` Dπ (2/D)^(i/(P−1)), ``geometric_full``
    Dπ (1/(Dπ))^(…), ``geometric_low`` D/2 (2/D)^(…), ``geometric_no_high`` D/2 (4π/D)^(…).
    """
    half = box_size_px / 2
    count = config.encoding_features or box_size_px // 2
    if config.encoding == "gaussian":
        return torch.randn((3 * count, 3), generator=generator) * config.encoding_sigma * half
    step = torch.linspace(0, 1, count)
    box_pi = box_size_px * math.pi
    series = {
        "geometric": box_pi * (2 / box_size_px) ** step,
        "geometric_full": box_pi * (1 / box_pi) ** step,
        "geometric_low": half * (1 / half) ** step,
        "geometric_no_high": half * (2 * math.pi / half) ** step,
    }[config.encoding]
    return torch.kron(torch.eye(3), series[:, None])


@dataclass(frozen=True, eq=False)
class PreparedPoints:
    """What `Decoder.prepare` finds at some points: all that does not depend on the latent.

    Attributes
    ----------
    first
        Output of the network's first layer, as `ResidualMlp.as_pixels` lays it out, padded.
    mirrored
        ``(point,)``, true where the value is to be conjugated.
    mean, components
        Complex ``(point,)`` and ``(point, 1 + component)`` in the half-space; None without.
    """

    first: Tensor
    mirrored: Tensor
    mean: Tensor | None
    components: Tensor | None


class Decoder(nn.Module):
    """``F(k, z)``: complex Fourier amplitude of particle ``z`` at frequency ``k``.

    The mean map of all particles and the components of the linear engine, which are fixed, plus
    what the network adds; the network begins with next to nothing. The latent enters the first
    layer as a product of its own, made once per particle, not once per point.
    """

    encoding: Tensor | None
    _components: tuple[LinearDecoder | None]

    def __init__(self, config: ModelConfig, box_size_px: int, generator: torch.Generator) -> None:
        super().__init__()
        if config.encoding == "none":
            self.register_buffer("encoding", None)
            inputs = 3
        else:
            self.register_buffer("encoding", encoding_matrix(config, box_size_px, generator))
            inputs = 2 * self.encoding.shape[0]  # type: ignore[union-attr]
        # inputs ≠ hidden is forced by handing over 0: the first layer's skip would bypass z.
        self.network = ResidualMlp(
            (inputs, config.decoder_dim, 2), config.decoder_layers, config.activation
        )
        self.latent = nn.Linear(config.latent_dim, config.decoder_dim, bias=False)
        self.box_size_px = box_size_px
        self.mean = MeanMap(box_size_px) if config.mean_map else None
        self.start_from(None)
        if self.mean is not None:
            # Next to nothing at first, but not so little that z has no say.
            with torch.no_grad():
                self.network.last.weight *= 0.1
                self.network.last.bias.zero_()

    def forward(self, frequencies: Tensor, z: Tensor, particle_index: Tensor) -> Tensor:
        """Amplitudes at points.

        Parameters
        ----------
        frequencies
            ``(point, 3)`` kx, ky, kz in cycles per pixel of the training box.
        z
            ``(particle, latent)``.
        particle_index
            ``(point,)`` which row of ``z`` each point belongs to.
        """
        return self.evaluate(self.prepare(frequencies), z, particle_index)

    def prepare(self, frequencies: Tensor) -> PreparedPoints:
        """What is the same for all latents at ``(point, 3)`` frequencies."""
        inside, mirrored = into_half_space(frequencies)
        # Mean and components lie on grids of the same spacing.
        corners, known = grid_corners(inside * (OVERSAMPLING * self.box_size_px)), self.components
        mean = None if self.mean is None else self.mean(corners)
        components = None if known is None else known.in_half_space(inside, corners)
        return PreparedPoints(self._first(inside), mirrored, mean, components)

    def prepare_voxels(self, frequencies: Tensor) -> PreparedPoints:
        """`prepare` at frequencies that are voxels of the box's transform: maps read as they are.

        What the network adds is a function of any point; what is fixed are maps.
        """
        inside, mirrored = into_half_space(frequencies)
        known = self.components
        mean = None if self.mean is None else self.mean.at_voxels(inside)
        components = None if known is None else known.at_voxels(inside)
        return PreparedPoints(self._first(inside), mirrored, mean, components)

    def _first(self, inside: Tensor) -> Tensor:
        """Output of the first layer at ``(point, 3)`` frequencies with kx ≥ 0, no latent in it."""
        added = self.network.padding_of(len(inside), inside.device)
        padded = functional.pad(inside, (0, 0, 0, added)) if added else inside
        features = self.network.as_pixels(self._encoded(padded))
        return dense(features, self.network.first.weight, self.network.first.bias)

    def evaluate(self, prepared: PreparedPoints, z: Tensor, particle_index: Tensor) -> Tensor:
        """Evaluate amplitudes, complex ``(point,)``, at the points of `prepare`.

        ``z`` and ``particle_index`` are as in `forward`.
        """
        count = len(prepared.mirrored)
        hidden = self._with_latent(prepared.first, z, particle_index)
        real, imaginary = self.network.after_first(hidden)[:count].float().unbind(-1)
        total = torch.complex(real, imaginary)
        if prepared.mean is not None:
            total = total + prepared.mean
        if self.components is not None and prepared.components is not None:
            known = z[:, : self.components.components].float()
            total = total + self.components.evaluate(prepared.components, known, particle_index)
        return conjugate_where(total, prepared.mirrored)

    def _encoded(self, frequencies: Tensor) -> Tensor:
        if self.encoding is None:
            return frequencies
        # Angles reach hundreds of radians: no half precision here.
        with torch.autocast(frequencies.device.type, enabled=False):
            angles = frequencies @ self.encoding.T
        width = angles.shape[1]
        features = angles.new_empty((len(angles), 2 * width))
        torch.sin(angles, out=features[:, :width])
        torch.cos(angles, out=features[:, width:])
        return features

    def _with_latent(self, first: Tensor, z: Tensor, particle_index: Tensor) -> Tensor:
        latent: Tensor = self.latent(z)
        if len(z) == 1:
            return first + latent.view(1, -1, *[1] * (first.ndim - 2))
        rows = as_rows(first)
        if len(rows) > len(particle_index):
            particle_index = functional.pad(particle_index, (0, len(rows) - len(particle_index)))
        if len(z) > _FEW_PARTICLES[rows.device.type]:
            return rows + latent[particle_index]
        numbers = torch.arange(len(z), device=rows.device)
        chosen = (particle_index[:, None] == numbers).to(rows.dtype)
        return torch.addmm(rows, chosen, latent.to(rows.dtype))

    @property
    def components(self) -> LinearDecoder | None:
        """Linear components (their mean is 0) that the first latents weigh."""
        return self._components[0]

    def start_from(self, components: LinearDecoder | None) -> None:
        """Take the components to start from, on the device of the model."""
        # In a tuple, so that torch does not count them among what is saved every epoch.
        self._components = (components,)


class Vae(nn.Module):
    """Encoder and decoder of one run.

    Parameters
    ----------
    config
        Widths, pooling, encoding.
    box_size_px
        Box of the images; frequencies are in cycles per pixel of it.
    points
        Fourier samples per image.
    slots
        Largest number of images of one particle (``concatenate`` pooling has that many places).
    seed
        Of the initial weights.
    products
        Which product is taken for which shape; the machine's own choice if None.
    """

    def __init__(
        self,
        config: ModelConfig,
        box_size_px: int,
        n_samples: int,
        n_tilts: int,
        seed: int = 0,
        products: ProductTable | None = None,
    ) -> None:
        super().__init__()
        # nn.Linear draws from the global generator: fork it, so that nobody else's is touched.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed)
            self.encoder = Encoder(config, n_samples, n_tilts)
            self.decoder = Decoder(config, box_size_px, generator)
        self.config = config
        self.products = products or default_products()
        for module in self.modules():
            if isinstance(module, ResidualMlp):
                module.products = self.products

    def choose_products(self, device: torch.device) -> dict[str, str]:
        """Choose the faster product for all layers; what was chosen, by shape class."""
        widths = {module.width for module in self.modules() if isinstance(module, ResidualMlp)}
        return dict(self.products.measure(widths, device))
