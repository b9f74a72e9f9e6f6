"""A movie of a path: every frame is decoded in full, drawn by the viewer and kept as a picture."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.volumes.figure import FigureOptions, take_frame
from napari_tomodrgn.gui.widgets.qt import Signal, soon
from napari_tomodrgn.session import LatentPath, Session

if TYPE_CHECKING:
    from napari.viewer import Viewer

Picture = NDArray[np.uint8]

FRAMES_PER_SECOND = 8
# Packages through which imageio encodes MP4; it reads and writes GIF by itself.
_ENCODERS = {"imageio_ffmpeg": "FFMPEG", "av": "pyav"}


def mp4_plugin() -> str | None:
    """imageio's name of what can encode MP4 here, None if nothing can."""
    return next((plugin for package, plugin in _ENCODERS.items() if find_spec(package)), None)


def movie_kinds() -> str:
    """What a movie can be written as here, for a dialog."""
    if mp4_plugin() is None:
        return "GIF (MP4: install imageio-ffmpeg) (*.gif)"
    return "Movies (*.gif *.mp4)"


class MovieRecorder(Service):
    """Goes along the path of a session, a picture at each frame, then writes the movie."""

    doing = "writing a movie"

    frame_requested = Signal(int)

    def __init__(self, session: Session, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._viewer = viewer
        self.files = self.task_queue(session.show_message)
        self._path: LatentPath | None = None
        self._target, self._options = Path(), FigureOptions()
        self._pictures: list[Picture] = []
        self.listen(self._on_change, "decoded", "trajectory")

    @property
    def is_busy(self) -> bool:
        """Whether a movie is being made."""
        return self._path is not None or super().is_busy

    def start(self, target: str | Path, options: FigureOptions) -> None:
        """Film the path to and fro, as GIF or MP4 by the name's ending."""
        session, path = self.session, self.session.trajectory
        if path is None:
            session.show_message(
                "Make a path first: a movie goes along it.",
                "warning",
                lambda: session.trajectory is not None,
            )
        elif Path(target).suffix.lower() == ".mp4" and mp4_plugin() is None:
            session.show_message(
                "MP4 needs an encoder that is not installed (pip install imageio-ffmpeg); "
                "a name that ends in .gif works without.",
                "warning",
            )
        elif self._path is None:
            self._path, self._target, self._pictures = path, Path(target), []
            self._options = options
            self.frame_requested.emit(0)
            self._on_change()

    def stop(self, *_: object) -> None:
        """Forget the movie that is being made."""
        self._path, self._pictures = None, []

    def close(self) -> None:
        """Take no more pictures."""
        self.stop()
        super().close()

    def _on_change(self, *_: object) -> None:
        """Take the picture once the volume of the frame is there in full."""
        path, session = self._path, self.session
        if path is None:
            return
        if session.trajectory is not path:
            self.stop()
            session.show_message("The path was changed: no movie was made.", "warning")
            return
        shown, wanted = session.decoded, path.points[len(self._pictures)]
        from_images = shown is not None and shown.effective_particles is not None
        if from_images is not (session.map_source == "images"):
            return  # it is decoded at once, until the map from images is there
        if shown is not None and shown.complete and shown.point == wanted:
            # After all who show the volume have heard of it.
            soon(self, self._take_picture)

    def _take_picture(self) -> None:
        path = self._path
        if path is None:
            return
        self._pictures.append(take_frame(self._viewer, self._options))
        done, count = len(self._pictures), len(path.points)
        if done < count:
            self.session.show_message(f"Filming: frame {done} of {count} …")
            self.frame_requested.emit(done)
            self._on_change()
            return
        pictures, target = self._pictures, self._target
        self.stop()
        writing = self.exporting(overwrite=True)

        def work() -> str:
            with writing:
                return write_movie(target, pictures)

        self.files.add(work)


def write_movie(target: Path, pictures: list[Picture]) -> str:
    """Write pictures of one size to and fro; a sentence about what was written."""
    import imageio.v3 as iio

    there_and_back = [*pictures, *pictures[-2:0:-1]]
    with written_atomically(target) as temporary:
        if target.suffix.lower() == ".mp4":
            plugin = mp4_plugin() or ""
            options: dict[str, Any] = {"codec": "libx264"} if plugin == "pyav" else {}
            iio.imwrite(temporary, there_and_back, plugin=plugin, fps=FRAMES_PER_SECOND, **options)
        else:
            iio.imwrite(
                temporary,
                there_and_back,
                extension=".gif",
                duration=round(1000 / FRAMES_PER_SECOND),
                loop=0,
            )
    height, width = pictures[0].shape[:2]
    seconds = len(there_and_back) / FRAMES_PER_SECOND
    return f"{target.name} written: {width} × {height} pixels, {seconds:.0f} s."
