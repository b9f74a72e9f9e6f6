"""Maps as they are shown, and written: cut at a resolution, and frame by frame along a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tomodrgn.files import write_text

if TYPE_CHECKING:
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
    from napari_tomodrgn.session.values import LatentPath


def lowpassed(volume: Volume, lowpass: float) -> Volume:
    """The map up to a resolution in Å; 0 leaves it as it is, as does what it cannot resolve."""
    from napari_tomodrgn.analysis.fsc import low_pass

    return low_pass(volume, lowpass) if lowpass > 2 * volume.voxel_size_angstrom else volume


def write_frames(decoder: VolumeDecoder, path: LatentPath, folder: Path, lowpass: float) -> str:
    """Write the map of every frame, and ``frames.csv`` of their latents; the sentence about it."""
    from napari_tomodrgn.data.volume import write_volume

    dimensions = len(path.points[0].z)
    rows = [",".join(["frame", "near", *(f"z_{axis}" for axis in range(dimensions))])]
    for number, point in enumerate(path.points, start=1):
        volume = decoder.decode(np.array(point.z, np.float32))
        write_volume(folder / f"frame_{number:03d}.mrc", lowpassed(volume, lowpass))
        rows.append(",".join([str(number), str(point.n_neighbors), *map(repr, point.z)]))
    write_text(folder / "frames.csv", "\n".join(rows) + "\n")
    return f"{len(path.points)} decoded maps and frames.csv written to {folder}."
