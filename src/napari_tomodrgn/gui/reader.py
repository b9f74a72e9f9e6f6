"""napari's door: particle star files and run directories, dropped or opened from the menu."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

PathLike = str | Path
LayerData = tuple[Any, ...]

PLUGIN = "napari-tomodrgn"
WIDGET = "tomoDRGN"
_LOOK_AT_BYTES = 1 << 16
# Words of the star files that list particles, one a line of loop header or key.
_PARTICLE_WORDS = (
    b"_rlnTomoParticlesFile",
    b"_rlnTomoParticleName",
    b"_rlnTomoVisibleFrames",
    b"_rlnImageName",
    b"_rlnGroupName",
)


def get_reader(path: PathLike | list[PathLike]) -> Callable[[Any], list[LayerData]] | None:
    """The function that opens a path, or None where it is nothing of ours.

    Only the head of a star file is looked at: many other things are stored as star files.
    """
    if isinstance(path, list):
        return open_in_window if path and all(get_reader(one) for one in path) else None
    path = Path(path)
    if path.is_dir():
        return open_in_window if (path / "run.json").is_file() else None
    return open_in_window if path.suffix.lower() == ".star" and lists_particles(path) else None


def lists_particles(path: Path) -> bool:
    """Whether a file looks like a star file of particles."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(_LOOK_AT_BYTES)
    except OSError:
        return False
    return b"\0" not in head and any(word in head for word in _PARTICLE_WORDS)


def open_in_window(path: PathLike | list[PathLike]) -> list[LayerData]:
    """Open the first path in the tomoDRGN dock, or give positions where there is no window."""
    first = path[0] if isinstance(path, list) else path
    viewer = current_viewer()
    if viewer is None:
        return positions(first)
    open_dock(viewer).open(first)
    return [(None,)]  # napari's way of saying: read, and nothing to add


def open_dock(viewer: Any) -> Any:
    """The `MainWidget` of a viewer, opened where it is not open yet."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    return widget


def positions(path: PathLike) -> list[LayerData]:
    """A points layer for each tomogram, in Å; nothing where the star file gives no positions."""
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.gui.loading import run_folder
    from napari_tomodrgn.learn.run import Run

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
    """The viewer that napari is opening things into, or None."""
    import napari

    return napari.current_viewer()
