"""The particles dock: what was understood, checks as lights, reading a file otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QLabel

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.data.checks.check_labels import _NAMES, name_of, number_of, tally
from napari_tomodrgn.gui.particles.check_list import CheckList
from napari_tomodrgn.gui.particles.panel import ParticlesPanel
from napari_tomodrgn.gui.particles.summary_table import summary_rows
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import TrainingStatus, WorkStatus

LONG = 60_000


def _check(code: str, verdict: Any, number: float | None = None) -> Check:
    return Check(code, verdict, f"{code} message.", number, f"{code} why.", f"{code} remedy.")


@pytest.fixture
def checks(qtbot: Any) -> CheckList:
    checks = CheckList(Session())
    qtbot.addWidget(checks)
    checks.show()
    return checks


def test_the_worst_stands_on_top_and_is_told_at_once(checks: CheckList) -> None:
    session = checks._session
    given = [("pixels", "ok"), ("half-maps", "info"), ("geometry", "warning"), ("files", "ok")]
    session.checks = tuple(_check(code, verdict) for code, verdict in given)
    session.checks = (*session.checks, _check("voltage", "error"))
    order = [row.check.code for row in checks.rows]
    assert order == ["voltage", "geometry", "half-maps", "pixels", "files"]
    shown = [not row.message.isHidden() for row in checks.rows]
    assert shown == [True, True, False, False, False]
    assert "1 error, 1 warning, 1 note, 2 checks passed" in checks.summary.text()


def test_a_click_shows_why_and_what_to_do(checks: CheckList) -> None:
    checks._session.checks = (_check("geometry", "warning", 0.31),)
    row = checks.rows[0]
    assert row.details.isHidden()
    QTest.mouseClick(row, Qt.MouseButton.LeftButton)
    assert not row.details.isHidden()
    assert "geometry why." in row.details.text()
    assert "geometry remedy." in row.details.text()
    words = {label.text() for label in row.findChildren(QLabel)}
    assert {"!", "Poses and tilts", "0.3 × shuffled"} <= words
    row.more.click()
    assert row.details.isHidden()


def test_checks_that_are_not_all_are_counted_so_far(checks: CheckList) -> None:
    session = checks._session
    session.preflight_status = WorkStatus(True, 0.89, "Back-projecting")
    session.checks = (_check("geometry", "ok"), _check("contrast", "ok"))
    assert "2 checks passed so far" in checks.summary.text()
    session.preflight_status = WorkStatus()
    assert "so far" not in checks.summary.text()


def test_nothing_moves_as_the_checks_end(checks: CheckList, qtbot: Any) -> None:
    session = checks._session
    checks.resize(260, 500)
    session.checks = (_check("geometry", "ok"), *(_check(f"c{k}", "warning") for k in range(3)))
    session.preflight_status = WorkStatus(True, 0.5, "Comparing poses and tilts with the images")
    qtbot.wait(50)
    at = checks.passed.y()
    assert checks.stage.height() > 1.5 * checks.fontMetrics().height()  # of two lines
    checks.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)
    session.preflight_status = WorkStatus()
    qtbot.wait(50)
    assert checks.passed.y() == at
    high = checks.stage.heightForWidth(checks.stage.width())
    checks.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, False)  # the mouse goes elsewhere
    QApplication.sendEvent(checks, QEvent(QEvent.Type.Leave))
    assert checks.stage.heightForWidth(checks.stage.width()) < 0.7 * high, "no gap is left"


def test_rows_that_stay_keep_what_the_user_opened(checks: CheckList) -> None:
    session = checks._session
    session.checks = (_check("geometry", "ok"),)
    row = checks.rows[0]
    row.toggle()
    session.checks = (*session.checks, _check("contrast", "warning"))
    assert checks.rows[1] is row
    assert not row.message.isHidden()


def test_every_check_has_a_name_in_plain_words(tiny_star: Path) -> None:
    from napari_tomodrgn.analysis.preflight import PreflightDone, preflight
    from napari_tomodrgn.data.checks import file_checks
    from napari_tomodrgn.data.dialects import read_particles

    particles = read_particles(tiny_star)
    *_, last = preflight(particles)
    assert isinstance(last, PreflightDone)
    found = [*file_checks(particles), *last.checks]
    assert {check.code for check in found} <= set(_NAMES)
    assert name_of("some-new-check") == "Some new check"
    assert number_of(_check("half-maps", "ok", 33.46)) == "33.5 Å"
    assert tally([_check("a", "warning"), _check("b", "warning")]) == "2 warnings"


def test_remedies_name_fields_of_the_window() -> None:
    from napari_tomodrgn.gui.background.error_message import in_window_terms

    words = in_window_terms("The star file is used; if it is wrong, override it with --pixel-size.")
    assert words.endswith("override it with “Pixel size” under “Correct what was read”.")


def test_the_form_knows_every_dialect() -> None:
    from napari_tomodrgn.data.dialects import DIALECTS

    words, _ = get_args(ReadingConfig.model_fields["dialect"].annotation)
    assert set(get_args(words)) == set(DIALECTS)


def test_physics_come_in_after_opening(
    widget: Any, qtbot: Any, tiny_star: Path, opened: Callable[[Path], Any]
) -> None:
    seen: list[WorkStatus] = []
    widget.session.events.preflight_status.connect(lambda status: seen.append(status))
    session = opened(tiny_star)
    codes = {check.code for check in session.checks}
    assert {"files", "dose", "pixels", "geometry", "contrast"} <= codes
    assert not session.preflight_status.busy
    assert {status.what for status in seen if status.busy} >= {"Reconstructing half maps"}
    rows = widget.particles.checks.rows
    assert len(rows) == len(session.checks)
    assert widget.particles.checks.again.isVisibleTo(widget.particles)
    widget.particles.checks.again.click()
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert len(session.checks) == len(rows), "asked again, not twice"


def test_checks_of_a_file_that_was_left_never_arrive(
    widget: Any, qtbot: Any, tiny_star: Path, tiny_run: Path
) -> None:
    session = widget.session
    widget.open(tiny_star)
    qtbot.waitUntil(lambda: session.preflight_status.busy, timeout=LONG)
    widget.open(tiny_run)
    qtbot.waitUntil(lambda: session.run is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert not session.preflight_status.busy
    assert "geometry" not in {check.code for check in session.checks}


def test_reading_otherwise_reads_and_checks_again(
    widget: Any, qtbot: Any, tiny_star: Path, opened: Callable[[Path], Any]
) -> None:
    session, form = opened(tiny_star), widget.particles.reading
    before = session.particles.optics
    assert {check.code: check.verdict for check in session.checks}["ctf-premultiplied"] == "ok"
    form.form.set_value("overrides.pixel_size_angstrom", 2 * before.pixel_size_angstrom)
    form.form.set_value("overrides.dose_per_tilt_e_per_angstrom2", "5")
    form.form.set_value("data.ctf_premultiplied", not before.ctf_premultiplied)
    form.form.set_value("data.contrast", "invert")
    form.button.click()
    qtbot.waitUntil(lambda: session.particles.optics != before, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    after = session.particles.optics
    assert after.pixel_size_angstrom == 2 * before.pixel_size_angstrom
    assert after.ctf_premultiplied != before.ctf_premultiplied
    assert session.particles.images["dose_e_per_angstrom2"].max() == 20.0  # before the fifth
    assert {check.code: check.verdict for check in session.checks}["ctf-premultiplied"] != "ok"
    config = widget.training.config()
    assert config.data.contrast == "invert"
    assert config.data.ctf_premultiplied is (not before.ctf_premultiplied)
    form.form.set_value("overrides.pixel_size_angstrom", "-1")
    form.button.click()
    assert "Pixel size" in widget.banner.text


def _broken_star(folder: Path) -> Path:
    """Particles, by their columns, that lack most of what particles need."""
    star = folder / "broken.star"
    star.write_text("data_particles\nloop_\n_rlnImageName #1\n_rlnGroupName #2\n1@a.mrcs 1\n")
    return star


def test_what_was_not_opened_can_be_corrected_while_a_run_is_open(
    widget: Any, qtbot: Any, tiny_run: Path, opened: Callable[[Path], Any], tmp_path: Path
) -> None:
    session, panel, form = opened(tiny_run), widget.particles, widget.particles.reading
    assert not form.form.isEnabled(), "how a run was trained stays as it was"
    rows, read = panel._table.count(), session.import_options
    broken = _broken_star(tmp_path)
    widget.open(broken)
    qtbot.waitUntil(lambda: session.asked is not None, timeout=LONG)
    assert session.run is not None and form.form.isEnabled()
    assert panel.title.text() == "Not opened: broken.star" and panel.title.isVisibleTo(panel)
    assert panel.section.is_open and form.whose.text() == "Of broken.star:"
    assert session.message.severity == "error" and "broken.star" in session.message.text
    # All else is of what is open.
    assert panel.path.text() == str(tiny_run)
    assert panel.summary_section.isVisibleTo(panel) and panel._table.count() == rows
    assert panel.checks.isVisibleTo(panel)
    form.form.set_value("data.contrast", "invert")
    form.button.click()
    qtbot.waitUntil(lambda: session.asked.options.data.contrast == "invert", timeout=LONG)
    assert session.import_options == read, "nor is the run read otherwise"
    panel.dismiss.click()
    assert session.asked is None and not panel.title.isVisibleTo(panel)
    assert not panel.section.is_open and not form.form.isEnabled()
    assert form.config() == read.model_copy(update={"images": read.images or None})


@pytest.mark.parametrize("kind", ["folder", "words", "positions", "empty", "run", "map", "absent"])
@pytest.mark.parametrize("before", ["a run", "nothing"])
def test_what_lists_no_particles_has_nothing_to_correct(
    widget: Any,
    qtbot: Any,
    tiny_run: Path,
    opened: Callable[[Path], Any],
    tmp_path: Path,
    kind: str,
    before: str,
) -> None:
    session, panel = widget.session, widget.particles
    if before == "a run":
        opened(tiny_run)
    broken = _broken_star(tmp_path)
    widget.open(broken)
    qtbot.waitUntil(lambda: session.asked is not None, timeout=LONG)
    (tmp_path / "folder").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{")
    texts = {
        "words": "milk\neggs\n",
        "positions": "data_\nloop_\n_rlnCoordinateX #1\n1.0\n",
        "empty": "",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.star").write_text(text)
    (tmp_path / "map.mrc").write_bytes(b"no map")
    path = tmp_path / {"map": "map.mrc", "folder": "folder", "run": "run"}.get(kind, f"{kind}.star")
    widget.controller.open(path)
    qtbot.waitUntil(lambda: session.message is not None and str(path) in session.message.text)
    assert session.message.severity == "error"
    assert session.asked is None, "nor is the refusal of before still there"
    assert not panel.title.isVisibleTo(panel) and not panel.section.is_open
    assert panel.section.isVisibleTo(panel) is (before == "a run")
    assert panel.summary_section.isVisibleTo(panel) is (before == "a run")
    assert panel.path.text() == (str(tiny_run) if before == "a run" else "")
    assert panel.hint.isVisibleTo(panel) is (before == "nothing")


def test_missing_images_can_be_pointed_to_and_are_remembered(
    widget: Any, qtbot: Any, tiny_star: Path, opened: Callable[[Path], Any], tmp_path: Path
) -> None:
    apart = shutil.copytree(tiny_star.parent, tmp_path / "a" / "deep" / "set")
    star = apart / tiny_star.name
    stacks = sorted({path.parent for path in apart.rglob("*.mrcs")})
    away = tmp_path / "b"
    for folder in stacks:
        shutil.move(folder, away / folder.name)
    panel, session = widget.particles, widget.session
    widget.open(star)
    qtbot.waitUntil(lambda: session.asked is not None, timeout=LONG)
    assert "was not found" in widget.banner.text
    assert "--images" not in widget.banner.text
    assert panel.title.text() == f"Not opened: {star.name}"
    assert panel.section.is_open
    panel.reading.images.set_folder(str(away))
    panel.reading.button.click()
    qtbot.waitUntil(lambda: session.particles is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert session.asked is None
    assert panel.checks.isVisibleTo(panel)
    session.reset()
    opened(star)  # without a word about the images
    assert session.import_options.images == str(away)
    for folder in stacks:
        shutil.move(away / folder.name, folder)
    away.rmdir()
    session.reset()
    opened(star)  # the folder that was named then is gone, and nobody misses it
    assert session.import_options.images is None


def test_a_look_at_the_data_is_worked_out_when_it_is_unfolded(
    viewer: Any, widget: Any, qtbot: Any, tiny_star: Path, opened: Callable[[Path], Any]
) -> None:
    from napari_tomodrgn.gui.particles.montage_layer import NAME

    session, panel = opened(tiny_star), widget.particles
    assert session.overview is None
    panel.overview_section.set_open(True)
    qtbot.waitUntil(lambda: session.overview is not None, timeout=LONG)
    assert len(panel.look.tilts.xy) == 5
    assert panel.look.defocus.counts.sum() == 120
    picture = _pixels(panel.look.views)
    assert len({tuple(color) for color in picture.reshape(-1, 3)}) > 3
    panel.look.lowpass.setValue(40.0)
    panel.look.projections.click()
    qtbot.waitUntil(lambda: NAME in viewer.layers, timeout=LONG)
    layer = viewer.layers[NAME]
    assert layer.data.shape == (6 * 50 - 2, 5 * 50 - 2)
    assert tuple(layer.scale) == (session.particles.optics.pixel_size_angstrom,) * 2
    assert viewer.screenshot(flash=False)[..., :3].std() > 10
    panel.look.lowpass.setValue(0.0)
    before = layer.data
    panel.look.projections.click()
    qtbot.waitUntil(lambda: layer.data is not before, timeout=LONG)
    assert len(viewer.layers) == 2, "with its labels; replaced, not added"
    widget.open(tiny_star)
    qtbot.waitUntil(lambda: NAME not in viewer.layers, timeout=LONG)


def _pixels(plot: Any) -> Any:
    from napari._qt.utils import QImg2array

    return QImg2array(plot.grab().toImage())[..., :3]


def test_a_quick_reconstruction_is_a_volume_beside_its_fsc(
    viewer: Any, widget: Any, qtbot: Any, tiny_star: Path, opened: Callable[[Path], Any]
) -> None:
    from napari_tomodrgn.gui.volumes.volume_view import RECONSTRUCTION

    session, panel = opened(tiny_star), widget.particles.quick
    panel.button.click()
    assert panel.button.text() == "Stop reconstruction"
    qtbot.waitUntil(lambda: session.validation is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert "24 particles" in panel.result.text()
    assert not panel.plot.isHidden()
    extent = viewer.layers[f"{RECONSTRUCTION} quick reconstruction"].extent.data
    box = 48 * session.particles.optics.pixel_size_angstrom
    assert 0.2 * box < (extent[1] - extent[0]).max() <= box
    assert session.validation.volume.voxel_size_angstrom == pytest.approx(box / 48)
    bar, before = widget.latent.volumes, session.validation
    assert bar.isEnabled() and bar.sigma.isEnabled() and not bar.lowpass.isEnabled()
    bar.sigma.setValue(bar.sigma.value() + 5)
    qtbot.waitUntil(lambda: session.validation is not before, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert session.validation.mesh.sigma == session.sigma > before.mesh.sigma
    assert session.validation.volume is before.volume
    shown = viewer.layers[f"{RECONSTRUCTION} quick reconstruction"]
    assert len(shown.data[1]) == len(session.validation.mesh.faces) < len(before.mesh.faces)


def test_nobody_chooses_a_file_in_vain_while_a_training_runs(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(training=TrainingStatus("training", 1, 9))
    panel = ParticlesPanel(session)
    qtbot.addWidget(panel)
    for asking in ("getOpenFileName", "getExistingDirectory"):
        monkeypatch.setattr(QFileDialog, asking, lambda *_: pytest.fail("a file is asked for"))
    for opener in panel._openers:
        session.message = None
        opener.click()
        assert session.message.text == "Stop the training before you open something else."
    panel._list_recent()
    (only,) = panel._recent.actions()
    assert only.text() == "Stop the training first" and not only.isEnabled()


def test_a_tilt_known_by_its_cosine_alone_is_said_to_have_no_sign() -> None:
    """Warp's images have a cosine; those of WarpTools their angle."""
    limits = {"min": 0.0, "max": 60.0}
    rows = {row[0]: row[1:] for row in summary_rows({"tilt_deg": limits, "dialect": "warp"})}
    assert rows["Stage tilt"][0] == "0 … 60°, ±" and "without sign" in rows["Stage tilt"][1]
    limits = {"min": -60.0, "max": 60.0}
    rows = {row[0]: row[1:] for row in summary_rows({"tilt_deg": limits, "dialect": "warptools"})}
    assert rows["Stage tilt"][0] == "-60 … 60°"
