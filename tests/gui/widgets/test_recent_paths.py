"""Where dialogs begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_tomodrgn.gui.widgets.recent_paths import export_folder


@pytest.mark.parametrize(
    ("source", "begins"),
    [
        (None, "home"),
        ("/data/set/particles.star", "/data/set"),
        ("/home/me/.cache/napari-tomodrgn/sample-run", "home"),
        ("/Users/me/Library/Caches/napari-tomodrgn/sample-run", "home"),
    ],
)
def test_files_are_not_saved_where_nobody_finds_them(source: str | None, begins: str) -> None:
    found = export_folder(None if source is None else Path(source))
    assert found == (Path.home() if begins == "home" else Path(begins))
