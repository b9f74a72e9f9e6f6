"""Semi-amortised inference: the encoder's guess, moved to where the images are most likely.

Decoded maps of a set lie near a space of few dimensions: F(k, z) ≈ B_0(k) + Σ_r c_r(z) B_r(k). In
it all images of a particle say what they have to say once, as a small matrix and a vector
(`sufficient_statistics`), however many samples they have. The likelihood of any z is then

    L(z) = 2 hᵀ c(z) − c(z)ᵀ A c(z) − β |z|² / 2

and a few Gauss-Newton steps from the encoder's mean find its maximum; the curvature there,
(β I + 2 Jᵀ A J)⁻¹ with J = ∂c/∂z, is the posterior's covariance (Laplace's approximation; MacKay,
Neural Comput. 4 (1992) 448). c and J are asked of the decoder itself, at a few frequencies that
tell the B_r apart. Amortised guess, then likelihood: Kim et al., ICML 2018.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.linear.expectation_maximization import e_step, estimate_noise
from napari_tomodrgn.learn.linear.fourier_ball import make_ball, sphere
from napari_tomodrgn.learn.linear.image_samples import LinearSamples
from napari_tomodrgn.learn.linear.linear_model import LinearModel
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.runtime.tensors import load_tensors
from napari_tomodrgn.physics.fourier import volume_from_transform

# Latents at which maps are decoded to find the basis.
DECODED_MAPS = 64
# The basis keeps all but this share of the variance of decoded maps, if so many maps do.
_LOST_VARIANCE = 1e-3
_MAX_COMPONENTS = 16
# The radius holds all but this share of what images can say, and is at most so large.
_BEYOND = 0.01
_MAX_RADIUS = 24
# Frequencies for each map of the basis at which the decoder is asked for its coefficients.
_SITES_PER_COMPONENT = 6
_STEPS = 3  # of Gauss-Newton, from the encoder's mean
# Step of the differences that give J, in units of the prior's width: wide enough to look across
# the kinks of a network of ReLUs.
_STEP = 0.05
# Steps shorter than this are not tried again.
_CONVERGED_STEP = 0.02
_POINTS_AT_A_TIME = {"cpu": 1 << 15, "cuda": 1 << 20, "mps": 1 << 17}
# Particles from whose residuals the noise is found.
_NOISE_PARTICLES = 300

Statistics = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Refinement:
    """A decoder's maps as a small basis, and how to read coefficients off the decoder.

    Attributes
    ----------
    maps
        ``(1 + component, n, n, n)`` mean and basis, as `LinearDecoder` takes them.
    radius_px, box_size_px
        Fourier pixels up to which images are compared; box of the images.
    sites
        ``(site, 3)`` frequencies in cycles per pixel.
    solve, offset
        ``(component, 2 site)`` from values less ``offset`` ``(2 site,)`` to coefficients.
    noise, share
        ``(shell,)`` σ², and the share of the samples that is independent.
    beta
        Weight of the prior.
    """

    maps: Tensor
    radius_px: int
    box_size_px: int
    sites: Tensor
    solve: Tensor
    offset: Tensor
    noise: Tensor
    share: float
    beta: float

    def linear_model(self) -> LinearModel:
        """Mean and basis where the images' samples are interpolated."""
        wide = LinearDecoder(self.maps, self.radius_px, self.box_size_px).transforms
        device = self.maps.device
        ball = make_ball(self.radius_px, 2, support=sphere(1.0), device=device)
        x, y, z = ball.places.unbind(-1)
        size = wide.shape[1]
        basis = torch.view_as_real(wide[:, z % size, y % size, x].T.contiguous()).movedim(-1, 1)
        prior = torch.ones((len(self.noise), basis.shape[2]), device=device)
        return LinearModel(ball, basis, basis, self.noise, prior, self.share)

    def coefficients(self, decoder: FourierModel, z: Tensor) -> Tensor:
        """c(z) ``(particle, component)`` of latents ``(particle, latent)``."""
        count = len(self.sites)
        found = []
        for part in z.split(max(1, _POINTS_AT_A_TIME[z.device.type] // count)):
            particle_index = torch.arange(len(part), device=z.device).repeat_interleave(count)
            values = decoder(self.sites.repeat(len(part), 1), part, particle_index)
            flat = torch.view_as_real(values).reshape(len(part), 2 * count)
            found.append((flat - self.offset) @ self.solve.T)
        return torch.cat(found)

    def jacobian(self, decoder: FourierModel, z: Tensor, at: Tensor) -> Tensor:
        """∂c/∂z ``(particle, component, latent)`` at latents whose coefficients are ``at``."""
        columns = []
        for axis in range(z.shape[1]):
            step = torch.zeros_like(z)
            step[:, axis] = _STEP
            columns.append((self.coefficients(decoder, z + step) - at) / _STEP)
        return torch.stack(columns, dim=-1)

    def to(self, device: torch.device | str) -> Refinement:
        """The same on a device."""
        names = ("maps", "sites", "solve", "offset", "noise")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def save(self, path: Path, epoch: int) -> None:
        """Write it, for the decoder of an epoch."""
        numbers = [self.radius_px, self.box_size_px, self.share, self.beta, epoch]
        tensors = {
            "maps": self.maps,
            "sites": self.sites,
            "solve": self.solve,
            "offset": self.offset,
            "noise": self.noise,
            "numbers": torch.tensor(numbers, dtype=torch.float64),
        }
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        with written_atomically(path) as temporary:
            save_file(tensors, temporary)

    @classmethod
    def read(cls, path: Path) -> tuple[Refinement, int]:
        """What was written, and the epoch of its decoder.

        Raises
        ------
        BadInputError
            If the file is damaged.
        """
        try:
            tensors, _ = load_tensors(path)
            radius, box, share, beta, epoch = tensors.pop("numbers").tolist()
            return cls(
                radius_px=int(radius), box_size_px=int(box), share=share, beta=beta, **tensors
            ), int(epoch)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise BadInputError(
                f"{path}: damaged ({error}).", remedy="Train again.", code="bad-checkpoint"
            ) from error


def _samples(data: TiltData, config: RunConfig, radius_px: int) -> LinearSamples:
    device = data.lattice.frequencies.device
    return LinearSamples(data, config.data, radius_px=radius_px, device=device)


def _shells(samples: LinearSamples, refinement: Refinement) -> Tensor:
    return samples.shells(refinement.radius_px).to(refinement.noise.device)


@torch.no_grad()
def fit_refinement(
    decoder: FourierModel, data: TiltData, config: RunConfig, guess: Posterior
) -> Refinement:
    """The basis of a decoder's maps, and the noise of the images that are not held out.

    Parameters
    ----------
    decoder
        ``F(k, z)``.
    data, config
        Images and the settings that they were trained with.
    guess
        The encoder's posteriors of all particles.
    """
    box = data.lattice.box_size_px
    latents = _latents_over_posterior(guess)
    # Finer than maps differ, where only there the noise can be measured.
    whole = _samples(data, config, box // 2 - 1)
    radius = max(_radius(decoder, latents, box), whole.noise_radius())
    places, frequencies = _grid(radius, box, latents.device)
    values = torch.stack([_values(decoder, frequencies, z) for z in latents])
    mean, basis = _basis(values)
    size = 2 * (radius + 2)
    maps = torch.stack([_map(column, places, size) for column in (mean, *basis)])
    sites = _sites(basis)
    columns = torch.view_as_real(basis[:, sites]).flatten(1)
    samples = _samples(data, config, radius)
    shells = int(samples.shells(radius).max()) + 1
    refinement = Refinement(
        maps,
        radius,
        box,
        frequencies[sites],
        torch.linalg.pinv(columns.T.double()).float(),
        torch.view_as_real(mean[sites]).flatten(),
        torch.ones(shells + 2, device=latents.device),
        samples.independent_share,
        config.train.beta if config.train.capacity is None else 1.0,
    )
    return replace(refinement, noise=_noise(refinement, decoder, samples, guess))


def _latents_over_posterior(guess: Posterior) -> Tensor:
    """Latents from all over the set; every other one drawn from its posterior."""
    rows = torch.linspace(0, len(guess.mu) - 1, min(DECODED_MAPS, len(guess.mu))).long().unique()
    latents, width = guess.mu[rows].clone(), (guess.logvar[rows] / 2).exp()
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)).to(latents)
    latents[1::2] += (noise * width)[1::2]
    return latents


def _radius(decoder: FourierModel, latents: Tensor, box: int) -> int:
    """Where decoded maps differ, seen from images: shells that hold all but a little of it."""
    most = min(box // 2 - 1, _MAX_RADIUS)
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn((48, 3), generator=generator).to(latents.device)
    directions = directions / directions.norm(dim=1, keepdim=True)
    radii = torch.arange(1, most + 1, device=latents.device)
    points = (radii[:, None, None] * directions / box).reshape(-1, 3)
    values = torch.stack([_values(decoder, points, z) for z in latents[:24]])
    spread = values.var(dim=0).reshape(most, -1).mean(1) * radii
    share = spread.cumsum(0) / spread.sum().clamp(min=1e-30)
    return min(most, max(4, int((share < 1 - _BEYOND).sum()) + 1))


def _grid(
    radius: int, box: int, device: torch.device
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Places within a radius in half a Fourier grid, and their frequencies."""
    size = 2 * (radius + 2)
    axis = torch.fft.fftfreq(size, 1 / size, device=device)
    half = torch.arange(size // 2 + 1, device=device, dtype=axis.dtype)
    distance2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + half**2
    z, y, x = torch.nonzero((distance2 > 0) & (distance2 < (radius + 1) ** 2), as_tuple=True)
    return (z, y, x), torch.stack([half[x], axis[y], axis[z]], dim=-1) / box


def _values(decoder: FourierModel, frequencies: Tensor, z: Tensor) -> Tensor:
    parts = []
    for part in frequencies.split(_POINTS_AT_A_TIME[frequencies.device.type]):
        particle_index = torch.zeros(len(part), dtype=torch.int64, device=part.device)
        parts.append(decoder(part, z[None], particle_index))
    return torch.cat(parts)


def _basis(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and orthonormal directions, real weights, of ``(map, place)`` complex values."""
    mean = values.mean(0)
    centred = torch.view_as_real(values - mean).flatten(1).double()
    power, vectors = torch.linalg.eigh(centred @ centred.T)
    power, vectors = power.flip(0).clamp(min=0), vectors.flip(1)
    left = 1 - power.cumsum(0) / power.sum().clamp(min=1e-300)
    count = min(int((left > _LOST_VARIANCE).sum()) + 1, _MAX_COMPONENTS, len(values) - 1)
    weights = vectors[:, :count] / power[:count].sqrt().clamp(min=1e-12)
    # In units of the root mean square over the maps, so that coefficients are about 1.
    scale = (power[:count] / len(values)).sqrt()
    basis = (weights * scale).T.float() @ centred.float()
    return mean, torch.view_as_complex(basis.reshape(count, -1, 2))


def _map(column: Tensor, places: tuple[Tensor, Tensor, Tensor], size: int) -> Tensor:
    transform = torch.zeros(
        (size, size, size // 2 + 1), dtype=torch.complex64, device=column.device
    )
    transform[places] = column
    return volume_from_transform(transform)


def _sites(basis: Tensor) -> Tensor:
    """Places at which the basis is strong, drawn by its power."""
    power = basis.abs().square()
    chance = (power / power.sum(1, keepdim=True)).sum(0).double().cpu()
    count = min(_SITES_PER_COMPONENT * len(basis) + 16, int((chance > 0).sum()))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(chance, count, generator=generator)
    return drawn.sort().values.to(basis.device)


def _noise(
    refinement: Refinement, decoder: FourierModel, samples: LinearSamples, guess: Posterior
) -> Tensor:
    """σ² per shell, from the residuals of some particles."""
    count = samples.data.particle_count
    rows = torch.linspace(0, count - 1, min(count, _NOISE_PARTICLES)).long().unique()
    model, shells = refinement.linear_model(), _shells(samples, refinement)
    known = refinement.coefficients(decoder, guess.mu[rows])
    found = e_step(
        model,
        lambda: samples.blocks(model.ball, rows, samples.data.training),
        shells,
        given=known,
    )
    return estimate_noise(found.errors, shells, len(refinement.noise))


def maximize_posterior(
    refinement: Refinement, decoder: FourierModel, statistics: Statistics, z: Tensor
) -> tuple[Tensor, Tensor]:
    """Latents of the largest likelihood ``(particle, latent)``, and their covariances there.

    Parameters
    ----------
    refinement, decoder
        The basis, and the decoder whose maps it holds.
    statistics
        A ``(particle, component, component)`` and h ``(particle, component)``.
    z
        Where to start.
    """
    quadratic, linear = statistics
    coefficients = refinement.coefficients(decoder, z)
    best = _likelihood(quadratic, linear, coefficients, z, refinement.beta)
    for _ in range(_STEPS):
        slope = refinement.jacobian(decoder, z, coefficients).double()
        precision = _precision(quadratic, slope, refinement.beta)
        pulled = linear - (quadratic @ coefficients.double()[..., None])[..., 0]
        uphill = 2 * (slope.mT @ pulled[..., None])[..., 0] - refinement.beta * z
        step = torch.linalg.solve(precision, uphill[..., None])[..., 0].to(z)
        for length in (1.0, 0.3):
            tried = z + length * step
            found = refinement.coefficients(decoder, tried)
            value = _likelihood(quadratic, linear, found, tried, refinement.beta)
            better = value > best
            z = torch.where(better[:, None], tried, z)
            coefficients = torch.where(better[:, None], found, coefficients)
            best = torch.maximum(best, value)
            step = torch.where(better[:, None], 0.0, step)
            if not bool((step.abs() > _CONVERGED_STEP).any()):
                break
    return z, torch.linalg.inv(precision)


def _precision(quadratic: Tensor, slope: Tensor, beta: float) -> Tensor:
    eye = torch.eye(slope.shape[2], dtype=slope.dtype, device=slope.device)
    return max(beta, 1e-6) * eye + 2 * slope.mT @ quadratic @ slope


def _likelihood(
    quadratic: Tensor, linear: Tensor, coefficients: Tensor, z: Tensor, beta: float
) -> Tensor:
    """L(z) of each particle."""
    coefficients = coefficients.double()
    square = (coefficients * (quadratic @ coefficients[..., None])[..., 0]).sum(-1)
    return 2 * (linear * coefficients).sum(-1) - square - beta * z.double().square().sum(-1) / 2
