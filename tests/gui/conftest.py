"""Fixtures of the tests that open windows; these alone need napari and Qt."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept_between_windows import computed_once_for, keep_between_windows
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

# Without napari and pytest-qt this folder is left out, the rest of the suite runs.
collect_ignore_glob = [] if find_spec("napari") and find_spec("pytestqt") else ["*"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder where Qt would abort the whole run for want of a display."""
    places = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform != "linux" or any(os.environ.get(name) for name in places):
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="no display: `make test` brings one"))


@pytest.fixture(scope="session", autouse=True)
def _modules_are_no_garbage() -> Iterator[None]:
    """Leave out of the search for garbage what is imported once.

    napari's fixture collects it three times a test, and among the half million objects of modules
    each took a fifth of a second.
    """
    for name in ("napari._qt.qt_viewer", "pandas", "sklearn", "torch"):
        importlib.import_module(name)
    importlib.import_module("napari_tomodrgn.gui.window.main_widget")
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _same_text_is_parsed_once() -> Iterator[None]:
    """Keep for the next window what napari and vispy work out of the same text or letter.

    Each viewer begins anew: with the manifests of all plugins, the distances around each letter,
    the variables of each shader. That is a fifth of what a window on a run takes.
    """
    with pytest.MonkeyPatch.context() as patch:
        keep_between_windows(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _triton_beside_mesa() -> None:
    """As the dock does when it opens: here some windows have none, and sets are trained between."""
    from napari_tomodrgn.gui.window.triton_library import load_triton_apart

    load_triton_apart()


@pytest.fixture(scope="session")
def gl_is_real(qapp: Any) -> str:
    """The OpenGL renderer's name, after seeing that a lit pixel comes back.

    On a platform without OpenGL (Qt's "offscreen") every frame is black and nothing raises; a
    test of pixels would then prove nothing.
    """
    from vispy import scene
    from vispy.gloo import gl

    canvas = scene.SceneCanvas(size=(64, 64), bgcolor="white", show=True)
    try:
        picture = canvas.render()
        canvas.set_current()
        renderer = gl.glGetParameter(gl.GL_RENDERER)
    except (AttributeError, IndexError, RuntimeError) as error:
        pytest.fail(f"no OpenGL here ({error}): run the tests with `make test`")
    finally:
        canvas.close()
    assert renderer, "no OpenGL renderer: run the tests with `make test`"
    assert picture[..., :3].min() > 200, f"{renderer} gives black frames: run `make test`"
    return str(renderer)


@pytest.fixture(autouse=True)
def _viewers_need_real_gl(request: pytest.FixtureRequest) -> None:
    if "make_napari_viewer" in request.fixturenames:
        request.getfixturevalue("gl_is_real")


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test(qapp: Any) -> Iterator[None]:
    """Fail a test whose workers go on for a minute after it; napari's fixture does not look."""
    yield
    from qtpy.QtCore import QThreadPool

    pool = QThreadPool.globalInstance()
    pool.waitForDone(60_000)
    running = pool.activeThreadCount()
    assert running == 0, f"{running} worker thread(s) still running after the test"


@pytest.fixture
def qtbot(qtbot: Any) -> Any:
    """pytest-qt's, which waits a minute: five seconds are too few where others have the cores."""
    for name in ("waitUntil", "waitSignal", "waitSignals", "waitExposed", "waitActive"):
        setattr(qtbot, name, partial(getattr(qtbot, name), timeout=60_000))
    return qtbot


@pytest.fixture(autouse=True)
def _users_settings_are_left_alone(tmp_path: Path) -> None:
    from qtpy.QtCore import QSettings

    kind = QSettings.Format.IniFormat
    QSettings.setPath(kind, QSettings.Scope.UserScope, str(tmp_path / "settings"))


@pytest.fixture(autouse=True)
def _no_umap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave UMAP out: a child process would take seconds of every test that opens a run."""
    from napari_tomodrgn.gui.latent_space import umap_service

    if "umap" not in request.module.__name__:
        monkeypatch.setattr(umap_service, "_columns", lambda *_, **__: iter(()))


@pytest.fixture
def lit() -> Callable[..., float]:
    """Fraction of pixels that differ from the background by more than a threshold."""

    def fraction(picture: Picture, background: int = 0, threshold: int = 60) -> float:
        distance = np.abs(picture[..., :3].astype(int) - background).max(axis=-1)
        return float((distance > threshold).mean())

    return fraction


@pytest.fixture
def changed() -> Callable[[Picture, Picture], float]:
    """Fraction of pixels that differ between two pictures of the same shape."""

    def fraction(before: Picture, after: Picture) -> float:
        assert before.shape == after.shape, "the canvas was resized between the two pictures"
        return float((before[..., :3] != after[..., :3]).any(axis=-1).mean())

    return fraction


@pytest.fixture(scope="session")
def tiny_star(made_once: Callable[..., Path]) -> Path:
    """A simulated set of 24 particles in two tomograms."""
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    config = SimulationConfig(particles=24, tilts=5, box_size_px=48, states=2, snr=5.0, tomograms=2)
    folder = made_once("tiny-windows-set", lambda out: list(simulate(out, config)))
    return folder / "warptools" / "particles_optimisation_set.star"


@pytest.fixture(scope="session")
def tiny_config() -> Any:
    """A configuration that trains an epoch of the tiny set in a fraction of a second."""
    from napari_tomodrgn.config import RunConfig

    # What a real training starts from takes longer than these tests may.
    quick = {"linear_start": False}
    layers = {"image_encoder_layers": 1, "particle_encoder_layers": 1, "decoder_layers": 1}
    widths = {"image_encoder_dim": 32, "particle_encoder_dim": 32, "decoder_dim": 32}
    return RunConfig.model_validate(
        {
            # A tenth of five images would be none.
            "data": {"contrast": "keep", "held_out_fraction": 0.3},
            "model": {"latent_dim": 3, "image_features": 16, **layers, **widths, **quick},
            "train": {"epochs": 3, "points_per_particle": 256, "device": "cpu"},
        }
    )


@pytest.fixture
def tiny_run(trained_tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs on the tiny set, which a window may write its columns into."""
    return Path(shutil.copytree(trained_tiny_run, tmp_path_factory.mktemp("tiny") / "run"))


@pytest.fixture(scope="session")
def trained_tiny_run(tiny_star: Path, tiny_config: Any, made_once: Callable[..., Path]) -> Path:
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.learn.training.train import train

    particles = read_particles(tiny_star)
    return made_once("tiny-windows-run", lambda out: list(train(particles, tiny_config, out)))


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer as large as a small laptop's."""
    viewer = make_napari_viewer(show=True, strict_qt="raise")
    viewer.window.resize(1100, 720)
    return viewer


@pytest.fixture
def widget(viewer: Any, qtbot: Any) -> Iterator[Any]:
    """The dock, as the plugin menu opens it."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-tomodrgn", "tomoDRGN")
    qtbot.waitUntil(lambda: widget.latent.isVisible())
    widget.controller.decoding.throttle.timer.setInterval(50)  # epochs of a test take no longer
    yield widget
    widget.controller.close()  # the rest goes with the viewer, which its fixture closes
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=60_000)


@pytest.fixture
def checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The physics of a set that nobody writes into are asked by one test; others are told again.

    For tests that open a star file and look at something else.
    """
    from napari_tomodrgn.analysis import preflight

    def what(particles: Any, data: Any) -> object:
        return str(particles.source.path), tuple(particles.ids), data.model_dump_json()

    monkeypatch.setattr(preflight, "preflight", computed_once_for(preflight.preflight, what))


@pytest.fixture
def drawn(widget: Any, qtbot: Any) -> Callable[[], None]:
    """Waits until the scatter shows what the session holds.

    A time to wait would be none: on a slow machine one drawing of the canvas takes it whole.
    """

    def drawn() -> None:
        panel = widget.latent
        qtbot.waitUntil(
            lambda: not (panel._redraw.isActive() or panel.drawing.is_busy), timeout=60_000
        )

    return drawn


@pytest.fixture
def opened(widget: Any, drawn: Callable[[], None], qtbot: Any) -> Callable[[Path], Any]:
    """Opens a path in the dock, waits until all is shown, gives the session."""

    def opened(path: Path) -> Any:
        widget.open(path)
        qtbot.waitUntil(lambda: widget.session.source is not None, timeout=60_000)
        qtbot.waitUntil(lambda: widget.controller.idle, timeout=60_000)
        drawn()
        message = widget.session.message
        assert message is None or message.severity != "error", message.text
        return widget.session

    return opened
