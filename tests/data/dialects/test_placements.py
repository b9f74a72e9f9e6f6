"""Every dialect puts particles where the simulated tomogram has them, or says that it cannot."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest

from napari_tomodrgn.analysis.tomogram.placement import placements
from napari_tomodrgn.analysis.tomogram.placement_fit import PoseErrors, fit_poses
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.tomograms import stem
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.errors import BadInputError

# The others give the place of a particle in each image, not in the tomogram.
WITH_PLACES = ["warptools", "relion5", "relion4"]
WITHOUT = ["warp", "cryosrpnt", "nextpyp", "tomodrgn", "cistem"]


@pytest.mark.parametrize("dialect", WITH_PLACES)
def test_placed_maps_fit_the_tomogram(
    world: Any, exported: Any, dialect: str, request: Any
) -> None:
    particles = read_particles(exported(dialect).star)
    volume = read_volume(next((world.out / "truth_maps").glob("*.mrc")))
    parts = []
    for name in dict.fromkeys(particles.particles["tomogram"]):
        tomogram = read_volume(world.out / "tomograms" / f"{stem(name)}.mrc")
        placed = placements(particles, tomogram=name)
        parts.append(fit_poses(tomogram, [volume] * len(placed), placed, 160.0))
    voxel = tomogram.voxel_size_angstrom
    found = PoseErrors(*(np.concatenate(rows) for rows in zip(*map(astuple, parts), strict=True)))
    worst = np.linalg.norm(found.shifts_zyx_angstrom, axis=1).max() / voxel
    shift, turn = found.common()
    words = f"{worst:.2f} voxels at worst, {shift / voxel:.2f} and {turn:.2f} deg in common"
    request.node.user_properties.append(("placement", f"{dialect}: {words}"))
    assert worst < 0.5
    assert shift / voxel < 0.25
    assert turn < 0.5


@pytest.mark.parametrize("dialect", WITHOUT)
def test_dialects_without_places_say_so(exported: Any, dialect: str) -> None:
    with pytest.raises(BadInputError, match="have no positions"):
        placements(read_particles(exported(dialect).star))
