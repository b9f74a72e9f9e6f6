"""Where the tomograms are: kept for the data set that it was said of, told beside the field."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_tomodrgn.gui.widgets.stored_settings import load_setting, save_setting
from napari_tomodrgn.gui.widgets.tomogram_places import (
    TomogramPlaces,
    data_set_of,
    load_places,
    save_places,
)

pytestmark = pytest.mark.usefixtures("checked_once")


@pytest.fixture
def tomograms(tiny_star: Path) -> Path:
    """The folder of the tiny set's two tomograms."""
    return tiny_star.parent.parent / "tomograms"


@pytest.fixture
def moved(tiny_star: Path, tmp_path: Path) -> Path:
    """The star file of the tiny set, where no tomograms are."""
    folder = tmp_path / "far" / "away" / "set"
    return shutil.copytree(tiny_star.parent, folder) / tiny_star.name


@pytest.fixture
def files(widget: Any) -> Any:
    return widget.tomogram.files


@pytest.fixture
def typed(widget: Any, qtbot: Any) -> Callable[..., None]:
    """Types into the fields of the tomograms' files and leaves them."""

    def typed(**fields: str) -> None:
        for name, text in fields.items():
            box = getattr(widget.tomogram.files, name)
            box.setText(text)
            box.editingFinished.emit()
            qtbot.waitUntil(lambda: widget.controller.idle)

    return typed


def _column(widget: Any) -> list[str]:
    rows = widget.tomogram.list
    return [rows.topLevelItem(at).text(2) for at in range(rows.topLevelItemCount())]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pattern": "tomogram_001.mrc"}, "Write {name}"),
        ({"pattern": "/anywhere/{name}.mrc"}, "no name of a file"),
        ({"pattern": "**{name}"}, "no name of a file"),
        ({"folder": "/no/such/folder"}, "Not a folder"),
        ({"folder": "~nobody-at-all/x"}, "Not a folder"),
    ],
)
def test_what_is_refused_is_told_beside_the_field_and_not_kept(
    widget: Any,
    files: Any,
    tiny_star: Path,
    opened: Callable[[Path], Any],
    typed: Callable[..., None],
    fields: dict[str, str],
    words: str,
) -> None:
    session = opened(tiny_star)
    news = session.message
    assert _column(widget) == ["found", "found"]
    typed(**fields)
    assert words in files.words.text()
    assert session.message is news, "no news of anybody else is replaced"
    assert _column(widget) == ["found", "found"], "what was found stays"
    assert load_places(data_set_of(session)) == TomogramPlaces()
    session.reset()
    assert opened(tiny_star).message is None or "pattern" not in session.message.text
    assert (files.folder.text(), files.pattern.text()) == ("", "{name}*.mrc")
    assert files.words.text() == "2 of 2 tomograms have a file."


def test_what_was_said_of_one_set_is_not_said_of_another(
    widget: Any,
    files: Any,
    tiny_star: Path,
    tiny_run: Path,
    moved: Path,
    tomograms: Path,
    opened: Callable[[Path], Any],
    typed: Callable[..., None],
) -> None:
    session = opened(moved)
    assert _column(widget) == ["not found", "not found"]
    assert "choose their folder" in files.words.text()
    typed(folder=str(tomograms), pattern="{name}.mrc")
    assert _column(widget) == ["found", "found"]
    session.reset()
    opened(tiny_star)
    assert (files.folder.text(), files.pattern.text()) == ("", "{name}*.mrc")
    typed(pattern="{name}_denoised*.mrc")
    assert _column(widget) == ["not found", "not found"]
    session.reset()
    opened(tiny_run)  # trained on that set: said of it, said of its runs
    assert files.pattern.text() == "{name}_denoised*.mrc"
    session.reset()
    opened(moved)
    assert (files.folder.text(), files.pattern.text()) == (str(tomograms), "{name}.mrc")
    assert _column(widget) == ["found", "found"]


def test_what_an_earlier_version_kept_greets_nobody(
    widget: Any, files: Any, tiny_star: Path, tomograms: Path, opened: Callable[[Path], Any]
) -> None:
    for place in (None, tiny_star):
        save_setting("tomogram pattern", place, "tomogram_001.mrc")
        save_setting("tomogram folder", None, "/of/others")
        save_setting("tomogram files", place, '[3, "no table"]')
    session = opened(tiny_star)
    assert session.message is None or session.message.severity != "error"
    assert _column(widget) == ["found", "found"]
    assert files.pattern.text() == "{name}*.mrc"
    assert load_setting("tomogram pattern", tiny_star) == "", "nor does it stay"


