"""Maps of particles at their poses for ChimeraX: a folder of maps, a script, a merged mesh.

ChimeraX puts voxel ``i`` of an MRC file at ``i · voxel size``, so the centre of a map, voxel
``n // 2``, has to be taken to the particle's position: see `model_matrix`. Scene coordinates are Å
from the corner of the tomogram, where ChimeraX opens the tomogram itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.selections import known_clusters
from napari_tomodrgn.analysis.tomogram.meshes import (
    Mesh,
    contour,
    contour_level,
    merge,
    step_within_budget,
    write_mesh,
)
from napari_tomodrgn.analysis.tomogram.placement import Placement, box_centre_index
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import Volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.file_names import as_file_name
from napari_tomodrgn.files import write_text
from napari_tomodrgn.geometry import FloatArray
from napari_tomodrgn.palette import CATEGORIES

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
    from napari_tomodrgn.learn.run.directory import Run

# Five points of a scale from dark to light that is even to the eye.
_SCALE = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
_MISSING = "#9e9e9e"


@dataclass(frozen=True)
class ChimeraxScene:
    """What was written.

    Attributes
    ----------
    script
        For ChimeraX.
    mesh
        All surfaces in one PLY file.
    maps
        MRC files, one for each different map.
    """

    script: Path
    mesh: Path
    maps: tuple[Path, ...]


@dataclass(frozen=True)
class _Model:
    """One line of the script's table: which file at which pose, how contoured and coloured."""

    file: str
    particle_id: str
    matrix: FloatArray
    level: float
    color: str


def model_matrix(placement: Placement, volume: Volume) -> FloatArray:
    """ChimeraX's position of a map's model, ``(3, 4)`` on xyz columns in Å."""
    centre = box_centre_index(volume)[::-1] * volume.voxel_size_angstrom
    matrix = np.empty((3, 4))
    matrix[:, :3] = placement.rotation_xyz
    matrix[:, 3] = placement.position_zyx_angstrom[::-1] - placement.rotation_xyz @ centre
    return matrix


def write_scene(
    out: str | Path,
    maps: Iterable[tuple[str, Volume]],
    placed: Sequence[Placement],
    colors: pd.Series | Sequence[str] | None = None,
    sigma: float = 3.0,
) -> ChimeraxScene:
    """Write maps, ``place.cxc`` and ``particles.ply`` into a folder.

    Parameters
    ----------
    out
        Folder to write to.
    maps
        For each particle a name and its map. A name that comes again (a class) is the same map,
        written once. May be a generator: maps are not kept.
    placed
        Poses, all of one tomogram.
    colors
        Of each particle: ``#rrggbb``, or a column for `hex_colors`; all the same if None.
    sigma
        Contour, in standard deviations above solvent.
    """
    for step in scene_steps(out, maps, placed, colors, sigma):
        if isinstance(step, ChimeraxScene):
            return step
    raise AssertionError("a scene was not finished")


def scene_steps(
    out: str | Path,
    maps: Iterable[tuple[str, Volume]],
    placed: Sequence[Placement],
    colors: pd.Series | Sequence[str] | None = None,
    sigma: float = 3.0,
) -> Iterator[int | ChimeraxScene]:
    """The same in steps: the number of particles that are done, at last the scene."""
    out = Path(out)
    if colors is None:
        colors = [CATEGORIES[0]] * len(placed)
    colors = list(colors) if isinstance(colors, Sequence) else hex_colors(colors)
    files: dict[str, str] = {}
    shapes: dict[str, Mesh] = {}
    models, meshes = [], []
    for (name, volume), placement, color in zip(maps, placed, colors, strict=True):
        if name not in files:
            files[name] = f"maps/{len(files) + 1:04d}_{as_file_name(name)}.mrc"
            write_volume(out / files[name], volume)
            step = step_within_budget(volume.box_size_px, len(placed))
            shapes[name] = contour(volume, sigma, step)
        meshes.append(shapes[name])
        matrix, level = model_matrix(placement, volume), contour_level(volume, sigma)
        models.append(_Model(files[name], placement.particle_id, matrix, level, color))
        yield len(models)
    merged = merge(meshes, placed, limit=None)
    rgb = np.array([_rgb(color) for color in colors], dtype=np.uint8).reshape(-1, 3)
    script, mesh = scene_files(out)
    write_mesh(mesh, merged, rgb[merged.values.astype(np.int64)])
    write_text(script, _script(models))
    yield ChimeraxScene(script, mesh, tuple(out / file for file in files.values()))


def scene_files(out: Path) -> tuple[Path, Path]:
    """Script and mesh of a scene in a folder; its maps are in ``maps/`` beside them."""
    return out / "place.cxc", out / "particles.ply"


