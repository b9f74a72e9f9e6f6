"""What is in the tomogram, taken out of the window: scene, mesh, movie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.workers import Stop
from napari_tomodrgn.gui.charts.colormaps import hexadecimal
from napari_tomodrgn.gui.tomogram.scene import TomogramScene
from napari_tomodrgn.gui.volumes.figure import FigureOptions, take_frame
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.particle_columns import latent_matrix, rows_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_tomodrgn.analysis.tomogram.placement import Placement
    from napari_tomodrgn.learn.run.directory import Run

_FRAMES, _FRAME_SECONDS = 72, 0.06


class _StoppedError(Exception):
    """Nothing of an export is left when it is stopped."""


class TomogramExport(Service):
    """Verbs that write files, one at a time; ``progress`` is one line on how far."""

    doing = "writing files"
    progress = Signal(str)

    def __init__(self, scene: TomogramScene, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(scene.session, parent)
        self._scene, self._session, self._viewer = scene, scene.session, viewer
        self.job = self.long_task("tomoDRGN writing files", self._on_step)
        self._pictures: list[NDArray[np.uint8]] = []
        self._movie: Path | None = None
        self._options = FigureOptions()
        self._angles = (0.0, 0.0, 0.0)  # before the movie
        self._filmed = np.zeros((2, 3))  # how the camera looked at its last frame
        self._timer = self.repeat(0, self._film)
        self.listen(self._give_up_film, "tomogram", "canvas_mode", "particles")

    @property
    def is_busy(self) -> bool:
        """Whether something is being written."""
        return super().is_busy or self._timer.isActive()

    def close(self) -> None:
        """Stop; a camera that is being turned goes back."""
        if self._timer.isActive():
            self._turn_back()
        super().close()

    def chimerax(self, folder: str | Path) -> None:
        """A folder for ChimeraX: the own map of each particle that is drawn as a surface."""
        scene, session = self._scene, self._session
        rows, poses, run, table = (
            self._surfaced(),
            scene.poses,
            session.run_of_maps,
            session.latents,
        )
        if poses is None or run is None or table is None or not len(rows):
            session.show_message(
                "There are no surfaces to write: show the tomogram of a run.",
                "warning",
                lambda: session.run_of_maps is not None and len(self._surfaced()) > 0,
            )
            return
        known = [row for row in rows.tolist() if poses.ids[row] in table.index]
        placed = [poses[row] for row in known]
        colors = scene.colors(np.ones(len(poses), bool))
        names = [hexadecimal(colors[row]) for row in known]
        places = rows_of(table, [pose.particle_id for pose in placed])
        latents = latent_matrix(table)[places].astype(np.float32)
        look = (session.epoch, session.sigma)
        self._start(
            lambda stop: _scene_steps(Path(folder), run, placed, (latents, names), look, stop),
            overwrite=False,
        )

    def mesh(self, path: str | Path) -> None:
        """All surfaces that are drawn, with their colours, as PLY, STL or glTF."""
        chunks = self._scene.layers.chunks
        if not chunks or self._scene.poses is None:
            self._session.show_message(
                "There are no surfaces to write.",
                "warning",
                lambda: bool(self._scene.layers.chunks) and self._scene.poses is not None,
            )
            return
        colors = self._scene.colors()
        self._start(lambda _stop: _mesh_steps(Path(path), chunks, colors))

    def turntable(self, path: str | Path, options: FigureOptions) -> None:
        """A turn around what is looked at, as a GIF (or MP4, where imageio has ffmpeg)."""
        if self.is_busy:
            return
        self._pictures, self._movie, self._options = [], Path(path), options
        self._angles = self._viewer.scene.camera.angles
        self._filmed = _directions(self._viewer.scene.camera)
        self._timer.start(0)

    def _turn_back(self) -> None:
        camera = self._viewer.scene.camera
        # Else the user has turned it. Not by the angles: napari gives others for the same view.
        if np.allclose(_directions(camera), self._filmed, atol=1e-4):
            camera.angles = self._angles

    def _give_up_film(self, *_: object) -> None:
        """A movie of two scenes is none."""
        if self._timer.isActive():
            self._timer.stop()
            self._pictures = []
            self.progress.emit("")
            self._session.show_message(
                f"{self._movie} was not written: something else was shown while it was filmed.",
                "warning",
            )

    def _film(self) -> None:
        """One frame a turn of the event loop, so that the window stays alive."""
        camera, count = self._viewer.scene.camera, len(self._pictures)
        first, second, third = self._angles
        camera.angles = (first, second + 360.0 * count / _FRAMES, third)
        self._filmed = _directions(camera)
        self._pictures.append(take_frame(self._viewer, self._options))
        self.progress.emit(f"Filming: {len(self._pictures)} of {_FRAMES}")
        if len(self._pictures) < _FRAMES:
            return
        self._timer.stop()
        self._turn_back()
        pictures, path = self._pictures, self._movie
        self._pictures = []
        if path is not None:
            self._start(lambda _stop: _movie_steps(path, pictures))

    def _surfaced(self) -> NDArray[np.int64]:
        return np.sort(self._scene.layers.surfaced)

    def _start(self, make: Callable[[Stop], Iterator[object]], *, overwrite: bool = True) -> None:
        if self.job.is_busy:
            self._session.show_message(
                "Something is being written: wait for it.", "warning", lambda: not self.job.is_busy
            )
            return
        writing = self.exporting(overwrite=overwrite)

        def steps(stop: Stop) -> Iterator[object]:
            said: list[object] = []
            with suppress(_StoppedError), writing:
                for item in make(stop):
                    if isinstance(item, str):
                        said.append(item)  # once it is true
                    else:
                        yield item
                if stop():
                    raise _StoppedError
            yield from [] if stop() else said

        self.job.start(steps)

    def _on_step(self, item: str | tuple[int, int]) -> None:
        if isinstance(item, str):
            self.progress.emit("")
            self._session.show_message(item)
        else:
            self.progress.emit(f"Decoding: {item[0]:,} of {item[1]:,}")

    def on_failed(self, error: Exception) -> None:
        """Tell what went wrong; nothing is being written any more."""
        self.progress.emit("")
        super().on_failed(error)


def _directions(camera: Any) -> NDArray[np.float64]:
    """Where the camera looks and what is up, as two rows zyx."""
    return np.array([camera.view_direction, camera.up_direction], float)


def _scene_steps(
    folder: Path,
    run: Run,
    placed: list[Placement],
    maps: tuple[NDArray[np.float32], list[str]],
    look: tuple[int, float],
    stop: Stop,
) -> Iterator[object]:
    from napari_tomodrgn.analysis.tomogram.chimerax_scene import ChimeraxScene, scene_steps

    (latents, colors), (epoch, sigma) = maps, look
    decoder = run.decoder(epoch)
    pairs = zip(placed, latents, strict=True)
    decoded = ((pose.particle_id, decoder.decode(z)) for pose, z in pairs)
    for step in scene_steps(folder, decoded, placed, colors, sigma):
        if isinstance(step, ChimeraxScene):
            yield f"{len(placed):,} maps at their poses → {step.script}"
        elif stop():
            return
        else:
            yield step, len(placed)


def _mesh_steps(path: Path, chunks: list[Any], colors: NDArray[np.uint8]) -> Iterator[str]:
    from napari_tomodrgn.analysis.tomogram.meshes import Mesh, write_mesh

    up = np.array([1.0, -1.0, 1.0], np.float32)
    starts = np.cumsum([0, *(len(chunk.vertices) for chunk in chunks[:-1])])
    rows = [chunk.rows[chunk.values.astype(int)] for chunk in chunks]
    owners = np.concatenate(rows)
    pairs = zip(chunks, starts, strict=True)
    mesh = Mesh(
        np.concatenate([chunk.vertices * up for chunk in chunks]),
        np.concatenate([chunk.faces + start for chunk, start in pairs]).astype(np.int32),
        owners.astype(np.float32),
    )
    write_mesh(path, mesh, colors[owners])
    yield f"{len(np.unique(owners)):,} surfaces, {len(mesh.faces):,} triangles → {path}"


def _movie_steps(path: Path, pictures: list[NDArray[np.uint8]]) -> Iterator[str]:
    import imageio.v3 as imageio

    from napari_tomodrgn.files import written_atomically

    with written_atomically(path) as temporary:
        if path.suffix.lower() == ".gif":
            imageio.imwrite(temporary, np.stack(pictures), duration=1e3 * _FRAME_SECONDS, loop=0)
        else:
            imageio.imwrite(temporary, np.stack(pictures), fps=round(1 / _FRAME_SECONDS))
    yield f"{len(pictures)} frames → {path}"
