"""Dialogs that save say so, and propose names that say what is in a file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from qtpy.QtWidgets import QDialog, QFileDialog, QMessageBox, QWidget

from napari_tomodrgn.gui.latent_space.trajectory_bar import TrajectoryBar
from napari_tomodrgn.gui.tomogram.export_page import ExportPage
from napari_tomodrgn.gui.volumes import movie_service
from napari_tomodrgn.gui.volumes.figure_dialog import MovieDialog
from napari_tomodrgn.gui.widgets import saving
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.actions import Action

IDS = frozenset({"TS/1", "TS/2"})


def test_a_dialog_that_saves_says_so(qtbot: Any, tmp_path: Any) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    proposed = str(tmp_path / "cluster_2.star")
    dialog = saving.saving_dialog(parent, "Save the particles", proposed, "Star files (*.star)")
    assert dialog.windowTitle() == "Save the particles"
    assert dialog.labelText(QFileDialog.DialogLabel.LookIn) == "Save in:"
    assert dialog.acceptMode() == QFileDialog.AcceptMode.AcceptSave
    assert dialog.selectedFiles() == [proposed]


@pytest.mark.parametrize(
    ("typed", "given"),
    [("a.star", "a.star"), ("TS_1.tomostar_7", "TS_1.tomostar_7.star"), ("b", "b.star")],
)
def test_a_file_gets_the_ending_that_it_lacks(
    qtbot: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, typed: str, given: str
) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    answer = QDialog.DialogCode.Accepted
    monkeypatch.setattr(QFileDialog, "exec", lambda _self: answer)
    monkeypatch.setattr(QFileDialog, "selectedFiles", lambda _self: [str(tmp_path / typed)])
    start = str(tmp_path / "x.star")
    found = saving.ask_for_file(parent, "Save", start, "Star files (*.star)")
    assert found == str(tmp_path / given)
    monkeypatch.setattr(QFileDialog, "exec", lambda _self: QDialog.DialogCode.Rejected)
    assert saving.ask_for_file(parent, "Save", start, "Star files (*.star)") == ""


def test_a_name_that_ends_as_another_kind_of_file_is_refused(
    qtbot: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """scatter.svg became scatter.svg.png, without a question."""
    parent, said, offered = QWidget(), [], []
    qtbot.addWidget(parent)
    typed = iter([str(tmp_path / "scatter.svg"), str(tmp_path / "scatter.png")])

    def take(dialog: QFileDialog) -> QDialog.DialogCode:
        offered.append(dialog.selectedFiles()[0])
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(QFileDialog, "exec", take)
    monkeypatch.setattr(
        saving, "_chosen", lambda *asked, real=saving._chosen: real(*asked) and next(typed)
    )
    monkeypatch.setattr(QMessageBox, "warning", lambda _parent, _title, words: said.append(words))
    start = str(tmp_path / "map.png")
    found = saving.ask_for_file(parent, "Save the picture", start, "Pictures (*.png)")
    assert found == str(tmp_path / "scatter.png")
    assert offered[-1] == found, "the name, with the ending that is written"
    [words] = said
    assert words.startswith("scatter.svg: this is written as .png, not as .svg.")


def test_the_next_file_is_offered_where_the_last_was_saved(
    qtbot: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, offered = QWidget(), []
    qtbot.addWidget(parent)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def take(dialog: QFileDialog) -> QDialog.DialogCode:
        offered.append(dialog.selectedFiles()[0])
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(QFileDialog, "exec", take)
    with monkeypatch.context() as typed:
        typed.setattr(QFileDialog, "selectedFiles", lambda _self: [str(elsewhere / "a.star")])
        saving.ask_for_file(parent, "Save", str(tmp_path / "x.star"), "Star files (*.star)")
    found = saving.ask_for_file(parent, "Save", str(tmp_path / "y.star"), "Star files (*.star)")
    assert offered[-1] == found == str(elsewhere / "y.star")


def test_several_files_go_into_a_new_folder(
    qtbot: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never among what is in the chosen one: what is there would have to be replaced."""
    parent, asked = QWidget(), []
    qtbot.addWidget(parent)

    def choose(_parent: Any, title: str, start: str) -> str:
        asked.append((title, start))
        return str(tmp_path)

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", choose)
    base = tmp_path / "base"
    base.mkdir()
    monkeypatch.setattr(saving, "_last_folder", [])

    def ask() -> str:
        return saving.ask_for_new_folder(parent, "Folder a_vs_b", base, "a_vs_b")

    assert ask() == str(tmp_path / "a_vs_b")
    (tmp_path / "a_vs_b").mkdir()
    (tmp_path / "a_vs_b_2").write_text("a file of somebody")
    assert ask() == str(tmp_path / "a_vs_b_3")
    assert asked == [
        ("Folder a_vs_b: choose where to put it", str(one)) for one in (base, tmp_path)
    ]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    assert ask() == ""


