"""A second look, for differences that are smaller than those that halves of a sample confirm.

Halves of a random sample that judge each other's components (`cross_validation`) lose an axis that
one half alone is too few for: of 6,000 ribosomes those with and without Lso2, a protein of 10 kDa,
which more of them together tell apart (`docs/model.md`). So components are fitted once more, to
more particles, in what the known ones leave unexplained; and they are judged by the images that
none of them saw: these must lie where z, inferred from a particle's other images, says.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from napari_tomodrgn.learn.linear.engine import (
    BYTES_PER_SAMPLE,
    EMBED_STEPS,
    Fit,
    LinearEngine,
    half_size,
)
from napari_tomodrgn.learn.linear.expectation_maximization import (
    Blocks,
    posteriors,
    sufficient_statistics,
)
from napari_tomodrgn.learn.linear.initial_model import residual_maps, with_components
from napari_tomodrgn.learn.linear.linear_model import LinearModel
from napari_tomodrgn.learn.runtime.steps import offset_steps

# Directions that are tried beside those known.
_MORE_COMPONENTS = 4
_ITERATIONS = 8  # of expectation maximisation, with these directions
# Images are read, directions sought, fitted, judged; then all particles are embedded.
SECOND_LOOK_STEPS = 2 + _ITERATIONS + 1 + EMBED_STEPS
# Standard errors by which held-out images must lie along an axis. Whether particles differ at all
# is asked of the same images: an axis of noise must not come through by chance.
_LEAST_SIGMA = 5.0
# Standard errors by which they may be less likely for it: the map of a faint axis has noise, which
# counts against it. Of 6,000 particles Lso2 stands at 13.3 and -0.2, what comes next at 4.9 and
# -6.4, noise at 0.1 and -11.
_LESS_LIKELY = 2.0
# Samples in a pass, which with those iterations takes minutes on two cores.
_MOST_SAMPLES = 4e7


@dataclass(frozen=True, eq=False)
class _Held:
    """Particles that a second look learns from.

    ``rows`` ``(row,)`` are of the set; ``blocks`` are of their images that are not held out.
    """

    rows: Tensor
    blocks: Blocks
    shells: Tensor


@dataclass(frozen=True, eq=False)
class _Judgement:
    """What held-out images say of axes, ``(J,)`` each.

    Attributes
    ----------
    along
        Standard errors by which they lie where z says: Σ z (l − Σ' q z'), which is 0 on average for
        an axis of noise, however well or badly its map is known (a score test).
    likelier
        Standard errors by which they are likelier with the axis than without, at its own z.
    nats
        How much likelier.
    """

    along: Tensor
    likelier: Tensor
    nats: Tensor

    @property
    def there(self) -> Tensor:
        """Which axes are."""
        return (self.along >= _LEAST_SIGMA) & (self.likelier > -_LESS_LIKELY)


def looks_twice(particles: int) -> bool:
    """Whether a set of so many is larger than the halves that its components were confirmed by."""
    return particles > 2 * half_size(particles)


def may_look_again(engine: LinearEngine, fit: Fit) -> bool:
    """Whether a fit's set is large enough, has held-out images, and no focus."""
    large = looks_twice(engine.data.particle_count)
    return large and fit.model.focus is None and not bool(engine.data.training.all())


def second_look(engine: LinearEngine, fit: Fit) -> Generator[int, None, Fit | None]:
    """Look for components beyond those of a fit.

    Yields how much is done, of `SECOND_LOOK_STEPS`.

    Returns
    -------
    A fit with more components than the given one; None where held-out images support no more, or
    where it `may_look_again` not.
    """
    if not may_look_again(engine, fit):
        return None
    held = _hold(engine, fit.model)
    yield 1
    model = _with_more(fit.model, held, fit.training_mu[held.rows])
    steps = engine.em_steps(model, held.blocks, held.shells, _ITERATIONS)
    model = yield from offset_steps(steps, 2)
    yield 2 + _ITERATIONS
    judgement = _judge(engine, model, held)
    kept = torch.nonzero(judgement.there)[:, 0]
    if len(kept) <= fit.model.components:
        return None
    embedding = engine.embed_steps(model.only(kept), held.shells, judgement.nats[kept])
    found = yield from offset_steps(embedding, SECOND_LOOK_STEPS - EMBED_STEPS)
    return found.pointing_as(fit)


