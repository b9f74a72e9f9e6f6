"""Who belongs to which group, from one half of a particle's tilts; the other half is left to judge.

Latents of a half come from components that were fitted to the images of that half alone. A group
that was drawn elsewhere (all images, an autoencoder, UMAP, a column made from images) is carried
over by a classifier of few parameters on these latents, in folds over particles: nobody's own label
enters the classifier that assigns it. Groups keep their sizes.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.analysis.evidence.images import with_images
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.halves import has_copies
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.linear.engine import FIT_STEPS, LinearEngine
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.training.progress import share_of_radii

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int8]

FOLDS = 10  # of the particles; the classifier of a fold never saw its labels
# Of `choosing_latents`, which tells how far it is.
CHOOSING_STEPS = 1000
# A member of a group for so many numbers of the classifier, below which squares are left out.
_PARTICLES_FOR_SQUARES = 100
# Weight of the ridge of the logistic regression, in standardised latents.
_RIDGE = 1.0


@dataclass(frozen=True, eq=False)
class CrossedLabels:
    """Groups of particles for each half of the tilts that judges them.

    Attributes
    ----------
    labels
        ``(2, particle)`` int8: +1 in A, −1 in B, 0 in neither; the first row is for judging by the
        first tilt half and was assigned by the second.
    crossed
        False where the groups were made without any image: both rows are what was asked for.
    """

    labels: Labels
    crossed: bool

    @property
    def agreement(self) -> float:
        """Share of the particles in a group that both halves assign alike."""
        one, two = self.labels
        there = (one != 0) | (two != 0)
        return float((one == two)[there].mean()) if there.any() else 0.0

    @property
    def attenuation(self) -> float:
        """How much of a difference is left in cross-fitted maps: 2p − 1 in groups of equal size.

        With p the share of right memberships. Two independent assignments of particles agree as
        √ of their correlation does with the truth: cov(m₀, m₁) = cov(m, y)² / var y, and the slope
        of y on m is what is left. 1 for groups that need no crossing.
        """
        if not self.crossed:
            return 1.0
        one, two = self.labels.astype(np.float64)
        there = (one != 0) & (two != 0)
        if there.sum() < 3 or one[there].std() == 0 or two[there].std() == 0:
            return 0.0
        return float(np.sqrt(max(np.corrcoef(one[there], two[there])[0, 1], 0.0)))


def choosing_latents(
    data: TiltData, config: RunConfig, halves: tuple[Tensor, Tensor]
) -> Generator[int, None, tuple[FloatArray, FloatArray]]:
    """Latents ``(particle, component)`` from each tilt half, components fitted to it alone.

    Yields how much of it is done, of `CHOOSING_STEPS`.
    """
    found, each = [], CHOOSING_STEPS // 2
    for number, images in enumerate(halves):
        yield number * each
        engine = LinearEngine.of(with_images(data, images), config, RunContext())
        possible, last = len(engine.radii()), None
        for one in engine.fits_and_steps():
            if isinstance(one, int):
                yield number * each + int(each * share_of_radii(one / FIT_STEPS, possible))
            else:
                last = one
        if last is None:
            raise RuntimeError("the linear engine gave no fit")
        found.append(last.training_mu.double().cpu().numpy())
    return found[0], found[1]


def cross_labels(
    drawn: Labels,
    latents: tuple[FloatArray, FloatArray],
    seed: int = 0,
    originals: NDArray[np.int64] | None = None,
) -> CrossedLabels:
    """Groups carried over to the latents of each tilt half, handed to the other half to judge.

    Parameters
    ----------
    drawn
        ``(particle,)`` +1 in A, −1 in B, 0 in neither.
    latents
        Of both tilt halves, see `choosing_latents`.
    seed
        Of the folds.
    originals
        ``(particle,)`` which rows are copies of one particle; each is its own if None.
    """
    assigned = [assign(drawn, one, seed, originals) for one in latents]
    return CrossedLabels(np.stack([assigned[1], assigned[0]]), crossed=True)


def uncrossed(drawn: Labels) -> CrossedLabels:
    """Groups that were made without any image: tomogram, position, acquisition, chance."""
    return CrossedLabels(np.stack([drawn, drawn]).astype(np.int8), crossed=False)


def assign(
    drawn: Labels,
    latents: FloatArray,
    seed: int = 0,
    originals: NDArray[np.int64] | None = None,
) -> Labels:
    """Memberships of particles by latents, in folds; as many in each group as were drawn."""
    kinds = np.unique(drawn)
    shares = fold_shares(drawn, latents, seed, originals)
    columns = dict(zip(kinds.tolist(), shares.T, strict=True))
    in_a, in_b = columns[1], columns[-1]
    taking_part = np.arange(len(drawn))
    if 0 in columns:
        count = int((drawn != 0).sum())
        taking_part = np.argsort(columns[0], kind="stable")[:count]
    preference = (in_a / np.maximum(in_a + in_b, 1e-12))[taking_part]
    order = taking_part[np.argsort(-preference, kind="stable")]
    count = int((drawn == 1).sum())
    labels = np.zeros(len(drawn), dtype=np.int8)
    labels[order[:count]], labels[order[count:]] = 1, -1
    return labels


def fold_shares(
    drawn: NDArray[np.integer[Any]],
    latents: FloatArray,
    seed: int = 0,
    originals: NDArray[np.int64] | None = None,
) -> FloatArray:
    """``(particle, kind)`` chance of each kind of label by classifiers that saw others' labels.

    Logistic regression with a ridge on the latents, and on their squares where the smaller group
    has 100 particles or more: at most 2 J + 1 numbers a group.
    """
    from sklearn.linear_model import LogisticRegression

    kinds, counts = np.unique(drawn, return_counts=True)
    spread = latents.std(axis=0)
    table = (latents - latents.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    if counts.min() >= _PARTICLES_FOR_SQUARES:
        table = np.hstack([table, table**2 - 1])
    fold = _folds(drawn, seed, originals)
    shares = np.tile(counts / len(drawn), (len(drawn), 1))
    for number in range(FOLDS):
        here = fold == number
        known = drawn[~here]
        if not here.any() or len(np.unique(known)) < len(kinds):
            continue
        model = LogisticRegression(C=1 / _RIDGE, class_weight="balanced", max_iter=200)
        shares[here] = model.fit(table[~here], known).predict_proba(table[here])
    return shares


def _folds(
    drawn: NDArray[np.integer[Any]], seed: int, originals: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Fold of each particle, each kind of label spread evenly over all; copies are in one fold.

    The same whichever group is called A, so that two groups have one answer.
    """
    rng = np.random.default_rng([seed, 0xF01D])
    if originals is not None and has_copies(originals):
        return np.asarray(rng.permutation(int(originals.max()) + 1)[originals] % FOLDS)
    fold = np.empty(len(drawn), dtype=np.int64)
    kinds = np.unique(drawn)
    first = drawn[np.flatnonzero(drawn)[:1]]
    for kind in kinds if (first == 1).all() else kinds[::-1]:
        members = rng.permutation(np.flatnonzero(drawn == kind))
        fold[members] = (np.arange(len(members)) + rng.integers(FOLDS)) % FOLDS
    return fold


def tilt_half_masks(data: TiltData) -> tuple[Tensor, Tensor]:
    """Mask the tilt halves, by angle: two of ``(image,)``; each leaves every particle an image."""
    from napari_tomodrgn.learn.inference.calibration import image_halves

    one, two = image_halves(data)
    assert bool((one ^ two).all())
    return one, two


def particles_with_both_halves(data: TiltData) -> NDArray[np.bool_]:
    """Which particles have an image in each half, two images or more: ``(particle,)``."""
    owner = torch.from_numpy(data.particles.arrays().particle.copy())
    return np.asarray((torch.bincount(owner, minlength=data.particle_count) >= 2).numpy())
