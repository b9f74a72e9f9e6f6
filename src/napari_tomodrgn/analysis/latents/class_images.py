"""A sheet of tilt images for each cluster: its particles before anything is averaged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_tomodrgn.analysis.latents.components import latent_matrix
from napari_tomodrgn.analysis.overview import montage
from napari_tomodrgn.analysis.pictures import as_png, sheet_picture
from napari_tomodrgn.analysis.selections import read_clusters
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import WorkProgress

# At most so many particles (rows) and tilts (columns).
_SHAPE = (8, 9)
# Images are noise to the eye beyond this many pixels.
_FINEST_PX = 4.0


def class_image_steps(
    run: Run, epoch: int | None = None, particles: ParticleSet | None = None
) -> Iterator[WorkProgress]:
    """Write ``figures/cluster-01-images.png`` … and which particles are in which row.

    The particles are those nearest to the mean latent of their cluster, each at tilts spread over
    its series from the lowest to the highest; images are cut at four pixels. ``particles`` are
    those of the run, where they are read already.

    Raises
    ------
    BadInputError
        If the run has no clusters yet, or its images cannot be read.
    """
    import pandas as pd

    particles = particles or run.particles()
    table = run.latents(epoch)
    clusters = read_clusters(run.path)["cluster"].reindex(table.index)
    points = latent_matrix(table)
    numbers = sorted(int(one) for one in clusters.dropna().unique())
    lowpass = _FINEST_PX * particles.optics.pixel_size_angstrom
    rows = []
    for done, number in enumerate(numbers, start=1):
        members = np.flatnonzero((clusters == number).to_numpy())
        far = np.linalg.norm(points[members] - points[members].mean(axis=0), axis=1)
        nearest = [str(table.index[row]) for row in members[np.argsort(far)][: _SHAPE[0]]]
        found = montage(
            particles.select(nearest), _SHAPE, lowpass_angstrom=lowpass, invert=run.info.sign < 0
        )
        with written_atomically(run.analysis.class_images(number)) as temporary:
            temporary.write_bytes(as_png(sheet_picture(found.picture)))
        ids = found.particle_ids
        rows += [(number, row, name) for row, name in enumerate(ids, start=1)]
        yield WorkProgress(done, len(numbers), "Drawing images of clusters")
    listed = pd.DataFrame(rows, columns=["cluster", "row", "particle_id"])
    with written_atomically(run.analysis.class_image_rows) as temporary:
        listed.to_csv(temporary, index=False)
