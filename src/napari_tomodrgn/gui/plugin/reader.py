"""napari's door: particle star files, run directories and MRC files, dropped or from the menu."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.extraction.recognize import MAP_SUFFIXES, is_averaging_list
from napari_tomodrgn.learn.run.archive import is_archive

PathLike = str | Path
LayerData = tuple[Any, ...]

# As the manifest has them.
_LIST_SUFFIXES = (".star", ".tbl", ".em", ".lst", ".xml", ".csv", ".json")
_ZARR_SUFFIXES, _ZARR_FILES = (".zarr", ".ngff"), (".zgroup", ".zattrs", ".zarray", "zarr.json")


def get_reader(path: PathLike | list[PathLike]) -> Callable[[Any], list[LayerData]] | None:
    """The function that opens a path, or None where there is nothing, or nothing of our kinds.

    What has the ending of one of our kinds and turns out to be something else is taken as well: the
    window says what it is. napari knows no answer but "refused the file", with a traceback.
    """
    if isinstance(path, list):
        found = {get_reader(one) for one in path}
        return found.pop() if len(found) == 1 else None
    path = Path(path)
    if path.is_dir():
        return None if _is_image_folder(path) else open_in_window
    if is_archive(path):
        return open_in_window
    if path.suffix.lower() in MAP_SUFFIXES:
        return read_maps
    return open_in_window if path.suffix.lower() in _LIST_SUFFIXES and path.exists() else None


def _is_image_folder(path: Path) -> bool:
    """Whether a folder is one image, which readers of Zarr open."""
    return path.suffix.lower() in _ZARR_SUFFIXES or any(
        (path / name).exists() for name in _ZARR_FILES
    )


def open_in_window(path: PathLike | list[PathLike]) -> list[LayerData]:
    """Open the first path in the tomoDRGN dock, or give positions where there is no window."""
    from napari_tomodrgn.gui.window.dock import open_dock

    first = path[0] if isinstance(path, list) else path
    viewer = current_viewer()
    if viewer is None:
        return [(None,)] if is_averaging_list(Path(first)) else positions(first)
    open_dock(viewer).open(first)
    return [(None,)]  # napari's way of saying: read, and nothing to add


def read_maps(path: PathLike | list[PathLike]) -> list[LayerData]:
    """An image layer for each MRC file, memory-mapped, at its true size in Å.

    Stacks of images are a series of 2-D images: their first axis is the number of the image.
    In a window that is open, what is no MRC file is told there, and the others are shown.

    Raises
    ------
    BadInputError
        If a file is no MRC file, or cut off, and there is no window to say it in.
    """
    layers: list[LayerData] = []
    for one in path if isinstance(path, list) else [path]:
        try:
            layers.append(image_layer(Path(one)))
        except BadInputError as error:
            if current_viewer() is None:
                raise
            _tell(str(error))
    return layers or [(None,)]


def _tell(sentence: str) -> None:
    """Say why something was not opened: in our window, or as napari's where ours is not open."""
    from napari.utils.notifications import show_error

    from napari_tomodrgn.gui.window.controller import controller_of

    controller = controller_of(current_viewer())
    if controller is None:
        show_error(sentence)
    else:
        controller.session.show_message(sentence, "error")


def image_layer(path: Path) -> LayerData:
    """The layer of one MRC file; where its header gives no voxel size, in voxels."""
    from napari_tomodrgn.data.mrc import mapped, read_mrc_header

    header = read_mrc_header(path)
    data = mapped(header)
    if not data.dtype.isnative:  # which the graphics card cannot take
        data = data.astype(data.dtype.newbyteorder("="))
    sizes = header.voxel_size_zyx_angstrom
    scale = [size if size > 0 else 1.0 for size in sizes]
    # One unit for all axes, images of a stack too: napari mixes no units in one scene.
    unit = "angstrom" if sizes[-1] > 0 else "pixel"
    if header.is_stack:
        scale[0] = 1.0  # so that the slider counts images
    if len(data) == 1:
        data, scale = data[0], scale[1:]
    kwargs = {"name": path.stem, "scale": tuple(scale), "units": (unit,) * data.ndim}
    return (data, kwargs, "image")


def positions(path: PathLike) -> list[LayerData]:
    """A points layer for each tomogram, in Å; nothing where the star file gives no positions."""
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.gui.particles.load import run_folder
    from napari_tomodrgn.learn.run.directory import Run

    folder = run_folder(path)
    particles = Run.open(folder).particles() if folder else read_particles(path)
    layers: list[LayerData] = []
    for tomogram, rows in particles.particles.groupby("tomogram", observed=True):
        columns = [f"position_{axis}_angstrom" for axis in "zyx"]
        known = rows.dropna(subset=columns)
        if len(known):
            features = known.reset_index()[["particle_id", "tilts"]]
            kwargs = {
                "name": str(tomogram),
                "features": features,
                "size": particles.optics.box_size_px * particles.optics.pixel_size_angstrom / 2,
                "units": ("angstrom",) * 3,
            }
            layers.append((known[columns].to_numpy(), kwargs, "points"))
    return layers or [(None,)]


def current_viewer() -> Any:
    """The viewer that napari is opening things into, or None.

    A thread has none: who asks there for data alone, as a tomogram is read, touches no window.
    """
    import napari

    in_window = threading.current_thread() is threading.main_thread()
    return napari.current_viewer() if in_window else None
