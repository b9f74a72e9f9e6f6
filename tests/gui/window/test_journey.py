"""The whole way through the window on a tiny set; `benchmarks/journey.py` goes it at full size."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.slow
def test_from_star_file_to_a_selection_in_a_reopened_run(
    make_napari_viewer: Callable[..., Any],
    tiny_star: Path,
    tiny_config: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    journey = importlib.import_module("journey")

    def viewer() -> Any:
        made = make_napari_viewer(show=True)
        made.window.resize(1100, 720)
        return made

    class OnATinyNetwork(journey.Traveller):
        def find_widget(self) -> None:
            super().find_widget()
            if self.widget.session.run is None:
                self.widget.training._show(tiny_config)

    traveller = OnATinyNetwork(viewer, tmp_path, epochs=4)
    with journey.watched(traveller):
        traveller.go(tiny_star)
    assert traveller.raised == []
    assert len(traveller.told) == 15
    assert (tmp_path / "run" / "analysis" / "selections" / f"{journey.NAME}.json").is_file()
