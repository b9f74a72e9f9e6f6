"""Sheets of tilt images: whose they are, and that they are the images of the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.latents.class_images import class_image_steps
from napari_tomodrgn.analysis.overview import montage
from napari_tomodrgn.analysis.pictures import as_png, sheet_picture
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    return Run.open(shutil.copytree(tiny_run, tmp_path / "run"))


def test_a_png_holds_the_greys_that_were_given() -> None:
    grey = np.arange(5 * 300, dtype=np.uint16).reshape(5, 300).astype(np.uint8)
    assert np.array_equal(imageio.imread(as_png(grey)), grey)


def test_each_cluster_has_a_sheet_of_the_particles_in_its_middle(run: Run) -> None:
    latents = run.latents()
    cluster = np.where(latents["mu_0"] > latents["mu_0"].median(), 2, 1)
    table = pd.DataFrame({"particle_id": latents.index, "cluster": cluster})
    table.to_csv(run.analysis.clusters, index=False)
    list(class_image_steps(run))
    rows = pd.read_csv(run.analysis.class_image_rows)
    assert rows.groupby("cluster").size().tolist() == [8, 8]
    points = latents.filter(like="mu_").to_numpy()
    for number in (1, 2):
        mine = list(rows["particle_id"][rows["cluster"] == number])
        middle = points[cluster == number].mean(axis=0)
        far = pd.Series(np.linalg.norm(points - middle, axis=1), latents.index)[cluster == number]
        assert set(mine) == set(far.nsmallest(8).index)
        sheet = imageio.imread(run.analysis.class_images(number))
        assert sheet.shape == (8 * 26 - 2, 9 * 26 - 2)  # 9 of 11 tilts of 24 pixels
        particles = run.particles().select(mine)
        again = montage(
            particles,
            (8, 9),
            lowpass_angstrom=4 * particles.optics.pixel_size_angstrom,
            invert=run.info.sign < 0,
        )
        assert np.array_equal(sheet, sheet_picture(again.picture))
        assert tuple(mine) == again.particle_ids
        assert (sheet[24:26] == 255).all() and sheet.std() > 30


def test_without_clusters_or_images_it_is_one_sentence(run: Run) -> None:
    with pytest.raises(BadInputError, match="has no clusters yet"):
        list(class_image_steps(run))