def run_table(run: Run, particles: ParticleSet, epoch: int | None = None) -> pd.DataFrame:
    """All that can colour a particle: latents, columns of the star file, ``cluster`` if there is.

    Parameters
    ----------
    run
        A trained run.
    particles
        Of the run, or some of them.
    epoch
        Epoch of the latents, the last if None.

    Returns
    -------
    Index ``particle_id``, rows of ``particles``.
    """
    latents = run.latents(epoch)
    further = particles.particles.columns.difference(latents.columns)
    table = latents.loc[particles.ids].join(particles.particles[further])
    if (added := run.extras()) is not None:
        table = table.join(added[added.columns.difference(table.columns)])
    clusters = known_clusters(run.path)
    if clusters is None:
        return table
    return table.assign(cluster=clusters["cluster"].reindex(table.index).astype("Int64"))


def column_of(table: pd.DataFrame, name: str) -> pd.Series:
    """A column by its name.

    Raises
    ------
    BadInputError
        If there is none.
    """
    if name not in table:
        how = "Cluster the latents in the window or with analyze."
        raise BadInputError(
            f"There is no column {name!r}; there are: {', '.join(map(str, table.columns))}.",
            remedy=how if name == "cluster" else "",
            code="no-column",
        )
    return table[name]


def decoded_maps(
    decoder: VolumeDecoder,
    table: pd.DataFrame,
    groups: pd.Series | None = None,
    box_and_lowpass: tuple[int | None, float | None] = (None, None),
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[str, Volume]]:
    """Name and map of each particle of a table of latents: its own, or that of its group.

    Parameters
    ----------
    decoder
        Of the run.
    table
        With columns ``mu_0`` …, one row a particle.
    groups
        Such as clusters: particles of a group share the map of their mean latent.
    box_and_lowpass
        Edge of the maps in voxels and resolution in Å to cut them at; None: as trained, not cut.
    progress
        Called with the number of particles done and of all.
    """
    if groups is not None and groups.isna().any():
        missing = int(groups.isna().sum())
        raise BadInputError(f"{missing} of {len(groups)} particles have no {groups.name}.")
    latents = table[[name for name in table.columns if re.fullmatch(r"mu_\d+", str(name))]]
    if groups is not None:
        latents = latents.groupby(groups).mean()
    # Maps of single particles are not kept: there may be thousands.
    kept: dict[str, Volume] = {}
    for done, key in enumerate(table.index if groups is None else groups, start=1):
        name = str(key) if groups is None else f"{groups.name}_{key}"
        volume = kept.get(name)
        if volume is None:
            volume = decoder.decode(latents.loc[key].to_numpy(np.float32), *box_and_lowpass)
        if groups is not None:
            kept[name] = volume
        yield name, volume
        if progress is not None:
            progress(done, len(table))


def hex_colors(column: pd.Series) -> list[str]:
    """``#rrggbb`` of each value: a scale for floating-point numbers, else a colour for each class.

    The scale goes from the 2nd to the 98th percentile; missing values are grey.
    """
    if column.dtype.kind == "f":
        return _on_scale(column.to_numpy(np.float64))
    classes = {name: rank for rank, name in enumerate(sorted(set(column.dropna()), key=_natural))}
    ranks = [classes.get(name) for name in column]
    return [_MISSING if rank is None else CATEGORIES[rank % len(CATEGORIES)] for rank in ranks]


def _on_scale(values: FloatArray) -> list[str]:
    known = np.isfinite(values)
    if not known.any():
        return [_MISSING] * len(values)
    low, high = np.percentile(values[known], [2, 98])
    share = np.clip((np.where(known, values, low) - low) / ((high - low) or 1.0), 0.0, 1.0)
    anchors = np.array([_rgb(color) for color in _SCALE], dtype=np.float64)
    axis = np.linspace(0.0, 1.0, len(anchors))
    rgb = np.stack([np.interp(share, axis, anchors[:, part]) for part in range(3)], axis=1)
    texts = ["#{:02x}{:02x}{:02x}".format(*row) for row in np.rint(rgb).astype(int)]
    return [text if is_known else _MISSING for text, is_known in zip(texts, known, strict=True)]


def _natural(name: object) -> tuple[int, float, str]:
    """Numbers by size, then all else by name."""
    return (0, float(name), "") if isinstance(name, int | np.integer) else (1, 0.0, str(name))


def _rgb(color: str) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(color.removeprefix("#")), dtype=np.uint8)


def _script(models: Sequence[_Model]) -> str:
    """Commands of ChimeraX; paths are relative to the script, numbers have all their digits."""
    lines = [
        "# Maps of particles at their poses, by napari-tomodrgn.",
        "# Open this file in ChimeraX, with nothing else open. Coordinates are angstrom from the",
        "# corner of the tomogram, so the tomogram can be opened beside it as it is.",
        "set bgColor white",
    ]
    for number, model in enumerate(models, start=1):
        numbers = ",".join(repr(float(value)) for value in model.matrix.ravel())
        # An identity is data: no line break may turn it into a command.
        lines += [
            f"# {' '.join(model.particle_id.split())}",
            f'open "{model.file}" id #{number}',
            f"volume #{number} style surface level {model.level!r} step 1 color {model.color}",
            f"view matrix models #{number},{numbers}",
        ]
    return "\n".join([*lines, "view", ""])
