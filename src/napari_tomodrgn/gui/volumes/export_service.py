"""What is on show, as files: the map, the picture, the maps of all frames of a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject

from napari_tomodrgn.files import write_text, written_atomically
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.volumes.decoding_service import DecoderCache
from napari_tomodrgn.gui.volumes.figure import FigureOptions, take_picture
from napari_tomodrgn.gui.volumes.isosurfaces import lowpassed
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_tomodrgn.learn.run.directory import Run
    from napari_tomodrgn.session import LatentPath


class VolumeExporter(Service):
    """Verbs that write files; the session tells when they are there."""

    doing = "writing a file"

    def __init__(self, session: Session, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._viewer = viewer
        self.files = self.task_queue(session.show_message, computes=True)
        self._decoders = DecoderCache()

    def save_map(self, path: str | Path) -> None:
        """Write the map on show, filtered as it is shown, with its voxel size."""
        from napari_tomodrgn.data.volume import write_volume

        decoded = self.session.decoded
        if decoded is None:
            self.session.show_message(
                "There is no map on show yet: click a particle first.", "warning"
            )
            return
        volume, lowpass = decoded.shown, decoded.lowpass
        cut = f", low-pass {lowpass:g} Å" if lowpass else ""

        writing = self.exporting(overwrite=True)

        def work() -> str:
            with writing:
                write_volume(path, volume)
            box, voxel = volume.box_size_px, volume.voxel_size_angstrom
            return f"{Path(path).name} written: {box} voxels of {voxel:.3f} Å{cut}."

        self.files.add(work)

    def save_picture(self, path: str | Path, options: FigureOptions | None = None) -> None:
        """Write the canvas as a PNG: as asked for, else at twice its size on the screen."""
        import imageio.v3 as iio

        options = options or FigureOptions()
        picture, dpi = take_picture(self._viewer, options), options.dpi

        writing = self.exporting(overwrite=True)

        def work() -> str:
            with writing, written_atomically(path) as temporary:
                iio.imwrite(temporary, picture, extension=".png", dpi=(dpi, dpi))
            height, width = picture.shape[:2]
            return f"{Path(path).name} written: {width} × {height} pixels."

        self.files.add(work)

    def save_frames(self, folder: str | Path) -> None:
        """Write the map of every frame of the path, and a table of their latents and support."""
        session = self.session
        run, path = session.run, session.trajectory
        if run is None or path is None:
            session.show_message("Make a path first: its frames are what is saved.", "warning")
            return
        epoch, lowpass = session.epoch, session.lowpass
        session.show_message(f"Writing {len(path.points)} maps to {folder} …")
        writing = self.exporting(overwrite=False)

        def work() -> str:
            with writing:
                return self._write_frames((run, epoch), path, Path(folder), lowpass)

        self.files.add(work)

    def _write_frames(
        self, at: tuple[Run, int], path: LatentPath, folder: Path, lowpass: float
    ) -> str:
        from napari_tomodrgn.data.volume import write_volume

        decoder = self._decoders.of(*at)
        dimensions = len(path.points[0].z)
        rows = [",".join(["frame", "near", *(f"z_{axis}" for axis in range(dimensions))])]
        for number, point in enumerate(path.points, start=1):
            volume = decoder.decode(np.array(point.z, np.float32))
            write_volume(folder / f"frame_{number:03d}.mrc", lowpassed(volume, lowpass))
            rows.append(",".join([str(number), str(point.n_neighbors), *map(repr, point.z)]))
        write_text(folder / "frames.csv", "\n".join(rows) + "\n")
        return f"{len(path.points)} decoded maps and frames.csv written to {folder}."
