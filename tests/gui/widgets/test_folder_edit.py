"""A line for a folder shows which folder, also where there is no room for its path."""

from __future__ import annotations

from typing import Any

from napari_tomodrgn.gui.widgets.folder_edit import FolderEdit, shortened

PATH = "/data/mine/session 12/particles_optimisation_set_run02"


def test_a_long_path_keeps_the_beginning_and_the_end_of_its_folder(qtbot: Any) -> None:
    edit = FolderEdit("Everything of the run is written here", "a new folder", "Folder")
    qtbot.addWidget(edit)
    letters = edit.line.fontMetrics()
    whole = letters.horizontalAdvance(PATH)
    assert shortened(PATH, letters, whole) == PATH
    seen = [shortened(PATH, letters, room) for room in range(whole - 1, 60, -20)]
    assert seen[0] == "…/particles_optimisation_set_run02"
    assert all(letters.horizontalAdvance(words) < whole for words in seen)
    assert seen[-1].startswith("…/p") and seen[-1].endswith("2") and seen[-1].count("…") == 2


def test_a_narrow_line_shows_it_and_tells_the_path_to_the_pointer(qtbot: Any) -> None:
    edit = FolderEdit("Everything of the run is written here", "a new folder", "Folder")
    qtbot.addWidget(edit)
    edit.set_folder(PATH)
    assert edit.folder == PATH and edit.line.toolTip().endswith(PATH)
    edit.resize(220, 30)
    edit.show()
    edit.line.clearFocus()
    short = edit.line.grab()
    edit.set_folder("…/" + "x" * 3)
    assert edit.line.grab().toImage() != short.toImage(), "something is drawn"
    edit.set_folder("")
    assert edit.line.toolTip() == "Everything of the run is written here"
