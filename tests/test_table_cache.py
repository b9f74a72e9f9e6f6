"""Answers kept while their tables live."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn import particle_columns
from napari_tomodrgn.table_cache import kept


@dataclass(frozen=True)
class _Setting:
    of: str


def _table(count: int = 5, *, seed: int = 0) -> pd.DataFrame:
    names = pd.Index([f"TS_{row % 3}/{row}" for row in range(count)], name="particle_id")
    mu = np.random.default_rng(seed).normal(size=(count, 3)) * (3, 2, 1)
    table = pd.DataFrame({f"mu_{axis}": mu[:, axis] for axis in range(3)}, index=names)
    table["tomogram"] = [name[:4] for name in names]
    return table


def test_an_answer_is_worked_out_once_a_table_and_goes_with_it() -> None:
    asked: list[str] = []

    @kept(2)
    def lengths(table: pd.DataFrame, word: str, setting: _Setting) -> int:
        asked.append(word)
        return len(table)

    one, other = _table(5), _table(7)
    assert [lengths(one, "a", _Setting("x")) for _ in range(3)] == [5, 5, 5]
    assert lengths(other, "a", _Setting("x")) == 7, "another table with the same other arguments"
    assert lengths(one, "a", _Setting("x")) == 5
    assert asked == ["a", "a"], "equal settings are the same; each table is asked of once"
    lengths(one, "b", _Setting("x"))
    lengths(other, "a", _Setting("x"))
    assert asked == ["a", "a", "b", "a"], "only two are kept, the others are worked out again"
    del one, other
    gc.collect()
    # Were answers of dead tables kept, one at the same address could be given them.
    assert [lengths(_table(count), "a", _Setting("x")) for count in (3, 4, 6)] == [3, 4, 6]


def test_components_are_found_once_for_axes_labels_and_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, real = [], particle_columns.axes_of_table
    monkeypatch.setattr(
        particle_columns, "axes_of_table", lambda table: calls.append(1) or real(table)
    )
    table = _table(200)
    scores, share = particle_columns.principal_components(particle_columns.latent_matrix(table))
    for number in (1, 2, 3):
        found = particle_columns.ParticleTable(table, None).column(f"PC {number}")
        np.testing.assert_allclose(found.values, scores[:, number - 1], atol=1e-12)
        assert (
            particle_columns.axis_label(table, f"PC {number}")
            == f"PC {number} ({share[number - 1]:.0%})"
        )
    assert len(calls) == 1


def test_rows_and_masks_are_those_that_pandas_finds() -> None:
    table = _table(40)
    wanted = [*table.index[[3, 7, 39]], "TS_9/nobody"]
    assert [particle_columns.row_of(table, name) for name in wanted] == [3, 7, 39, -1]
    assert particle_columns.row_of(table, None) == -1
    np.testing.assert_array_equal(particle_columns.mask_of(table, wanted), table.index.isin(wanted))
    assert not particle_columns.mask_of(table, ()).any()
    mask = np.arange(40) % 4 == 1
    assert particle_columns.names_where(table, mask) == frozenset(table.index[mask])


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_categories_are_sorted_words_and_missing_ones_have_no_code(dtype: str) -> None:
    table = _table(5)
    table["state"] = pd.Series(["b", None, "a", "b", "c"], index=table.index, dtype=dtype)
    found = particle_columns.ParticleTable(table, None).column("state")
    assert found.categories == ("a", "b", "c")
    assert found.values.tolist() == [1, -1, 0, 1, 2]


def test_columns_of_the_same_particles_are_added_without_a_join() -> None:
    table = _table(6)
    extras = pd.DataFrame({"old": range(6), "UMAP 1": np.zeros(6)}, index=table.index)
    added = pd.DataFrame({"UMAP 1": np.arange(6.0)}, index=table.index.copy())
    joined = particle_columns.with_columns(extras, added)
    assert joined["UMAP 1"].tolist() == [0, 1, 2, 3, 4, 5] and joined["old"].tolist() == [*range(6)]
    assert joined.index.name == "particle_id"
    fewer = particle_columns.with_columns(extras, added.iloc[:2])
    assert fewer["UMAP 1"].isna().sum() == 4 and len(fewer) == 6
