"""A few decoded maps that any other map is a weighted sum of: previews while the mouse moves.

The weights are those of kriging with an affine trend: exact at the latents that were decoded,
smooth between them. A linear decoder is affine in z, so that its preview is exact anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.decoding.volume_decoder import PREVIEW_BOX, VolumeDecoder

Floats = NDArray[np.float64]

# Prior variance of the affine trend, in units of that of the departure from it.
_TREND = 1e3
# Tried: reach of a decoded map in units of the median distance of latents, and its share of noise.
_REACHES = (1.0, 4.0, 16.0)
_NUGGETS = (1e-6, 1e-4, 1e-2)
# Latents that are decoded, not fitted, to measure the error.
_CHECKED = 8
# Latents among which those to decode are chosen.
_CANDIDATES = 5000


@dataclass(frozen=True, eq=False)
class _Kernel:
    """Covariance of maps at two latents: an affine trend, and, if ``reach`` is given, Matérn 3/2.

    Rough enough for networks of ReLUs: a Gaussian bell was measured to be wrong by twice as much.
    """

    centre: Floats
    reach: float | None
    nugget: float = 0.0

    def __call__(self, one: Floats, other: Floats) -> Floats:
        """``(m, latent)``, ``(n, latent)`` → ``(m, n)``."""
        one, other = one - self.centre, other - self.centre
        trend: Floats = 1 + one @ other.T
        if self.reach is None:
            return trend
        distance = np.sqrt(3 * _distances2(one, other)) / self.reach
        total: Floats = _TREND * trend + (1 + distance) * np.exp(-distance)
        return total

    def inverse(self, nodes: Floats) -> Floats:
        """Inverse of the covariance of the nodes."""
        covariance = self(nodes, nodes) + self.nugget * np.eye(len(nodes))
        return np.linalg.inv(covariance).astype(np.float64)


@dataclass(frozen=True, eq=False)
class PreviewBasis:
    """Decoded maps and how to weigh them; immutable, for any thread.

    Attributes
    ----------
    maps
        ``(node, box, box, box)`` zyx, as `VolumeDecoder` gives them: density positive, solvent 0.
    nodes
        ``(node, latent)``: where they were decoded.
    voxel_size_angstrom
        Of the maps.
    error
        At latents that were not fitted: root mean square difference from the decoded map, relative
        to how far decoded maps are from their mean. 0: exact; 1: no better than the mean map.
        NaN if there were too few latents to tell.
    error_of_map
        The same relative to the maps themselves: how wrong what is on show is.
    """

    maps: NDArray[np.float32]
    nodes: Floats
    voxel_size_angstrom: float
    error: float
    error_of_map: float
    kernel: _Kernel
    inverse: Floats

    def weights(self, z: ArrayLike) -> Floats:
        """``(node,)``: how much of each map; they add up to 1."""
        latent = np.asarray(z, dtype=np.float64)
        if latent.shape != self.nodes.shape[1:]:
            expected = self.nodes.shape[1]
            raise ValueError(f"a latent has {expected} numbers, got shape {latent.shape}")
        found: Floats = (self.kernel(latent[None], self.nodes) @ self.inverse)[0]
        return found

    def volume(self, z: ArrayLike) -> Volume:
        """The map at a latent ``(latent,)``, in about a millisecond."""
        weights = self.weights(z).astype(np.float32)
        flat = weights @ self.maps.reshape(len(self.maps), -1)
        return Volume(flat.reshape(self.maps.shape[1:]), self.voxel_size_angstrom)


def fit_preview(
    decoder: VolumeDecoder,
    latents: ArrayLike,
    *,
    box_size_px: int = PREVIEW_BOX,
    maps: int = 64,
    seed: int = 0,
) -> Iterator[PreviewBasis | None]:
    """Decode some of the latents and fit a basis to their maps.

    Parameters
    ----------
    decoder
        Of any run. One that is affine in z needs ``1 + latent`` maps and its basis is exact.
    latents
        ``(particle, latent)``: those on show. Half of the nodes are drawn from them as they come,
        half so that they are far from each other, so that crowds and outliers are both covered.
    box_size_px
        Even, of the previews; that of training if it is smaller.
    maps
        How many to decode at most; at least twice the latent's length, as a plane needs that many.
    seed
        Of the choice of nodes.

    Yields
    ------
    None while there is more to do, as often as `VolumeDecoder.decode_steps`; at last the basis.
    """
    box = min(box_size_px, decoder.box_size_px)
    known = np.asarray(latents, dtype=np.float64).reshape(-1, decoder.latent_dim)
    nodes, checked = _chosen(known, max(maps, 1 + 2 * known.shape[1]), seed)
    if decoder.is_affine:
        nodes = np.concatenate([np.zeros((1, decoder.latent_dim)), np.eye(decoder.latent_dim)])
    decoded = []
    for z in np.concatenate([nodes, checked]):
        for volume in decoder.decode_steps(z, box):
            if volume is None:
                yield None
            else:
                decoded.append(volume)
    stack = np.stack([volume.data for volume in decoded])
    voxel = decoded[0].voxel_size_angstrom
    yield _fitted(stack, np.concatenate([nodes, checked]), len(nodes), voxel, decoder.is_affine)


def _fitted(
    stack: NDArray[np.float32], latents: Floats, count: int, voxel: float, affine: bool
) -> PreviewBasis:
    """The basis of the first ``count`` maps, and its error at the others."""
    nodes, checked = latents[:count], latents[count:]
    flat = stack.reshape(len(stack), -1)
    kernel = _Kernel(nodes[0], None) if affine else _best_kernel(nodes, flat[:count])
    basis = PreviewBasis(stack[:count], nodes, voxel, np.nan, np.nan, kernel, kernel.inverse(nodes))
    if not len(checked):
        return basis
    guesses = np.stack([basis.volume(z).data.ravel() for z in checked])
    wrong = _rms(guesses - flat[count:])
    apart = _rms(flat[count:] - flat[:count].mean(0))
    return PreviewBasis(
        basis.maps,
        nodes,
        voxel,
        error=wrong / max(apart, 1e-30),
        error_of_map=wrong / max(_rms(flat[count:]), 1e-30),
        kernel=kernel,
        inverse=basis.inverse,
    )


def _best_kernel(nodes: Floats, flat: NDArray[np.float32]) -> _Kernel:
    """The kernel that predicts each map best from all others."""
    centred = (flat - flat.mean(0)).astype(np.float64)
    gram = centred @ centred.T
    apart = np.sqrt(_distances2(nodes, nodes)[np.triu_indices(len(nodes), 1)])
    unit = max(float(np.median(apart)) if len(apart) else 1.0, 1e-6)
    kernels = [
        _Kernel(nodes.mean(0), reach * unit, nugget) for reach in _REACHES for nugget in _NUGGETS
    ]
    return min(kernels, key=lambda kernel: _left_out_error(kernel, nodes, gram))


def _left_out_error(kernel: _Kernel, nodes: Floats, gram: Floats) -> float:
    """Sum of squared errors of each map from the others (Rasmussen & Williams 2006, eq. 5.12)."""
    inverse = kernel.inverse(nodes)
    return float((np.diag(inverse @ gram @ inverse) / np.diag(inverse) ** 2).sum())


def _chosen(latents: Floats, count: int, seed: int) -> tuple[Floats, Floats]:
    """Latents to fit, and a few others to check; all different."""
    rng = np.random.default_rng([seed, 0x9E])
    pool = np.unique(latents, axis=0)
    pool = pool[rng.permutation(len(pool))[:_CANDIDATES]]
    checked = min(_CHECKED, len(pool) // 4)
    pool, apart = pool[checked:], pool[:checked]
    if len(pool) <= count:
        return pool, apart
    chosen = list(range(count // 2))
    nearest = _distances2(pool, pool[chosen]).min(axis=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distances2(pool, pool[chosen[-1:]])[:, 0])
    return pool[chosen], apart


def _distances2(one: Floats, other: Floats) -> Floats:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None, :] - 2 * one @ other.T
    positive: Floats = np.maximum(squares, 0.0)
    return positive


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
