"""The commands about maps: `fsc`, `mask`."""

from __future__ import annotations

from argparse import Namespace

import numpy as np

from napari_tomodrgn.analysis.map_comparison import compare_maps
from napari_tomodrgn.analysis.volume_masks import box_mask, difference_mask, sphere_mask
from napari_tomodrgn.cli.choosing import given_files
from napari_tomodrgn.cli.terminal import say
from napari_tomodrgn.data.volume import Volume, read_volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.run.exports import export_files
from napari_tomodrgn.physics.shells import FSC_THRESHOLD


def run_fsc(options: Namespace) -> int:
    """Print how well two maps agree, as a whole and by shell."""
    found = compare_maps(options.first, options.second, options.mask, options.pixel_size)
    if options.out is not None:
        with (
            export_files(overwrite=options.overwrite, files=given_files(options)) as outputs,
            written_atomically(options.out) as temporary,
        ):
            outputs.check(options.out)
            found.table().to_csv(temporary, index=False)
    print(f"correlation {found.correlation:.5f}")
    for threshold in (0.5, FSC_THRESHOLD):
        print(f"FSC {threshold} at {_angstrom(found.curve.resolution_angstrom(threshold))}")
    print(f"mean FSC {found.mean_fsc:.4f}")
    if options.out is None:
        print("shell  resolution (Å)  FSC")
        curve = found.curve
        pairs = zip(curve.frequency_per_angstrom, curve.correlation, strict=True)
        for shell, (frequency, value) in enumerate(pairs):
            if shell:
                print(f"{shell:5d}  {1 / frequency:14.2f}  {value:.4f}")
    else:
        say(f"→ {options.out}")
    return 0


def run_mask(options: Namespace) -> int:
    """Write a mask of a region of a map."""
    like = read_volume(options.map)
    if options.pixel_size is not None:
        like = Volume(like.data, options.pixel_size)
    if options.sphere is not None:
        mask = sphere_mask(like, options.sphere[:3], options.sphere[3])
    elif options.cuboid is not None:
        mask = box_mask(like, options.cuboid[:3], options.cuboid[3:])
    else:
        mask = difference_mask(like, read_volume(options.difference), options.sigma)
    inside = float((mask > 0.5).mean())
    if not 0 < inside < 1:
        raise BadInputError(
            f"The region holds {inside:.0%} of the box {options.map}.",
            remedy="Coordinates are Å from the map's first voxel, as ChimeraX shows them.",
            code="bad-mask",
        )
    with export_files(overwrite=options.overwrite, files=given_files(options)) as outputs:
        outputs.check(options.out)
        write_volume(options.out, Volume(mask.astype(np.float32), like.voxel_size_angstrom))
    say(f"{inside:.1%} of the box → {options.out}")
    return 0


def _angstrom(resolution: float) -> str:
    return f"{resolution:.2f} Å" if np.isfinite(resolution) else "no shell"
