"""How classes are shared out between conditions, tomogram by tomogram.

A tomogram is the unit that was prepared and imaged: intervals come from drawing tomograms anew
(bootstrap), chances from exchanging the conditions of tomograms. Shares are corrected for how
often tilt halves of the same particle are put into different classes (Buonaccorsi, Measurement
Error (2010), section 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.analysis.evidence.membership import fold_shares
from napari_tomodrgn.analysis.evidence.session import kept_tilt_halves
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.run.directory import Run

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_BOOTSTRAPS = 2000  # draws of tomograms that intervals come from
_PERMUTATIONS = 4999  # exchanges of conditions that chances come from
_INTERVAL = (2.5, 97.5)  # percentiles of the draws: 95 %


@dataclass(frozen=True, eq=False)
class ClassShares:
    """Shares of classes by condition.

    Attributes
    ----------
    table
        ``condition, class, tomograms, particles, share, corrected, low, high``: the interval (95 %)
        is of the corrected share, and NaN of a single tomogram.
    p_values
        By class: chance of so different shares if conditions of tomograms were exchanged; NaN with
        fewer than two tomograms a condition.
    unused
        Tomograms that have a condition and no particle.
    agreement
        Share of the particles that both tilt halves put into one class, which shares are corrected
        by; None where they are not.
    """

    table: pd.DataFrame
    p_values: dict[Any, float]
    unused: list[str] = field(default_factory=list)
    agreement: float | None = None


def confusion_of_halves(one: IntArray, two: IntArray, classes: IntArray) -> FloatArray:
    """``(class, class)`` chance that a member of the row's class is put into the column's.

    Two assignments of the same particles say how often they differ, not which class loses more: all
    classes are taken to be confused alike. With K classes of which a member is put into a wrong one
    by the chance e, both agree by (1 − e)² + e² / (K − 1).
    """
    others = max(len(classes) - 1, 1)
    chance = 1 / len(classes)
    agree = float(np.clip(np.mean(one == two), chance + 1e-9, 1.0))
    # The smaller root of e² (1 + 1/others) − 2 e + 1 − agree = 0.
    lead = 1 + 1 / others
    wrong = (1 - np.sqrt(max(1 - lead * (1 - agree), 0.0))) / lead
    matrix = np.full((len(classes),) * 2, wrong / others)
    np.fill_diagonal(matrix, 1 - wrong)
    return matrix


def correct_shares(shares: FloatArray, confusion: FloatArray) -> FloatArray:
    """Shares ``(…, class)`` as they were before classes were confused; 0 to 1, sum 1."""
    found = shares @ np.linalg.pinv(confusion)
    found = np.clip(found, 0, None)
    return np.asarray(found / np.maximum(found.sum(axis=-1, keepdims=True), 1e-12))


def confusion_of_latents(
    classes: NDArray[Any], halves: tuple[FloatArray, FloatArray], seed: int = 0
) -> tuple[FloatArray, float]:
    """How classes are confused, by latents of both tilt halves, and how often these agree.

    Each half puts every particle into a class by classifiers that saw the classes of others
    (`fold_shares`).

    Parameters
    ----------
    classes
        ``(particle,)``
    halves
        ``(particle, component)`` each, see `choosing_latents`.
    seed
        Of the folds.
    """
    kinds, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    one, two = ((fold_shares(codes, latents, seed) * counts).argmax(axis=1) for latents in halves)
    matrix = confusion_of_halves(one, two, np.arange(len(kinds)))
    return matrix, float(np.mean(one == two))


def shares_of_run(
    run: Run, classes: pd.Series, conditions: dict[str, str], seed: int = 0
) -> ClassShares:
    """Shares of the classes of a run's particles.

    Corrected for confusion where the run keeps latents of its tilt halves.

    Parameters
    ----------
    run
        Of the particles.
    classes
        By ``particle_id``.
    conditions
        Of each tomogram.
    seed
        Of bootstrap, permutations and folds.

    Raises
    ------
    BadInputError
        If a tomogram has no condition, or there is only one condition.
    """
    latents = run.latents()
    names = latents["tomogram"].astype(str).reindex(classes.index).to_numpy(np.str_)
    values = classes.to_numpy()
    matrix, agreement = None, None
    halves = kept_tilt_halves(run)
    if halves is not None and len(halves[0]) == len(latents) and len(np.unique(values)) > 1:
        rows = latents.index.get_indexer(classes.index)
        matrix, agreement = confusion_of_latents(values, (halves[0][rows], halves[1][rows]), seed)
    found = class_shares(values, names, conditions, matrix, seed)
    there = set(names.tolist())
    unused = sorted(set(conditions) - there - {Path(name).stem for name in there})
    return replace(found, agreement=agreement, unused=unused)


def read_conditions(path: Path) -> dict[str, str]:
    """Condition of each tomogram, of a CSV table with these two columns.

    Raises
    ------
    BadInputError
        If it is no such table, or a tomogram has no condition in its row, or two.
    """
    try:
        read = pd.read_csv(path, dtype=str)
        # Blanks that a spreadsheet left make no other condition.
        columns = {name: read[name].str.strip() for name in ("tomogram", "condition")}
    except (OSError, ValueError, KeyError) as error:
        raise BadInputError(
            f"{path}: not a table with the columns tomogram and condition ({error}).",
            code="bad-conditions",
        ) from error
    table = pd.DataFrame(columns).replace("", np.nan)
    _reject_doubtful(table, path)
    return dict(zip(table["tomogram"], table["condition"], strict=True))


def conditions_file(run: Run) -> Path:
    """Where a run keeps the conditions that were asked about last."""
    return run.analysis.folder / "conditions.csv"


def keep_conditions(run: Run, conditions: dict[str, str]) -> None:
    """Keep conditions in a run, for its report and the next time."""
    table = pd.DataFrame({"tomogram": conditions.keys(), "condition": conditions.values()})
    with written_atomically(conditions_file(run)) as temporary:
        table.to_csv(temporary, index=False)


def _reject_doubtful(table: pd.DataFrame, path: Path) -> None:
    """Raise where a tomogram has no condition in its row, or two."""
    empty = table["condition"].isna() | table["tomogram"].isna()
    if empty.any():
        row = int(empty.to_numpy().argmax())
        raise BadInputError(
            f"{path}: row {row + 1} lacks its tomogram or its condition.", code="bad-conditions"
        )
    each = table.drop_duplicates(["tomogram", "condition"])
    twice = each["tomogram"].duplicated()
    if twice.any():
        name = each.loc[twice, "tomogram"].iloc[0]
        said = each.loc[each["tomogram"] == name, "condition"].tolist()
        raise BadInputError(
            f"{path}: tomogram {name} has two conditions, {said[0]} and {said[1]}.",
            remedy="Leave one of these rows.",
            code="bad-conditions",
        )


def class_shares(
    classes: NDArray[Any],
    tomograms: NDArray[np.str_],
    conditions: dict[str, str],
    confusion: FloatArray | None = None,
    seed: int = 0,
) -> ClassShares:
    """Shares of classes by condition, with intervals and tests over tomograms.

    Parameters
    ----------
    classes, tomograms
        ``(particle,)`` class and tomogram.
    conditions
        Condition of each tomogram.
    confusion
        See `confusion_of_halves`; None: classes are taken for right.
    seed
        Of bootstrap and permutations.

    Raises
    ------
    BadInputError
        If a tomogram has no condition, or there is only one condition.
    """
    names, kinds = np.unique(tomograms), np.unique(classes)
    of_tomogram = conditions_of(names, conditions)
    counts = np.array([[np.sum((tomograms == n) & (classes == k)) for k in kinds] for n in names])
    matrix = np.eye(len(kinds)) if confusion is None else confusion
    rng = np.random.default_rng([seed, 0x5A])
    rows = []
    for condition in np.unique(of_tomogram):
        own = counts[of_tomogram == condition].astype(np.float64)
        drawn = own[rng.integers(len(own), size=(_BOOTSTRAPS, len(own)))].sum(axis=1)
        low, high = _interval(correct_shares(_normalized(drawn), matrix), len(own))
        plain = _normalized(own.sum(axis=0))
        corrected = correct_shares(plain, matrix)
        for number, kind in enumerate(kinds.tolist()):
            rows.append(
                {
                    "condition": condition,
                    "class": kind,
                    "tomograms": len(own),
                    "particles": int(own[:, number].sum()),
                    "share": plain[number],
                    "corrected": corrected[number],
                    "low": low[number],
                    "high": high[number],
                }
            )
    return ClassShares(pd.DataFrame(rows), _tests(counts, of_tomogram, kinds, rng))


def conditions_of(names: NDArray[np.str_], conditions: dict[str, str]) -> NDArray[np.str_]:
    """Condition of each of these tomograms.

    Raises
    ------
    BadInputError
        If one has none, or all have the same.
    """
    # A table may leave off what a program adds to the name, as in TS_01.tomostar.
    conditions = {
        name: conditions.get(name) or conditions.get(Path(name).stem, "")
        for name in map(str, names)
    }
    if missing := [name for name in conditions if not conditions[name]]:
        raise BadInputError(
            f"No condition is given for tomogram {missing[0]!r} ({len(missing)} of {len(names)}).",
            code="no-condition",
        )
    found = np.array(list(conditions.values()))
    if len(np.unique(found)) < 2:
        raise BadInputError("All tomograms have the same condition.", code="one-condition")
    return found


def _interval(drawn: FloatArray, tomograms: int) -> FloatArray:
    """Limits ``(2, class)`` of shares ``(draw, class)``; one tomogram says nothing of others."""
    limits = np.percentile(drawn, _INTERVAL, axis=0)
    return limits if tomograms > 1 else np.full_like(limits, np.nan)


def _normalized(counts: FloatArray) -> FloatArray:
    return np.asarray(counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1))


def _tests(
    counts: IntArray, conditions: NDArray[np.str_], kinds: NDArray[Any], rng: np.random.Generator
) -> dict[Any, float]:
    """Largest difference of mean shares of tomograms, against exchanged conditions."""
    shares = _normalized(counts.astype(np.float64))
    known = np.unique(conditions)
    if min(np.sum(conditions == one) for one in known) < 2:
        return {kind: float("nan") for kind in kinds.tolist()}
    indicator = (conditions[:, None] == known).astype(np.float64)
    indicator /= indicator.sum(axis=0)

    def spread(rows: FloatArray) -> FloatArray:
        means = np.einsum("...tc,tk->...ck", rows, shares)
        return np.asarray(means.max(axis=-2) - means.min(axis=-2))

    orders = rng.permuted(np.tile(np.arange(len(conditions)), (_PERMUTATIONS, 1)), axis=1)
    found, random = spread(indicator), spread(indicator[orders])
    p = (1 + (random >= found - 1e-12).sum(axis=0)) / (1 + _PERMUTATIONS)
    return {kind: float(value) for kind, value in zip(kinds.tolist(), p, strict=True)}
