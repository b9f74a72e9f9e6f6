"""Opening napari with the tomoDRGN dock from a program: to work in, or to take a picture."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tomodrgn.data.mrc import read_mrc_header
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.gui.background.workers import finish_threads

if TYPE_CHECKING:
    from napari.viewer import Viewer

_log = logging.getLogger(__name__)

WINDOW_SIZE = (1440, 900)
_TITLE_PX = 30
_PATIENCE_S = 120.0


def view(paths: Sequence[str | Path] = (), screenshot: str | Path | None = None) -> None:
    """Open napari on a star file or a run directory.

    Parameters
    ----------
    paths
        What to open: one data set, as a star file, a list of particles or a run directory; other
        files are opened as napari would.
    screenshot
        Save a picture of the window with a decoded volume here and leave, instead of waiting for
        the user. A virtual screen is used where there is no other.

    Raises
    ------
    BadInputError
        If there is no screen, a path can be nothing that a window shows, or nothing could be
        shown for the picture.
    """
    if screenshot is None:
        if not has_display():
            raise BadInputError(
                "There is no screen to open a window on.",
                remedy="Log in with a desktop or X forwarding, or save a picture of the window "
                "with --screenshot.",
                code="no-display",
            )
        _open(paths)
        _run_loop()
        return
    with some_display():
        viewer, widget = _open(paths)
        try:
            _save_picture(viewer, widget, Path(screenshot))
        finally:
            widget.close_down()
            finish_threads()
            viewer.close()


def has_display() -> bool:
    """Whether windows can be opened here."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def some_display() -> Iterator[None]:
    """The screen that is there, or a virtual one (the program Xvfb) while the block runs.

    Raises
    ------
    BadInputError
        If there is neither a screen nor Xvfb.
    """
    if has_display():
        yield
        return
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        raise BadInputError(
            "There is no screen, and no virtual one: the program Xvfb is not installed.",
            remedy="Install it (Debian and Ubuntu: apt install xvfb).",
            code="no-display",
        )
    read_end, write_end = os.pipe()
    # Should this process die, the screen goes with its last window, and no one who reads what
    # this process prints waits for it.
    options = ["-screen", "0", "1920x1200x24", "+extension", "GLX", "-nolisten", "tcp"]
    server = subprocess.Popen(
        [xvfb, "-displayfd", str(write_end), *options, "-terminate"],
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as stream:
            number = stream.readline().strip()
        # Qt's "offscreen" platform draws black canvases: the picture would be worthless.
        changes = {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
        before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        try:
            yield
        finally:
            for name, value in before.items():
                if os.environ.get(name) != changes[name]:
                    continue  # somebody else has set it meanwhile
                del os.environ[name]
                if value is not None:
                    os.environ[name] = value
    finally:
        server.terminate()
        server.wait()


def _open(paths: Sequence[str | Path]) -> tuple[Any, Any]:
    """A viewer with our window in it, and all of the paths on their way into it."""
    import napari

    from napari_tomodrgn.gui.window.dock import open_dock

    meant, others = _checked([Path(path) for path in paths])
    viewer = napari.Viewer(title="tomoDRGN")
    viewer.window.resize(*window_size())
    widget = open_dock(viewer)
    try:
        for other in others:
            _open_other(viewer, other)
    except BadInputError:
        # Before anybody waits in front of it.
        widget.close_down()
        finish_threads()
        viewer.close()
        raise
    if meant is not None:
        widget.open(meant)
    return viewer, widget


def _checked(paths: Sequence[Path]) -> tuple[Path | None, list[Path]]:
    """The data set among the paths, and all others; a run after its particles is the one meant.

    Raises
    ------
    BadInputError
        If one of them can be nothing that a window shows: better said here than in a window.
    """
    from napari_tomodrgn.gui.extraction.recognize import MAP_SUFFIXES, is_averaging_list
    from napari_tomodrgn.gui.particles.load import run_folder
    from napari_tomodrgn.learn.run.directory import Run

    stars: list[Path] = []
    runs: list[Path] = []
    others: list[Path] = []
    for path in paths:
        folder = run_folder(path)
        if folder is not None:
            runs.append(Run.open(folder).path)
        elif path.is_file() and (path.suffix.lower() == ".star" or is_averaging_list(path)):
            _refuse_foreign_star(path)
            stars.append(path)
        else:
            if path.is_dir():
                _refuse_folder(path)
            elif path.suffix.lower() in MAP_SUFFIXES:
                read_mrc_header(path)
            others.append(path)
    for kind in (stars, runs):
        if len(kind) > 1:
            raise BadInputError(
                f"One window shows one data set, and not {' beside '.join(map(str, kind))}.",
                remedy="Name one, or open a window for each.",
                code="two-data-sets",
            )
    return next(iter((*runs, *stars)), None), others


def _refuse_folder(path: Path) -> None:
    """Raise `BadInputError` if a folder that is no run holds nothing, or what napari cannot read.

    Others may be pictures, or one image.
    """
    from napari_tomodrgn.gui.extraction.recognize import MAP_SUFFIXES

    endings = {one.suffix.lower() for one in path.iterdir()}
    maps = next((ending for ending in MAP_SUFFIXES if ending in endings), None)
    if endings and maps is None:
        return
    remedy = "Name the folder that a training wrote, or a star file."
    raise BadInputError(
        f"{path}: not a run directory, it has no run.json.",
        remedy=f"Its maps are opened by name: {path / f'*{maps}'}." if maps else remedy,
        code="not-a-run",
    )


def _refuse_foreign_star(path: Path) -> None:
    """Raise `BadInputError` if a star file lists no particles; the window can mend other faults."""
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.gui.extraction.recognize import is_averaging_list, lists_particles
    from napari_tomodrgn.gui.particles.open_service import can_be_corrected

    if is_averaging_list(path) or lists_particles(path):
        return
    try:
        read_particles(path)
    except BadInputError as error:
        if not can_be_corrected(path, error):
            raise


def _open_other(viewer: Viewer, path: Path) -> None:
    """Open something as napari does, by our reader or any other that is installed.

    Raises
    ------
    BadInputError
        If none of them can: whatever another package raises, in one sentence.
    """
    import npe2

    from napari_tomodrgn.gui.extraction.recognize import MAP_SUFFIXES
    from napari_tomodrgn.gui.window.dock import PLUGIN

    # Nobody is there to be asked which reader is meant. Ours takes folders and tables, too, but
    # only to say in the window what they are not.
    readers = npe2.PluginManager.instance().iter_compatible_readers([str(path)])
    ours = path.suffix.lower() in MAP_SUFFIXES and not path.is_dir()
    others = next((one.plugin_name for one in readers if one.plugin_name != PLUGIN), "")
    reader = PLUGIN if ours else others
    if not reader:
        raise _not_opened(path)
    try:
        viewer.open(str(path), plugin=reader)
    except Exception as error:  # another package's code: anything may come out of it
        raise _not_opened(path, error) from error


def _not_opened(path: Path, error: Exception | None = None) -> BadInputError:
    """What to say of a path that no reader opens; in brackets what a reader said."""
    lines = str(error or "").strip().splitlines()
    why = f" ({lines[0].rstrip('.')})" if lines else ""
    what = "not a run directory" if path.is_dir() else "neither particles nor a map"
    return BadInputError(
        f"{path}: {what}, and nothing that is installed opens it{why}.",
        remedy="Name a star file, the folder that a training wrote, or an MRC file.",
        code="not-opened",
    )


def window_size() -> tuple[int, int]:
    """Return the size that the window opens with: no larger than the screen."""
    from qtpy.QtGui import QGuiApplication

    screen = QGuiApplication.primaryScreen()
    if screen is None:
        return WINDOW_SIZE
    free = screen.availableGeometry()
    # The window manager adds a title bar.
    return min(WINDOW_SIZE[0], free.width()), min(WINDOW_SIZE[1], free.height() - _TITLE_PX)


def _run_loop() -> None:
    import napari

    napari.run()
    finish_threads()


def _save_picture(viewer: Viewer, widget: Any, picture: Path) -> None:
    """Wait until everything is on show, then save the whole window as PNG."""
    session = widget.session
    _wait(lambda: widget.controller.idle and not widget.latent.drawing.is_busy)
    if session.message is not None and session.message.severity == "error":
        raise BadInputError(session.message.text, code="nothing-to-show")
    _settle()
    with written_atomically(picture) as temporary:
        viewer.screenshot(str(temporary), canvas_only=False, flash=False)


def _wait(done: Any) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > end:
            _log.warning("Still not everything is on show after %.0f s", _PATIENCE_S)
            return
        _settle(0.02)


def _settle(seconds: float = 0.3) -> None:
    """Let Qt lay out and draw."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)
