"""Whether the state of particles goes with where they are: permutation tests within tomograms.

Tomograms differ in thickness, crowding and contrast, and states may differ with them. So states
are only ever dealt out anew within a tomogram, and effects are those within tomograms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.geometry import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Association:
    """Whether a state goes with something else, judged within tomograms.

    Attributes
    ----------
    measure
        ``cliffs_delta``: chance that the value is larger in the later of two states (sorted) minus
        that it is smaller, −1 to 1; ``eta_squared``: share of the variance of ranks that is
        between states, 0 to 1; ``spearman``: −1 to 1; ``cramers_v``: 0 to 1; for neighbours
        ``agreement``: share of neighbours in the same state beyond chance, at most 1, and
        ``spearman``.
    effect
        Its size.
    p_value
        Of so large an effect, of either sign, if states were dealt out anew in each tomogram.
    particles
        Number that have both.
    """

    measure: str
    effect: float
    p_value: float
    particles: int


def association(
    states: pd.Series,
    column: pd.Series,
    tomograms: pd.Series,
    n_permutations: int = 999,
    seed: int = 0,
) -> Association:
    """Permutation test of a state against a column; differences between tomograms do not count.

    Not for the state of the neighbour, where particles occur twice: see `neighbour_association`.

    Parameters
    ----------
    states, column
        Index ``particle_id``. Floating-point series are values, by their ranks within the
        tomogram; all others are names of classes. Particles without either are left out.
    tomograms
        Tomogram of each particle.
    n_permutations
        The smallest p is one over this plus one.
    seed
        Same seed: same p.
    """
    names, x, y = _aligned(states, column, tomograms)
    if len(names) < 2:
        return Association("", np.nan, 1.0, len(names))
    test = _statistic(x, y, names)
    observed = float(test.size(test.left.T @ test.right))
    if not np.isfinite(observed):
        return Association(test.measure, np.nan, 1.0, len(names))
    drawn = [
        test.size(np.einsum("bna,nc->bac", test.left[orders], test.right))
        for orders in _orders(names, n_permutations, seed)
    ]
    p_value = _p_value(observed, np.concatenate(drawn))
    return Association(test.measure, observed, p_value, len(names))


def neighbour_association(
    states: pd.Series,
    neighbour_ids: pd.Series,
    tomograms: pd.Series,
    n_permutations: int = 999,
    seed: int = 0,
) -> Association:
    """Whether particles and their neighbours are in the same state more often than by chance.

    States are dealt out anew to all particles at once, so that two particles that are each
    other's neighbours are not taken for two independent findings. Parameters as of `association`,
    ``neighbour_ids`` as `neighbourhood` gives them.
    """
    import pandas as pd

    names, x, others = _aligned(states, neighbour_ids, tomograms)
    rows = states.index.get_indexer(others.index)  # of the series, then of what is aligned
    place = np.full(len(states), -1)
    place[rows] = np.arange(len(rows))
    found = states.index.get_indexer(pd.Index(others))
    other = np.where(found >= 0, place[found], -1)
    known = other >= 0
    values = _ranks(x, names) if _is_value(x) else x.astype("category").cat.codes.to_numpy()
    if not known.any():
        return Association("", np.nan, 1.0, 0)

    def score(dealt: NDArray[np.number]) -> FloatArray:
        own, its = dealt[..., known], dealt[..., other[known]]
        return np.asarray((own * its if _is_value(x) else own == its).mean(axis=-1))

    drawn = np.concatenate([score(values[o]) for o in _orders(names, n_permutations, seed)])
    if np.ptp(drawn) == 0:  # all the same within each tomogram
        return Association("", np.nan, 1.0, int(known.sum()))
    chance = float(drawn.mean())
    largest = float((values**2).mean()) if _is_value(x) else 1.0
    effects = (drawn - chance) / (largest - chance)
    effect = (float(score(values)) - chance) / (largest - chance)
    measure = "spearman" if _is_value(x) else "agreement"
    return Association(measure, effect, _p_value(effect, effects), int(known.sum()))


def associations(
    states: pd.Series,
    table: pd.DataFrame,
    tomograms: pd.Series,
    n_permutations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """All columns of a table against a state: measure, effect, p_value, q_value, particles.

    ``neighbour_id`` stands for the state of the neighbour; ``neighbour_state`` is left out. The
    q value is the share of false findings among those at least as clear (Benjamini, Hochberg).
    """
    *_, result = association_steps(states, table, tomograms, n_permutations, seed)
    assert result is not None
    return result


def association_steps(
    states: pd.Series,
    table: pd.DataFrame,
    tomograms: pd.Series,
    n_permutations: int = 999,
    seed: int = 0,
) -> Iterator[pd.DataFrame | None]:
    """The same in steps: None after each column, at last the table."""
    import pandas as pd

    found = {}
    for name in table.columns.drop("neighbour_state", errors="ignore"):
        test = neighbour_association if name == "neighbour_id" else association
        found[str(name)] = vars(test(states, table[name], tomograms, n_permutations, seed))
        yield None
    result = pd.DataFrame.from_dict(found, orient="index")
    result.insert(3, "q_value", benjamini_hochberg(result["p_value"].to_numpy()))
    yield result


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """p values corrected for their number: the false discovery rate at which each is found."""
    count = len(p_values)
    order = np.argsort(p_values)
    scaled = p_values[order] * count / np.arange(1, count + 1)
    corrected = np.empty(count)
    corrected[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return corrected


def _is_value(series: pd.Series) -> bool:
    return getattr(series.dtype, "kind", "O") == "f"


def _aligned(
    states: pd.Series, column: pd.Series, tomograms: pd.Series
) -> tuple[NDArray[np.int64], pd.Series, pd.Series]:
    """Numbers of tomograms, ascending, and both series in that order, without gaps."""
    column, tomograms = column.reindex(states.index), tomograms.reindex(states.index)
    keep = (states.notna() & column.notna() & tomograms.notna()).to_numpy()
    numbers = np.unique(tomograms[keep].astype(str), return_inverse=True)[1]
    order = np.argsort(numbers, kind="stable")
    return numbers[order], states[keep].iloc[order], column[keep].iloc[order]


def _orders(names: NDArray[np.int64], count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Random orders of rows within tomograms, ``(order, row)``, in blocks that bound memory."""
    rng = np.random.default_rng(seed)
    block = max(1, 300_000 // len(names))
    for start in range(0, count, block):
        keys = rng.random((min(block, count - start), len(names))) + names
        yield np.argsort(keys, axis=1)


def _p_value(observed: float, drawn: FloatArray) -> float:
    # Sums in another order differ in the last digits: equal effects must count as equal.
    as_large = np.abs(drawn) >= abs(observed) - 1e-9
    return float((1 + as_large.sum()) / (1 + len(drawn)))


def _ranks(values: pd.Series, names: NDArray[np.int64], *, scaled: bool = True) -> FloatArray:
    """Ranks within the tomogram about their middle, by its number of particles if ``scaled``."""
    groups = values.groupby(names)
    ranks = groups.rank().to_numpy() - (groups.transform("size").to_numpy() + 1) / 2
    return np.asarray(ranks / groups.transform("size").to_numpy() if scaled else ranks)


def _one_hot(labels: pd.Series) -> FloatArray:
    codes = np.unique(labels.astype(str), return_inverse=True)[1]
    return np.eye(codes.max() + 1)[codes]


_Size = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class _Statistic:
    """An effect as a function of ``left.T @ right``, where rows of ``left`` are dealt out anew.

    ``right`` has a mean of 0 in each tomogram, so the product is what is beyond chance.
    """

    measure: str
    left: FloatArray
    right: FloatArray
    size: _Size


def _statistic(x: pd.Series, y: pd.Series, names: NDArray[np.int64]) -> _Statistic:
    if _is_value(x) and not _is_value(y):
        x, y = y, x
    if _is_value(x):
        return _spearman(x, y, names)
    left = _one_hot(x)
    if not _is_value(y):
        return _cramers_v(left, _one_hot(y), names)
    return (_cliffs_delta if left.shape[1] == 2 else _eta_squared)(left, y, names)


def _spearman(x: pd.Series, y: pd.Series, names: NDArray[np.int64]) -> _Statistic:
    left, right = _ranks(x, names)[:, None], _ranks(y, names)[:, None]
    length = np.sqrt((left**2).sum() * (right**2).sum()) or np.nan
    return _Statistic("spearman", left, right, lambda product: product[..., 0, 0] / length)


def _cliffs_delta(left: FloatArray, y: pd.Series, names: NDArray[np.int64]) -> _Statistic:
    """Of pairs within tomograms: the rank sum about its mean is half of their difference."""
    in_each = np.eye(names.max() + 1)[names].T @ left
    pairs = (in_each[:, 0] * in_each[:, 1]).sum() or np.nan
    right = _ranks(y, names, scaled=False)[:, None]
    return _Statistic("cliffs_delta", left, right, lambda product: 2 * product[..., 1, 0] / pairs)


def _eta_squared(left: FloatArray, y: pd.Series, names: NDArray[np.int64]) -> _Statistic:
    right, counts = _ranks(y, names)[:, None], left.sum(axis=0)
    variance = (right**2).sum() or np.nan

    def size(product: FloatArray) -> FloatArray:
        return np.asarray((product[..., 0] ** 2 / counts).sum(axis=-1) / variance)

    return _Statistic("eta_squared", left, right, size)


def _cramers_v(left: FloatArray, right: FloatArray, names: NDArray[np.int64]) -> _Statistic:
    tomograms = np.eye(names.max() + 1)[names]
    shares = (tomograms.T @ right) / tomograms.sum(axis=0)[:, None]
    expected = (tomograms.T @ left).T @ shares
    expected[expected == 0] = np.inf  # never together in a tomogram: nothing to be seen
    largest = (len(names) * (min(left.shape[1], right.shape[1]) - 1)) or np.nan

    def size(product: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt((product**2 / expected).sum(axis=(-2, -1)) / largest))

    return _Statistic("cramers_v", left, right - tomograms @ shares, size)
