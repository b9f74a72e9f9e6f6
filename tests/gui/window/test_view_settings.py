"""What the window remembers, in a file that tests keep to themselves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt

from napari_tomodrgn.gui.widgets.recent_paths import last_folder, recent, short_names
from napari_tomodrgn.gui.widgets.stored_settings import load_setting, save_setting
from napari_tomodrgn.gui.window.view_settings import ViewSettings
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import TrainingStatus


def _show(session: Session, run: Run) -> None:
    session.reset()
    session.source, session.run = run.path, run
    session.latents = run.latents()


@pytest.fixture
def runs(tiny_run: Path, tmp_path: Path) -> list[Run]:
    return [Run.open(shutil.copytree(tiny_run, tmp_path / name)) for name in ("a", "b")]


def test_each_run_gets_its_view_back(runs: list[Run]) -> None:
    session = Session()
    keeper = ViewSettings(session)
    _show(session, runs[0])
    session.axes, session.color = ("z 1", "PC 2"), "tomogram"
    _show(session, runs[1])
    session.axes, session.color = ("PC 1", "UMAP 1"), "z 0"
    del keeper
    later = Session()
    again = ViewSettings(later)
    _show(later, runs[0])
    assert (later.axes, later.color) == (("z 1", "PC 2"), "tomogram")
    _show(later, runs[1])
    assert (later.axes, later.color) == (("PC 1", "UMAP 1"), "z 0")
    assert again.session is later


def test_a_copy_of_a_run_opens_as_the_run_does(runs: list[Run]) -> None:
    session = Session()
    keeper = ViewSettings(session)
    clusters = runs[0].latents()[[]].assign(cluster="0")

    def show(run: Run, *, clustered: bool) -> tuple[tuple[str, str], str]:
        session.reset()
        session.update(
            source=run.path,
            run=run,
            added_columns=clusters if clustered else None,
            latents=run.latents(),
        )
        return session.axes, session.color

    assert show(runs[0], clustered=True)[1] == "cluster", "also where nobody has seen it before"
    assert show(runs[1], clustered=False)[1] == ""
    show(runs[0], clustered=True)
    session.axes, session.color = ("z 1", "PC 2"), "cluster"
    third = Run.open(shutil.copytree(runs[0].path, runs[0].path.parent / "copy"))
    assert show(third, clustered=True) == (("z 1", "PC 2"), "cluster")
    session.color = ""
    assert show(runs[0], clustered=True) == (("z 1", "PC 2"), "cluster"), "each has its own"
    assert show(third, clustered=True) == (("z 1", "PC 2"), ""), "as it was chosen"
    fourth = Run.open(shutil.copytree(runs[0].path, runs[0].path.parent / "earlier"))
    show(runs[0], clustered=True)
    session.color = ""
    session.color = "cluster"
    assert show(fourth, clustered=False)[1] == "", "which was copied before there were clusters"
    assert keeper.session is session


def test_axes_that_nobody_chose_stay_while_it_trains(runs: list[Run]) -> None:
    session = Session()
    keeper = ViewSettings(session)
    session.training = TrainingStatus("training")
    both = runs[0].latents()
    flat = both.assign(
        **{name: 1e-3 * both[name] for name in both if name.startswith("mu_") and name != "mu_0"}
    )
    session.run = runs[0]
    seen = []
    for table in (flat, flat.copy(), both, flat, both):
        session.latents = table
        seen.append(session.axes[1])
    assert seen == ["strip", "strip", "PC 2", "PC 2", "PC 2"]
    session.latents = flat.copy()  # the last ones, in which a second component has vanished
    session.training = TrainingStatus("idle")
    assert session.axes == ("", ""), "the default of what stays, here a strip"
    session.training = TrainingStatus("training")
    session.axes = ("z 0", "z 1")
    session.latents = flat.copy()
    assert session.axes == ("z 0", "z 1"), "what was chosen stays"
    assert keeper.session is session


def test_what_was_opened_is_listed_the_last_first_while_it_is_there(tmp_path: Path) -> None:
    session = Session()
    keeper = ViewSettings(session)
    files = [tmp_path / f"{number}.star" for number in range(10)]
    for file in files:
        file.touch()
        session.source = file
    session.source = files[5]
    assert recent() == [files[5], *(files[number] for number in (9, 8, 7, 6, 4, 3, 2))]
    files[5].unlink()
    assert recent()[0] == files[9]
    assert last_folder() == tmp_path
    assert keeper.session is session


def test_a_run_that_was_trained_here_is_listed_before_its_particles(
    runs: list[Run], tmp_path: Path
) -> None:
    session = Session()
    keeper = ViewSettings(session)
    star = tmp_path / "particles.star"
    star.touch()
    session.source = star
    session.training = TrainingStatus("training")
    session.run = runs[0]
    session.latents = runs[0].latents()
    assert recent() == [runs[0].path, star]
    assert keeper.session is session


def test_paths_are_called_by_what_tells_them_apart() -> None:
    paths = [Path("/data/a/warptools/p.star"), Path("/data/b/warptools/p.star"), Path("/run_1")]
    assert short_names(paths) == ["a/warptools/p.star", "b/warptools/p.star", "/run_1"]


@pytest.mark.parametrize("text", ["no json", "3", '[1, {"a": 2}]', "null"])
def test_a_settings_file_edited_by_hand_hinders_nothing(text: str) -> None:
    save_setting("recent", None, text)
    assert recent() == []
    assert last_folder() == Path.cwd()


def test_the_menu_opens_again_and_the_preset_is_kept(
    widget: Any, qtbot: Any, tiny_run: Path
) -> None:
    from napari_tomodrgn.gui.training.panel import TrainingPanel

    save_setting("recent", None, f'["{tiny_run}"]')
    menu = widget.particles.recent.menu()
    menu.aboutToShow.emit()
    (entry,) = menu.actions()
    entry.trigger()
    qtbot.waitUntil(lambda: widget.session.run is not None, timeout=30_000)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=30_000)
    panel = widget.training
    panel.preset.setCurrentText("Thorough")
    panel.preset.activated.emit(panel.preset.currentIndex())
    assert load_setting("preset", None) == "Thorough"
    other = TrainingPanel(Session())
    assert other.preset.currentText() == "Thorough"
    assert other.config().train.epochs == panel.config().train.epochs
    other.deleteLater()
    qtbot.wait(1)


def test_larger_text_makes_the_dock_wider(viewer: Any, qtbot: Any) -> None:
    from napari.settings import get_settings

    from napari_tomodrgn.gui.window.dock import open_dock

    viewer.window.resize(1440, 900)
    get_settings().appearance.font_size = 12
    widget = open_dock(viewer)
    qtbot.waitUntil(lambda: 400 < widget.width() < 0.4 * 1440)
    # A dock that is wide enough stays as wide as somebody has drawn it.
    drawn = 480
    sized: Any = widget.window()
    sized.resizeDocks([widget.parentWidget()], [drawn], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: abs(widget.parentWidget().width() - drawn) <= 2)
    get_settings().appearance.font_size = 11
    qtbot.wait(300)
    wanted = widget.sizeHint().width()
    assert wanted < 420 and widget.parentWidget().width() > drawn - 10  # Qt's own few pixels
    widget.controller.close()
    qtbot.waitUntil(lambda: widget.controller.idle)
