"""Which states go with which surroundings, as it was asked last: ``analysis/context.csv`` of a run.

A row a column that was tested; of each state the last test is kept. States change (clusters are
made anew), so a test knows of which values it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.run.directory import Run

_CLEAR_Q = 0.05  # q up to which a column counts as clear
_EFFECTS = ["measure", "effect", "p_value", "q_value", "particles"]
_COLUMNS = ["state", "values", "asked", "permutations", "column", *_EFFECTS]


@dataclass(frozen=True, eq=False)
class ContextTest:
    """A state against the columns of surroundings.

    Attributes
    ----------
    state
        Name of its column.
    digest
        Of its values, see `digest_of`.
    permutations
        How often states were dealt out anew.
    table
        As `association.associations` gives it, the columns' names as its index.
    asked
        When, ISO 8601.
    """

    state: str
    digest: str
    permutations: int
    table: pd.DataFrame
    asked: str = ""

    @property
    def clear(self) -> frozenset[str]:
        """Columns that the state goes with, beyond chance for so many columns."""
        return frozenset(map(str, self.table.index[self.table["q_value"] <= _CLEAR_Q]))

    @property
    def sentence(self) -> str:
        """What was found, in one."""
        clear = len(self.clear) or "none"
        return (
            f"{column_label(self.state)}: {clear} of {len(self.table)} columns go with it "
            f"(q ≤ {_CLEAR_Q}), by {self.permutations:,} shuffles within tomograms."
        )


def digest_of(states: pd.Series) -> str:
    """A short name for the values of a state, index ``particle_id``, in whichever order.

    Particles without a value do not count.
    """
    rows = pd.util.hash_pandas_object(states.dropna().astype(str)).sort_values()
    return hashlib.sha256(rows.to_numpy().tobytes()).hexdigest()[:16]


def context_file(run: Run) -> Path:
    """Where a run keeps them."""
    return run.analysis.folder / "context.csv"


def keep_test(run: Run, test: ContextTest) -> None:
    """Keep a test in the run, in place of an earlier one of the same state."""
    rows = test.table.rename_axis("column").reset_index()
    rows = rows.assign(
        state=test.state,
        values=test.digest,
        permutations=test.permutations,
        asked=datetime.now().astimezone().isoformat(timespec="seconds"),
    )[_COLUMNS]
    before = _rows(context_file(run))
    rows = pd.concat([before[before["state"] != test.state], rows]) if len(before) else rows
    with written_atomically(context_file(run)) as temporary:
        rows.to_csv(temporary, index=False)


def kept_tests(run: Run) -> list[ContextTest]:
    """All that a run keeps, the last one last.

    Raises
    ------
    BadInputError
        If the file is no such table.
    """
    return [
        ContextTest(
            str(state),
            str(rows["values"].iloc[0]),
            int(rows["permutations"].iloc[0]),
            rows.set_index("column")[_EFFECTS],
            str(rows["asked"].iloc[0]),
        )
        for state, rows in _rows(context_file(run)).groupby("state", sort=False)
    ]


def _rows(path: Path) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=_COLUMNS)
    try:
        text = dict.fromkeys(["state", "values", "asked", "column", "measure"], str)
        table = pd.read_csv(path, dtype=text)[_COLUMNS]
        # Where there is nothing to measure there is no word for it either.
        table["measure"] = table["measure"].fillna("")
        return table.astype({"permutations": int, "particles": int, "effect": float})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path}: not a table of tests of surroundings ({error}).",
            code="bad-context",
            remedy="Delete it and test again.",
        ) from error
