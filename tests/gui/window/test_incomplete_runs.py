"""Runs that lack something can be explored as far as they go; one sentence says what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


def _without(run: Path, target: Path, what: str) -> Path:
    shutil.copytree(run, target)
    if what == "network":  # as `import` leaves a result of tomoDRGN
        shutil.rmtree(target / "checkpoints")
        for file in target.glob("analysis/first-map-*"):  # which a window kept
            file.unlink()
        info = json.loads((target / "run.json").read_text())
        (target / "run.json").write_text(json.dumps(info | {"imported_from": "/a/result"}))
    elif what == "images":
        star = target / "particles.star"
        star.write_text(star.read_text().replace(".mrcs", ".gone.mrcs"))
    elif what == "weights of the last epoch":  # while another machine writes them
        newest = sorted((target / "checkpoints").glob("epoch-*"))[-1]
        newest.unlink()
    return target


@pytest.mark.parametrize(
    ("what", "said", "latents", "particles", "volume"),
    [
        ("network", "another program", True, True, False),
        ("images", "gone.mrcs", True, True, True),
        ("weights of the last epoch", "", True, True, True),
    ],
)
def test_a_run_without(
    widget: Any,
    qtbot: Any,
    tiny_run: Path,
    tmp_path: Path,
    what: str,
    said: str,
    latents: bool,
    particles: bool,
    volume: bool,
) -> None:
    widget.open(_without(tiny_run, tmp_path / "run", what))
    session = widget.session
    qtbot.waitUntil(lambda: session.run is not None, timeout=30_000)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=30_000)
    assert said in widget.banner.text
    assert session.message is None or session.message.severity != "error", "exploring goes on"
    assert "Unexpected" not in widget.banner.text
    assert "\n" not in widget.banner.text
    assert (session.latents is not None) == latents
    assert (session.particles is not None) == particles
    assert (session.decoded is not None) == volume
    session.selection = frozenset(session.latents.index[:3])
    widget.controller.selections.save("three")
    qtbot.waitUntil(lambda: bool(session.selections), timeout=30_000)
    widget.open(tiny_run)  # the window lives
    qtbot.waitUntil(lambda: session.run.path == tiny_run, timeout=30_000)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=30_000)
    assert session.decoded is not None
    assert "threshold 3 σ" in widget.banner.text, "what the run says, no complaint"


def test_half_written_latents_are_passed_over_until_they_are_whole(
    widget: Any, qtbot: Any, tiny_run: Path, tmp_path: Path
) -> None:
    """A run that another program, or a slow copy, is just writing."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    newest = sorted((run / "latents").glob("epoch-*"))[-1]
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])
    widget.open(run)
    qtbot.waitUntil(lambda: widget.banner.text != "", timeout=30_000)
    assert newest.name in widget.banner.text
    assert "Unexpected" not in widget.banner.text
    newest.write_bytes(whole)
    widget.open(run)
    qtbot.waitUntil(lambda: widget.session.decoded is not None, timeout=30_000)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=30_000)
    assert "threshold 3 σ" in widget.banner.text, "what the run says, no complaint"


def test_an_imported_result_opens_with_its_volume_and_without_an_error(
    widget: Any, qtbot: Any, real_data: Path, tmp_path: Path
) -> None:
    """With its images, and in another place where they are not."""
    from napari_tomodrgn.analysis.tomodrgn_result import import_result

    result, images = real_data / "tomodrgn_result" / "vae", real_data / "cryosrpnt"
    away = Path(shutil.copytree(result, tmp_path / "vae"))
    import_result(result, tmp_path / "with", images=images)
    import_result(away, tmp_path / "without")
    for name in ("with", "without"):
        widget.open(tmp_path / name)
        session = widget.session
        qtbot.waitUntil(lambda: session.run is not None and session.run.path.name == name)  # noqa: B023
        qtbot.waitUntil(lambda: widget.controller.idle, timeout=30_000)
        assert session.decoded is not None
        assert session.particles is not None
        assert session.message is None or session.message.severity != "error"
        assert ("--images" in widget.banner.text) is False, "in the terms of the window"
        assert "k-means 4" in session.added_columns
