"""Maps of classes: each decoded at the particle that stands for its class."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.clusters import nearest_to_middle
from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.file_names import as_file_name
from napari_tomodrgn.files import write_text
from napari_tomodrgn.particle_columns import SELECTIONS, Column, latent_matrix
from napari_tomodrgn.session.shown_maps import lowpassed

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder


@dataclass(frozen=True)
class ParticleClass:
    """A class and the particle that stands for it.

    Attributes
    ----------
    name
        As `class_name` has it.
    particles
        How many it has.
    middle
        Identity of the one nearest to their mean latent.
    z
        That particle's latent.
    """

    name: str
    particles: int
    middle: str
    z: tuple[float, ...]


def class_name(column: Column, code: int) -> str:
    """What a category is called away from its legend: ``cluster 2``, or a selection's own name."""
    name = column.categories[code] or "(none)"
    return name if column.name == SELECTIONS else f"{column_label(column.name)} {name}"


def middle_of(table: pd.DataFrame, members: NDArray[np.bool_]) -> str:
    """Identity of the particle that stands for a class; ``(particle,)`` true for its members."""
    return str(table.index[nearest_to_middle(latent_matrix(table), members)])


def particle_classes(table: pd.DataFrame, column: Column) -> list[ParticleClass]:
    """The categories of a column that have particles among those of a table of latents."""
    points = latent_matrix(table)
    found = []
    for code in range(len(column.categories)):
        members = column.values == code
        if members.any():
            row = nearest_to_middle(points, members)
            name, count = class_name(column, code), int(members.sum())
            found.append(ParticleClass(name, count, str(table.index[row]), tuple(points[row])))
    return found


def write_class_maps(
    decoder: VolumeDecoder, classes: list[ParticleClass], folder: Path, lowpass: float
) -> str:
    """Write the map of each class, and ``classes.csv`` of what stands for what; the sentence.

    ``lowpass`` is the resolution in Å at which maps are cut; 0: as they are.
    """
    from napari_tomodrgn.data.volume import write_volume

    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["class", "particles", "map", "map_source", "decoded_at"])
    for number, one in enumerate(classes, start=1):
        # Two names may be one as a file.
        name = f"{number:02d}_{as_file_name(one.name).strip('_')}.mrc"
        volume = decoder.decode(np.array(one.z, np.float32))
        write_volume(folder / name, lowpassed(volume, lowpass))
        rows.writerow([one.name, one.particles, name, "decoded", one.middle])
    write_text(folder / "classes.csv", table.getvalue())
    return f"{len(classes)} decoded maps and classes.csv written to {folder}."
