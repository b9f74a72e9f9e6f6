"""What is on show, as files: the map, the picture, the maps of all frames of a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.volumes.decoding_service import DecoderCache
from napari_tomodrgn.gui.volumes.figure import FigureOptions, take_picture
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.actions import Action, file_name
from napari_tomodrgn.session.class_maps import particle_classes, write_class_maps
from napari_tomodrgn.session.shown_maps import write_frames

if TYPE_CHECKING:
    from napari.viewer import Viewer


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
                "There is no map on show yet: click a particle first.",
                "warning",
                lambda: self.session.decoded is not None,
            )
            return
        volume, lowpass = decoded.shown, decoded.lowpass
        cut = f", low-pass {lowpass:g} Å" if lowpass else ""
        made = "decoded" if decoded.effective_particles is None else "from images"

        writing = self.exporting(overwrite=True)

        def work() -> str:
            with writing:
                write_volume(path, volume)
            box, voxel = volume.box_size_px, volume.voxel_size_angstrom
            return f"{Path(path).name} written, {made}: {box} voxels of {voxel:.3f} Å{cut}."

        if decoded.effective_particles is None:  # else it is of images, see `Recorder`
            self.session.record(Action.of("save_map", file_name(path), lowpass=lowpass))
        self.files.add(work)

    def save_class_maps(self, folder: str | Path) -> None:
        """Write a map of each cluster that colours the latent space, and a table of them."""
        session = self.session
        run, table, column = session.run_of_maps, session.latents, session.color_column
        if run is None or table is None or column is None or not shows_classes(session):
            session.show_message(
                "Colour the latent space by clusters first.",
                "warning",
                lambda: session.run_of_maps is not None and shows_classes(session),
            )
            return
        epoch, lowpass = session.epoch, session.lowpass
        session.show_message(f"Writing the decoded maps to {folder} …")
        writing = self.exporting(overwrite=False)

        def work() -> str:
            with writing:
                classes = particle_classes(table, column)
                return write_class_maps(
                    self._decoders.of(run, epoch), classes, Path(folder), lowpass
                )

        name = file_name(folder)
        session.record(Action.of("save_class_maps", name, column.name, lowpass=lowpass))
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
        run, path = session.run_of_maps, session.trajectory
        if run is None or path is None:
            session.show_message(
                "Make a path first: its frames are what is saved.",
                "warning",
                lambda: None not in (session.run_of_maps, session.trajectory),
            )
            return
        epoch, lowpass = session.epoch, session.lowpass
        session.show_message(f"Writing {len(path.points)} maps to {folder} …")
        writing = self.exporting(overwrite=False)

        def work() -> str:
            with writing:
                return write_frames(self._decoders.of(run, epoch), path, Path(folder), lowpass)

        session.record(Action.of("save_frames", file_name(folder), lowpass=lowpass))
        self.files.add(work)


def shows_classes(session: Session) -> bool:
    """Whether a column of classes colours the particles."""
    column = session.color_column
    return column is not None and column.categorical