def test_a_folder_that_is_gone_is_told_beside_it(
    widget: Any,
    files: Any,
    moved: Path,
    tomograms: Path,
    tmp_path: Path,
    opened: Callable[[Path], Any],
) -> None:
    away = shutil.copytree(tomograms, tmp_path / "disk")
    save_places(moved.resolve(), TomogramPlaces(str(away)))
    shutil.rmtree(away)
    session = opened(moved)
    assert session.message is None or session.message.severity != "error"
    assert files.words.text() == f"Not a folder: {away}"
    shutil.copytree(tomograms, away)  # the disk is there again
    session.reset()
    opened(moved)
    assert _column(widget) == ["found", "found"]


def test_a_file_that_was_chosen_is_remembered_until_it_cannot_be_read(
    widget: Any,
    files: Any,
    qtbot: Any,
    moved: Path,
    tomograms: Path,
    tmp_path: Path,
    opened: Callable[[Path], Any],
    typed: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = Path(shutil.copy(sorted(tomograms.glob("*.mrc"))[0], tmp_path / "odd name.mrc"))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(chosen), ""))
    session, rows = opened(moved), widget.tomogram.list
    rows.itemClicked.emit(rows.topLevelItem(0), 2)
    qtbot.waitUntil(lambda: _column(widget) == ["found", "not found"])
    typed(pattern="{name}_other*.mrc")
    assert _column(widget) == ["found", "not found"], "another pattern is for the others"
    session.reset()
    opened(moved)
    assert _column(widget) == ["found", "not found"]
    assert list(session.tomogram_files.values()) == [chosen]
    chosen.write_bytes(b"no map")
    rows.itemClicked.emit(rows.topLevelItem(0), 0)
    qtbot.waitUntil(lambda: _column(widget) == ["not found", "not found"])
    assert session.message.severity == "error" and "odd name.mrc" in session.message.text
    assert load_places(data_set_of(session)).chosen == {}
    assert "Opening" not in widget.tomogram.status.text()


def test_a_chosen_file_that_is_gone_is_told_beside_the_folder(
    files: Any, moved: Path, tmp_path: Path, opened: Callable[[Path], Any]
) -> None:
    save_places(moved.resolve(), TomogramPlaces(chosen={"TS_001.tomostar": tmp_path / "away.mrc"}))
    session = opened(moved)
    assert session.message is None or session.message.severity != "error"
    assert files.words.text().endswith("No longer there: away.mrc.")


def test_a_run_trained_from_the_particles_of_another_knows_their_tomograms(
    widget: Any,
    files: Any,
    qtbot: Any,
    moved: Path,
    tiny_config: Any,
    tomograms: Path,
    tmp_path: Path,
    opened: Callable[[Path], Any],
    typed: Callable[..., None],
) -> None:
    session, first, second = opened(moved), tmp_path / "run1", tmp_path / "run2"

    def train(out: Path) -> None:
        widget.controller.training.start(tiny_config, out)
        qtbot.waitUntil(lambda: session.run is not None and session.run.path.name == out.name)
        qtbot.waitUntil(lambda: widget.controller.idle)

    train(first)
    session.reset()
    opened(first)
    assert _column(widget) == ["not found", "not found"]
    typed(folder=str(tomograms))
    assert _column(widget) == ["found", "found"]
    train(second)
    assert files.folder.text() == str(tomograms) and _column(widget) == ["found", "found"]
    session.reset()
    shutil.rmtree(first)
    opened(second)
    assert files.folder.text() == str(tomograms) and _column(widget) == ["found", "found"]


def test_the_news_of_a_training_are_not_replaced(
    widget: Any,
    files: Any,
    qtbot: Any,
    tiny_star: Path,
    opened: Callable[[Path], Any],
    typed: Callable[..., None],
    tiny_run: Path,
) -> None:
    """A run that begins or ends looks for the tomograms anew."""
    from napari_tomodrgn.learn.run.directory import Run

    session = opened(tiny_star)
    typed(pattern="tomogram_001.mrc")
    session.show_message("The training ended after epoch 3.")
    session.run = Run.open(tiny_run)
    qtbot.waitUntil(lambda: widget.controller.idle)
    assert session.message.text == "The training ended after epoch 3."