def _hold(engine: LinearEngine, model: LinearModel) -> _Held:
    """More particles than a model was fitted to, as many in memory as fit, the others anew."""
    radius = int(model.ball.radius_px)
    count, kept = what_is_held(engine, radius, engine.data.particle_count)
    rows = engine.random_rows(count)
    shells = engine.samples.shells(radius).to(engine.samples.device)
    in_memory = engine.blocks(model.ball, rows[:kept])
    anew = engine.stream(model, rows[kept:], engine.data.training)
    return _Held(rows, lambda: chain(in_memory(), anew()), shells)


def what_is_held(engine: LinearEngine, radius_px: int, particles: int) -> tuple[int, int]:
    """Of so many particles, how many a second look learns from, and how many memory holds."""
    data = engine.data
    each = data.image_count / data.particle_count * len(engine.samples.points(radius_px))
    count = min(max(int(_MOST_SAMPLES / each), engine.most_training_rows(radius_px)), particles)
    kept = int(engine.config.data.memory_gb * 1e9 / (each * BYTES_PER_SAMPLE))
    return count, min(kept, count)


def _with_more(model: LinearModel, held: _Held, latents: Tensor) -> LinearModel:
    """The model and, beside its components, those along which its residuals vary most."""
    new = _leading_residuals(model, held, latents)
    more = with_components(model.first(0), held.blocks, held.shells, new)
    return replace(
        model,
        free=torch.cat([model.free, more.free[..., 1:]], dim=2),
        basis=torch.cat([model.basis, more.basis[..., 1:]], dim=2),
        prior=torch.cat([model.prior, more.prior[:, 1:]], dim=1),
    )


def _leading_residuals(model: LinearModel, held: _Held, latents: Tensor) -> Tensor:
    """Latents ``(particle, J)`` of unit variance along the leading directions of the residuals.

    As `leading_latents`, of what a model leaves, confined to its support, and across ``latents``;
    the Gram matrix of many particles is never written out.
    """
    ball = model.ball
    half = torch.where(ball.on_plane, 0.5, 1.0)
    weight = (half / model.prior[:, 0][ball.shells]).sqrt()[:, None, None]
    rows = torch.cat(  # at once: a list that stayed would take as much memory again
        [
            (ball.apply_support(maps.movedim(0, -1)) * weight).movedim(-1, 0).flatten(1)
            for maps in residual_maps(model, held.blocks, held.shells, latents)
        ]
    )
    rows /= rows.square().mean().sqrt()
    alone = rows.square().sum(1)
    across, _ = torch.linalg.qr((latents - latents.mean(0)).to(rows.dtype))

    def times(vector: np.ndarray) -> np.ndarray:
        """The Gram matrix times ``(particle,)``."""
        v = torch.from_numpy(vector.reshape(-1)).to(rows)
        v = v - across @ (across.T @ v)
        product = rows @ (rows.T @ v) - alone * v
        product = product - across @ (across.T @ product)
        return np.asarray(product.double().cpu().numpy())

    count = len(rows)
    gram = LinearOperator((count, count), matvec=times, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(count)
    values, vectors = eigsh(gram, k=_MORE_COMPONENTS, which="LA", v0=start, tol=1e-3)
    leading = torch.from_numpy(vectors[:, np.argsort(-values)].copy())
    leading = leading - leading.mean(0)
    scaled: Tensor = (leading / leading.square().mean(0).sqrt()).to(latents)
    return scaled


def _judge(engine: LinearEngine, model: LinearModel, held: _Held) -> _Judgement:
    """Ask held-out images for each axis, with z from a particle's other images."""
    mu, _, _ = posteriors(model, held.blocks, held.shells)
    stream = engine.stream(model, held.rows, ~engine.data.training)
    quadratic, linear = sufficient_statistics(model, stream, held.shells)
    extended = torch.cat([mu.new_ones((len(mu), 1)), mu], dim=1)
    pulled = linear - torch.einsum("pij,pj->pi", quadratic, extended)
    own = torch.diagonal(quadratic, dim1=1, dim2=2) * extended
    slope = (extended * (pulled + own))[:, 1:]
    # 2 zᵀ l − zᵀ Q z, less the same without an axis.
    gain = (extended * (2 * pulled + own))[:, 1:]
    return _Judgement(_standard_errors(slope), _standard_errors(gain), gain.sum(0))


def _standard_errors(values: Tensor) -> Tensor:
    """The sum of ``(particle, J)`` values over its standard error, ``(J,)``."""
    found: Tensor = values.sum(0) / (values.std(0) * len(values) ** 0.5).clamp(min=1e-9)
    return found
