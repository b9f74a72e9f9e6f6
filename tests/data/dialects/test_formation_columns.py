"""The table of columns is complete: whatever is documented is in it, and it is documented."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from napari_tomodrgn.data.dialects.formation_columns import FORMATION_COLUMNS, OTHER_COLUMNS

HERE = Path(__file__).parent
DOCS = Path(__file__).resolve().parents[3] / "docs" / "file-formats.md"


def documented() -> list[tuple[str, str]]:
    """Columns of RELION's and Warp's documentation, and of files that programs wrote."""
    with (HERE / "documented_columns.csv").open() as file:
        return [(row["column"], row["source"]) for row in csv.DictReader(file)]


def test_no_documented_column_is_missing() -> None:
    unknown = {
        column: source
        for column, source in documented()
        if column not in FORMATION_COLUMNS and column not in OTHER_COLUMNS
    }
    assert not unknown
    assert not FORMATION_COLUMNS.keys() & OTHER_COLUMNS
    sources = {source for _, source in documented()}
    assert sum("relion.readthedocs.io" in source for source in sources) >= 3
    assert any("warpem/warp" in source for source in sources)


def test_the_page_shows_the_table() -> None:
    page = DOCS.read_text()
    table = page[page.index("### Columns that touch image formation") :]
    for column in FORMATION_COLUMNS.values():
        assert f"`{column.name}`" in table, column.name


@pytest.mark.parametrize("action", ["used", "told", "done", "same"])
def test_every_action_is_explained(action: str) -> None:
    assert any(column.action == action for column in FORMATION_COLUMNS.values())
    assert f"| **{action}** |" in DOCS.read_text()
