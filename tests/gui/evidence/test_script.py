"""What is done in a window is done again by its script: same selections, same maps, same files."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.selections import script_store
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.session.exploration import Exploration
from napari_tomodrgn.session.script import script_of

LEFT = Qt.MouseButton.LeftButton
LONG = 120_000


class Repeated:
    """A script that was run: the workspace that it left, and all maps that it decoded."""

    def __init__(
        self, text: str, run: Path, folder: Path, patch: pytest.MonkeyPatch, *options: str
    ) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "script.py").write_text(text)
        self.maps: list[np.ndarray] = []
        decode = Exploration.decode_at

        def collected(work: Exploration, z: Any) -> Any:
            volume = decode(work, z)
            self.maps.append(volume.data)
            return volume

        with patch.context() as patching:
            patching.setattr(Exploration, "decode_at", collected)
            patching.setattr(sys, "argv", ["script.py", str(run), *options])
            patching.chdir(folder)
            self.work = runpy.run_path(str(folder / "script.py"))["work"]


@pytest.fixture
def elsewhere(run: Path, tmp_path: Path) -> Path:
    """A copy of the run as it was opened, whose images are nowhere."""
    copy = Path(shutil.copytree(run, tmp_path / "elsewhere"))
    folder = Run.open(run).particles().images["stack"].astype(str).iloc[0]
    for star in copy.glob("*.star"):
        star.write_text(star.read_text().replace(str(Path(folder).parents[2]), "/nowhere"))
    with pytest.raises(BadInputError):
        Run.open(copy).particles()
    return copy


def _drag(view: Any, corners: list[QPoint], held: Any) -> None:
    QTest.mousePress(view, LEFT, held, corners[0])
    for corner in corners[1:]:
        QTest.mouseMove(view, corner)
    QTest.mouseRelease(view, LEFT, held, corners[-1])


def _around(view: Any, rows: slice) -> list[QPoint]:
    """A square around the points of some rows, as far as they are on the screen."""
    places = [view.position_of(row).toPoint() for row in range(len(view.points))[rows]]
    left, right = min(p.x() for p in places) - 2, max(p.x() for p in places) + 2
    top, bottom = min(p.y() for p in places) - 2, max(p.y() for p in places) + 2
    return [QPoint(left, top), QPoint(right, top), QPoint(right, bottom), QPoint(left, bottom)]


def _looks_and_selects(widget: Any, qtbot: Any, out: Path) -> dict[str, Any]:
    """Click, lasso, combine, name, make a path, write files; what came of it."""
    session, view, controller = widget.session, widget.latent.view, widget.controller
    ids, shift = list(session.latents.index), Qt.KeyboardModifier.ShiftModifier
    maps = []

    def settled() -> None:
        qtbot.waitUntil(lambda: controller.idle, timeout=LONG)

    for row in (3, 17):
        QTest.mouseClick(view, LEFT, pos=view.position_of(row).toPoint())
        qtbot.waitUntil(lambda row=row: session.decoded.particle_id == session.focused)
        settled()
        maps.append(session.decoded.volume.data)
    _drag(view, _around(view, slice(0, 6)), shift)
    _drag(view, _around(view, slice(10, 12)), shift)
    lassoed = session.selection
    assert {*ids[:6], *ids[10:12]} <= lassoed
    controller.selections.invert()
    controller.selections.undo()
    assert session.selection == lassoed
    controller.selections.save("lassoed")
    settled()
    widget.latent._on_category(0, shift)  # the first cluster as well
    united = session.selection
    controller.selections.export(out / "united.star")
    controller.volume_export.save_map(out / "map.mrc")
    controller.trajectories.along(1)
    settled()
    controller.volume_export.save_frames(out / "frames")
    controller.volume_export.save_class_maps(out / "classes")
    settled()
    controller.trajectories.forget_path()
    settled()
    return {"maps": maps, "lassoed": lassoed, "united": united}


def test_looking_and_selecting_are_repeated_without_images(
    widget: Any,
    clustered: Any,
    elsewhere: Path,
    tmp_path: Path,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "written"
    out.mkdir()
    done = _looks_and_selects(widget, qtbot, out)
    text = script_of(clustered)
    for verb in ("find_clusters(2)", "decode(", "lasso(", "invert()", "undo()", "category("):
        assert f"work.{verb}" in text
    assert "work.select(" not in text, "a line drawn is a line again, not a list of particles"
    again = Repeated(text, elsewhere, tmp_path / "again", monkeypatch)
    assert again.work.selection == done["united"]
    kept = Exploration(elsewhere)
    kept.show_selection("lassoed")
    assert kept.selection == done["lassoed"]
    for before in done["maps"]:
        assert any(np.array_equal(before, after) for after in again.maps)
    folders = [path for name in ("frames", "classes") for path in (out / name).glob("*.mrc")]
    names = ["map.mrc", *(f"{path.parent.name}/{path.name}" for path in folders)]
    assert len(names) == 24
    for name in names:
        first, second = (read_volume(folder / name) for folder in (out, tmp_path / "again"))
        assert np.array_equal(first.data, second.data), name
    stars = [sorted(p.name for p in folder.glob("united*")) for folder in (out, tmp_path / "again")]
    assert stars[0] == stars[1] and len(stars[0]) > 0
    _replaces_only_what_it_is_told_to(text, elsewhere, tmp_path / "again", monkeypatch)


def _replaces_only_what_it_is_told_to(
    text: str, run: Path, folder: Path, patch: pytest.MonkeyPatch
) -> None:
    """Run again, a script leaves what is as it would write it, and stops at what is not."""
    written = (folder / "map.mrc").read_bytes()
    Repeated(text, run, folder, patch)
    (folder / "map.mrc").write_bytes(b"mine")
    with pytest.raises(SystemExit, match="2"):
        Repeated(text, run, folder, patch)
    assert (folder / "map.mrc").read_bytes() == b"mine"
    Repeated(text, run, folder, patch, "--overwrite")
    assert (folder / "map.mrc").read_bytes() == written


def test_the_script_is_copied_and_kept_in_the_run(
    widget: Any, clustered: Any, run: Path, qtbot: Any
) -> None:
    widget.export.script.click()
    text = QApplication.clipboard().text()
    assert "work.find_clusters(2)" in text and str(run) in text
    assert "copied as Python" in widget.banner.text
    kept = run / "analysis" / "scripts"
    qtbot.waitUntil(lambda: len(list(kept.glob("*.py"))) == 1, timeout=10_000)
    compile(next(kept.glob("*.py")).read_text(), "script", "exec")


def test_reconstructing_and_comparing_are_repeated_with_images(
    widget: Any,
    clustered: Any,
    run: Path,
    tmp_path: Path,
    elsewhere: Path,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    controller = widget.controller
    clustered.select(frozenset(list(clustered.latents.index)[:20]))
    controller.reconstruction.start()
    qtbot.waitUntil(lambda: clustered.validation is not None, timeout=LONG)
    qtbot.waitUntil(lambda: controller.idle, timeout=LONG)
    made = clustered.validation
    widget.tabs.setCurrentIndex(3)
    widget.comparison.a.setCurrentIndex(0)
    widget.comparison.refresh()
    widget.comparison.b.setCurrentIndex(widget.comparison.b.findData("rest"))
    QTest.mouseClick(widget.comparison.compare, LEFT)
    qtbot.waitUntil(lambda: clustered.comparison is not None, timeout=LONG)
    qtbot.waitUntil(lambda: controller.idle, timeout=LONG)
    text = script_of(clustered)
    assert "work.reconstruct('selection')" in text
    assert "work.compare('selection', 'all others')" in text
    again = Repeated(text, copy, tmp_path / "again", monkeypatch).work
    assert np.array_equal(again.reconstruction.filtered.data, made.volume.data)
    record = clustered.comparison.record
    for name in ("z", "p", "sentence", "particles_a", "particles_b"):
        assert again.comparison[name] == record[name], name
    ends_in_one_sentence(text, elsewhere, tmp_path)


def ends_in_one_sentence(text: str, source: Path, folder: Path) -> None:
    """A script run where its images are not: what is missing, and nothing else."""
    script = folder / "without.py"
    script.write_text(text)
    ended = subprocess.run(
        [sys.executable, script, source], capture_output=True, text=True, check=False, cwd=folder
    )
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1 and "image" in ended.stderr


def test_a_training_is_repeated(
    widget: Any,
    opened: Callable[[Path], Any],
    tiny_star: Path,
    tiny_config: Any,
    tmp_path: Path,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, out = opened(tiny_star), tmp_path / "trained"
    widget.controller.training.start(tiny_config, out)
    qtbot.waitUntil(
        lambda: session.training.busy is False and session.run is not None, timeout=LONG
    )
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    session.focused = session.latents.index[5]
    qtbot.waitUntil(lambda: session.decoded.particle_id == session.focused, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    again = Repeated(script_of(session), tiny_star, tmp_path / "again", monkeypatch)
    assert again.work.run.path == (tmp_path / "again" / "trained").resolve()
    mine, theirs = Run.open(out).latents(), again.work.latents
    assert np.array_equal(mine.filter(like="mu_"), theirs.filter(like="mu_"))
    assert np.array_equal(again.maps[-1], session.decoded.volume.data)
    bare = Path(shutil.copytree(tiny_star.parent, tmp_path / "bare"))
    for stack in bare.rglob("*.mrcs"):
        stack.unlink()
    moved = script_of(session).replace(str(out), str(tmp_path / "moved"))
    ends_in_one_sentence(moved, bare / tiny_star.name, tmp_path)
    assert not (tmp_path / "moved").exists()


@pytest.mark.parametrize(("code", "told"), [("read-only", False), ("disk-full", True)])
def test_a_script_that_cannot_be_kept_is_told_of_unless_nothing_can(
    code: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, _text: str) -> None:
        raise BadInputError(f"{path}: no.", code=code)

    monkeypatch.setattr(script_store, "write_text", fails)
    with pytest.raises(BadInputError) if told else nullcontext():
        script_store._written(tmp_path / "script.py", "pass")
