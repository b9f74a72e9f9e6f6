"""Selections in a real window: lasso, undo, names that outlive it, export."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_tomodrgn.gui.charts.interactive_scatter import LassoSelection
from napari_tomodrgn.particle_columns import selections_column
from napari_tomodrgn.session.enclosing import combine_selections

LONG = 60_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may write selections into."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def _lasso(widget: Any, rows: list[int], mode: str = "replace") -> None:
    mask = np.zeros(len(widget.session.latents), bool)
    mask[rows] = True
    widget.latent.view.lassoed.emit(LassoSelection(mask, mode))


def _rows(widget: Any) -> list[int]:
    index = widget.session.latents.index
    return sorted(int(index.get_loc(name)) for name in widget.session.selection)


def test_lassos_add_and_subtract_and_all_of_it_can_be_undone(
    widget: Any, opened: Callable[[Path], Any], run: Path
) -> None:
    opened(run)
    tools = widget.latent.tools
    assert not tools.undo.isEnabled()
    _lasso(widget, [1, 2, 3])
    _lasso(widget, [7], "add")
    _lasso(widget, [2], "subtract")
    assert _rows(widget) == [1, 3, 7]
    _lasso(widget, [3, 7, 9], "intersect")
    assert _rows(widget) == [3, 7]
    QTest.mouseClick(tools.invert, LEFT)
    assert len(_rows(widget)) == 22
    for expected in ([3, 7], [1, 3, 7], [1, 2, 3, 7], [1, 2, 3], []):
        QTest.mouseClick(tools.undo, LEFT)
        assert _rows(widget) == expected
    assert not tools.undo.isEnabled()
    QTest.mouseClick(tools.redo, LEFT)
    assert _rows(widget) == [1, 2, 3]
    QTest.mouseClick(tools.clear, LEFT)
    assert _rows(widget) == []
    assert not tools.redo.isEnabled()


def test_a_name_outlives_the_window_and_colors_the_points(
    widget: Any,
    opened: Callable[[Path], Any],
    drawn: Callable[[], None],
    run: Path,
    tiny_star: Path,
    qtbot: Any,
) -> None:
    session, panel = opened(run), widget.selections
    for name, rows in (("60S only", [4, 5]), ("whole", [9, 10, 11])):
        _lasso(widget, rows)
        panel.name.setText(name)
        QTest.mouseClick(panel.keep, LEFT)
    qtbot.waitUntil(lambda: len(session.selections) == 2, timeout=LONG)
    assert "whole" in widget.banner.text
    opened(tiny_star)
    assert panel.list.count() == 0
    session = opened(run)
    assert [panel.list.item(row).text() for row in (0, 1)] == ["60S only   2", "whole   3"]
    panel.list.itemClicked.emit(panel.list.item(1))
    assert _rows(widget) == [9, 10, 11]
    widget.latent.tools.clear_requested.emit()
    QTest.mouseClick(panel.color, LEFT)
    drawn()
    assert widget.latent.color.currentText() == "selections"
    colors = widget.latent.view._colors
    assert len({tuple(colors[row]) for row in (4, 9, 0)}) == 3
    panel.list.setCurrentRow(0)
    QTest.mouseClick(panel.delete, LEFT)
    qtbot.waitUntil(lambda: len(session.selections) == 1, timeout=LONG)
    assert not (run / "analysis" / "selections" / "60S only.json").exists()


def test_regions_are_saved_one_after_the_other_each_in_its_color(
    widget: Any, opened: Callable[[Path], Any], drawn: Callable[[], None], run: Path, qtbot: Any
) -> None:
    session, panel = opened(run), widget.selections
    for number, rows in enumerate(([4, 5], [9, 10, 11], [0]), start=1):
        _lasso(widget, rows)
        assert panel.name.placeholderText() == f"Name, or leave it: region {number}"
        QTest.mouseClick(panel.keep, LEFT)
        qtbot.waitUntil(lambda number=number: len(session.selections) == number, timeout=LONG)
    assert [one.name for one in session.selections] == ["region 1", "region 2", "region 3"]
    assert session.color == "selections", "seen in their colours at once"
    session.selection = frozenset()
    drawn()
    colors = widget.latent.view._colors
    assert len({tuple(colors[row]) for row in (4, 9, 0, 6)}) == 4
    assert tuple(colors[4]) == tuple(colors[5])


def test_regions_saved_within_a_moment_get_names_and_colors_of_their_own(
    widget: Any, opened: Callable[[Path], Any], run: Path, qtbot: Any
) -> None:
    session, panel = opened(run), widget.selections
    for rows in ([4, 5], [9, 10, 11], [0]):
        _lasso(widget, rows)
        QTest.mouseClick(panel.keep, LEFT)  # while the one before is being written
    assert len(session.selections_in_writing) == 3
    assert not session.selections
    qtbot.waitUntil(lambda: len(session.selections) == 3, timeout=LONG)
    found = {one.name: len(one.particles) for one in session.selections}
    assert found == {"region 1": 2, "region 2": 3, "region 3": 1}
    assert len({one.color for one in session.selections}) == 3
    assert not session.selections_in_writing
    panel.list.setCurrentRow(1)
    QTest.mouseClick(panel.delete, LEFT)
    qtbot.waitUntil(lambda: len(session.selections) == 2, timeout=LONG)
    assert panel.name.placeholderText() == "Name, or leave it: region 2", "the name is free again"


def test_a_name_that_is_taken_is_numbered_and_replaces_nothing(
    widget: Any, opened: Callable[[Path], Any], run: Path, qtbot: Any
) -> None:
    from napari_tomodrgn.analysis.selections import load_selection, selection_names

    session, panel = opened(run), widget.selections

    def save(rows: list[int], name: str) -> None:
        _lasso(widget, rows)
        panel.name.setText(name)
        QTest.mouseClick(panel.keep, LEFT)

    save([4, 5], "half")
    save([9, 10, 11], "half")  # while the first is being written
    qtbot.waitUntil(lambda: len(session.selections) == 2, timeout=LONG)
    assert "3 particles saved as 'half 2'" in widget.banner.text
    assert "'half' was there already" in widget.banner.text
    save([0], "Half")  # one file with half on some file systems
    qtbot.waitUntil(lambda: len(session.selections) == 3, timeout=LONG)
    save([4, 5], "half")  # the very same set
    qtbot.waitUntil(lambda: "2 particles saved as 'half' in" in widget.banner.text, timeout=LONG)
    assert selection_names(run) == ["Half 3", "half", "half 2"]
    kept = {name: len(load_selection(run, name).particles) for name in selection_names(run)}
    assert kept == {"half": 2, "half 2": 3, "Half 3": 1}
    assert {one.name: len(one.particles) for one in session.selections} == kept
    assert len({one.color for one in session.selections}) == 3


def test_a_bad_name_is_refused_and_a_damaged_selection_told_of(
    widget: Any, opened: Callable[[Path], Any], run: Path, qtbot: Any
) -> None:
    opened(run)
    _lasso(widget, [1])
    widget.controller.selections.save("../x")
    qtbot.waitUntil(lambda: "cannot be called" in widget.banner.text, timeout=LONG)
    assert not widget.session.selections
    assert not widget.session.selections_in_writing
    (run / "analysis" / "selections").mkdir(parents=True, exist_ok=True)
    (run / "analysis" / "selections" / "torn.json").write_text("{")
    session = opened(run)
    qtbot.waitUntil(lambda: "torn.json" in widget.banner.text, timeout=LONG)
    assert session.latents is not None


def test_the_selected_particles_are_exported(
    widget: Any, opened: Callable[[Path], Any], run: Path, tmp_path: Path, qtbot: Any
) -> None:
    from napari_tomodrgn.data.dialects import read_particles

    opened(run)
    _lasso(widget, [2, 20])
    assert widget.selections.export.isEnabled()
    column = pd.Series(range(24), index=widget.session.latents.index, name="tomodrgnNumber")
    widget.session.added_columns = column.astype(str).to_frame()
    # The step Validate and the step Export write one thing.
    files = [tmp_path / step / "some.star" for step in ("validate", "export")]
    pages = (widget.selections.export_requested, widget.export.star_requested)
    for path, page in zip(files, pages, strict=True):
        page.emit(str(path))
        qtbot.waitUntil(lambda path=path: path.exists() and widget.controller.idle, timeout=LONG)
        assert "2 particles with 1 more column," in widget.banner.text
    assert files[0].read_bytes() == files[1].read_bytes()
    written = files[0].with_name(widget.banner.text.split()[0])
    assert set(read_particles(written).ids) == widget.session.selection
    # The dialog asks about a file that is there; the set itself is none that may be replaced.
    source = widget.session.particles.source
    star = source.path if source.path.name != "particles.star" else run / "particles.star"
    before = star.read_bytes()
    widget.selections.export_requested.emit(str(star))
    qtbot.waitUntil(lambda: "is not written over" in widget.banner.text, timeout=LONG)
    assert star.read_bytes() == before


def test_a_selection_is_reconstructed_beside_the_decoded_map(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], run: Path, qtbot: Any
) -> None:
    from napari_tomodrgn.gui.volumes.volume_view import RECONSTRUCTION

    session = opened(run)
    assert not widget.validation.button.isEnabled()
    _lasso(widget, list(range(12)))
    widget.validation.button.click()
    assert session.reconstruction_status.busy
    qtbot.waitUntil(lambda: session.validation is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert session.validation.particles == 12
    assert "12 particles" in widget.validation.result.text()
    assert len(widget.validation.plot.curves) == 1
    layer = viewer.layers[f"{RECONSTRUCTION} selection"]
    box = session.validation.volume.box_size_px * session.validation.volume.voxel_size_angstrom
    assert layer.translate[2] == pytest.approx(0.8 * box)
    assert (run / "analysis" / "reconstructions" / "selection" / "fsc.csv").is_file()
    opened(run)
    assert not [one for one in viewer.layers if one.name.startswith(RECONSTRUCTION)], (
        "it says nothing about the next set"
    )


def test_named_selections_are_a_column_with_colors() -> None:
    table = pd.DataFrame(index=[f"TS/{row}" for row in range(50)])
    kept = [
        SimpleNamespace(name="a", particles=("TS/1", "TS/2"), color="#112233"),
        SimpleNamespace(name="b", particles=("TS/2", "gone/1"), color="#445566"),
    ]
    found = selections_column(table, kept)  # type: ignore[arg-type]
    assert found.values[:4].tolist() == [-1, 0, 1, -1]
    assert found.categories == ("a", "b")
    assert found.colors == ("#112233", "#445566")


def test_a_lasso_replaces_adds_or_subtracts() -> None:
    now, more = frozenset("ab"), frozenset("bc")
    assert combine_selections(now, more, "replace") == more
    assert combine_selections(now, more, "add") == frozenset("abc")
    assert combine_selections(now, more, "subtract") == frozenset("a")


def test_a_selection_moves_nothing_under_the_mouse(
    widget: Any, opened: Callable[[Path], Any], run: Path, qtbot: Any
) -> None:
    """From the buttons of selections down to Compare, and in the latent space."""
    session = opened(run)
    widget.tabs.setCurrentWidget(widget._judging)
    page, latent = widget._judging.widget(), widget.latent
    still = (
        *(widget.selections.name, widget.selections.export, widget.validation.button),
        *(widget.comparison.a, widget.comparison.compare),
    )

    def places() -> list[int]:
        beside = [one.mapTo(latent, one.rect().topLeft()).y() for one in (latent.card, latent.view)]
        return [one.mapTo(page, one.rect().topLeft()).y() for one in still] + beside

    qtbot.waitUntil(lambda: places()[:5] == sorted(places()[:5]))
    qtbot.wait(400)  # until the page has settled
    before = places()
    assert "Nothing is selected" in widget.selections.count.text()
    _lasso(widget, [1, 2, 3])
    assert widget.selections.count.text().startswith("3 of ")
    qtbot.wait(400)
    assert places() == before
    session.select(frozenset())
    qtbot.wait(400)
    assert places() == before


def test_a_name_that_is_refused_stays_and_undo_marks_nothing(qtbot: Any) -> None:
    from napari_tomodrgn.analysis.selections import Selection
    from napari_tomodrgn.gui.selections.panel import SelectionsPanel
    from napari_tomodrgn.session import Session

    session = Session()
    panel = SelectionsPanel(session)
    qtbot.addWidget(panel)
    asked: list[str] = []
    panel.save_requested.connect(asked.append)
    panel.name.setText("a/b")
    panel._save()
    session.selection = frozenset({"1", "2"})
    assert asked == ["a/b"] and panel.name.text() == "a/b", "there is no selection of it"
    panel.name.setText("two")
    session.selections = (Selection(name="two 2", particles=("1", "2")),)
    assert not panel.name.text(), "numbered, as another had the name"
    panel.list.setCurrentRow(0)
    panel.refresh()
    assert panel._chosen() == "two 2" and panel.delete.isEnabled()
    session.selection = frozenset({"1"})  # as after undo
    assert not panel._chosen() and not panel.delete.isEnabled()