def test_particles_are_named_after_what_they_are() -> None:
    session: Any = Session()
    assert saving.name_of_particles(session) == "all"
    session.select(IDS, Action.of("select", sorted(IDS)))
    assert saving.name_of_particles(session) == "selected"
    session.select(IDS, Action.of("category", "cluster", "2"))
    assert saving.name_of_particles(session) == "cluster_2"
    session.select(IDS, Action.of("category", "cluster", "2", mode="add"))
    assert saving.name_of_particles(session) == "selected", "there are others"
    session.selections = (SimpleNamespace(name="60S, left", particles=tuple(IDS)),)
    assert saving.name_of_particles(session) == "60S_left"


def test_pictures_and_maps_are_named_after_what_is_on_show() -> None:
    shown: Any = SimpleNamespace(
        decoded=SimpleNamespace(particle_id="TS_001.tomostar/91", effective_particles=None),
        canvas_mode="particle",
        tomogram="TS 2",
        comparison=SimpleNamespace(names=("cluster 1", "cluster 2")),
        class_map=None,
    )
    assert saving.words_for_maps(shown) == "Map on show"
    assert saving.name_of_map(shown) == "TS_001.tomostar_91"
    assert saving.name_of_picture(shown) == "TS_001.tomostar_91.png"
    shown.decoded.effective_particles = 31.0
    assert saving.words_for_maps(shown) == "Map on show, from images"
    assert saving.name_of_map(shown) == "TS_001.tomostar_91_from_images"
    assert saving.name_of_picture(shown) == "TS_001.tomostar_91_from_images.png"
    shown.decoded.effective_particles = None
    shown.canvas_mode = "tomogram"
    assert saving.name_of_picture(shown) == "TS_2.png"
    assert saving.words_for_maps(shown) == "Map of the particle in focus"
    shown.canvas_mode = "comparison"
    assert saving.name_of_picture(shown) == "cluster_1_vs_cluster_2.png"
    assert saving.words_for_maps(shown) == "Maps of A, B and A − B", "and no particle's"
    shown.canvas_mode, shown.decoded = "particle", None
    assert saving.name_of_picture(shown) == "map.png"


@pytest.mark.parametrize("encoder", [True, False])
def test_mp4_is_offered_where_it_can_be_written(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch, encoder: bool
) -> None:
    there = {"json": "x"} if encoder else {"no_such_package": "x"}
    monkeypatch.setattr(movie_service, "_ENCODERS", there)
    session, offered = Session(), []
    page, bar = ExportPage(session), TrajectoryBar(session)
    for one in (page, bar):
        qtbot.addWidget(one)
    monkeypatch.setattr(saving, "_chosen", lambda *asked: offered.append(asked[-1]) or "")
    monkeypatch.setattr(MovieDialog, "exec", lambda _self: 1)
    page.turntable.setEnabled(True)
    page.turntable.click()
    bar._ask_for_movie()
    assert len(offered) == 2
    for kinds in offered:
        assert ("*.mp4" in kinds) == encoder and "*.gif" in kinds
        assert encoder or "imageio-ffmpeg" in kinds, "and what it would take"
