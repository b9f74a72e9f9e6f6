"""Which particles and tilt images are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.choice import choose_images, choose_particles, read_ids
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError


@pytest.fixture(scope="module")
def particles(simulated: Path) -> ParticleSet:
    return read_particles(simulated / "warptools" / "particles_optimisation_set.star")


@pytest.mark.parametrize("name", ["TS_001", "TS_001.tomostar"])
def test_tomograms_by_either_name(particles: ParticleSet, name: str) -> None:
    chosen = choose_particles(particles, DataConfig(tomograms=(name,)))
    assert set(chosen.particles["tomogram"]) == {"TS_001.tomostar"}
    with pytest.raises(BadInputError, match="no tomogram is called 'TS_9'"):
        choose_particles(particles, DataConfig(tomograms=("TS_9",)))


def test_tilts_by_dose_and_number(particles: ParticleSet) -> None:
    few = choose_images(particles, DataConfig(max_tilts=4))
    assert set(few.particles["tilts"]) == {4}
    dose = particles.images.groupby("particle_id", observed=True)["dose_e_per_angstrom2"]
    lowest = {name: sorted(values)[:4] for name, values in dose}
    for name, values in few.images.groupby("particle_id", observed=True)["dose_e_per_angstrom2"]:
        assert sorted(values) == lowest[name]
    limit = float(np.median(particles.images["dose_e_per_angstrom2"]))
    low = choose_images(particles, DataConfig(max_dose_e_per_angstrom2=limit))
    assert low.images["dose_e_per_angstrom2"].max() <= limit
    assert len(low.images) == (particles.images["dose_e_per_angstrom2"] <= limit).sum()
    without = choose_images(particles, DataConfig(exclude_tilts=(0, 3)))
    assert not without.images["tilt_index"].isin([0, 3]).any()
    both = choose_images(particles, DataConfig(exclude_tilts=(0, 3), max_tilts=4))
    assert set(both.particles["tilts"]) == {4}
    assert not both.images["tilt_index"].isin([0, 3]).any()
    assert choose_images(few, DataConfig(max_tilts=4)) is few


def test_particles_with_too_few_tilts_go(particles: ParticleSet) -> None:
    first = particles.images["particle_id"].cat.codes.to_numpy() == 0
    keep = ~first | (particles.images["tilt_index"].to_numpy() < 3)
    uneven = particles.filter_images(keep)
    left = choose_particles(uneven, DataConfig(min_tilts=4))
    assert left.ids == particles.ids[1:]
    with pytest.raises(BadInputError, match=r"no particle is left of 24, by min_tilts 40"):
        choose_particles(particles, DataConfig(min_tilts=40))
    with pytest.raises(BadInputError, match="no tilt image is left"):
        choose_images(particles, DataConfig(exclude_tilts=tuple(range(11))))


def test_a_tilt_that_no_series_has_is_told(particles: ParticleSet) -> None:
    keep = (particles.images["tilt_index"] != 4).to_numpy()
    seen = particles.filter_images(keep)
    assert choose_particles(seen, DataConfig(exclude_tilts=(4, 10))).ids == particles.ids
    with pytest.raises(BadInputError, match=r"no tilt series has a tilt 11 to exclude.*0 to 10"):
        choose_particles(seen, DataConfig(exclude_tilts=(10, 11, 50)))


def test_without_doses_the_first_cannot_be_told(particles: ParticleSet) -> None:
    blank = replace(particles, images=particles.images.assign(dose_e_per_angstrom2=0.0))
    with pytest.raises(BadInputError, match="--dose-per-tilt"):
        choose_images(blank, DataConfig(max_tilts=4))


def test_lists_tables_and_stars(particles: ParticleSet, tmp_path: Path) -> None:
    wanted = particles.ids[2:5]
    text, table, split = tmp_path / "a.txt", tmp_path / "a.csv", tmp_path / "b.csv"
    # As editors on Windows write them: with a byte order mark, and other line ends.
    text.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*wanted, "", ""]).encode())
    rows = "".join(f"{name},x\r\n" for name in wanted)
    table.write_bytes(b"\xef\xbb\xbf" + f"particle_id,note\r\n{rows}".encode())
    pairs = "".join(f"{i.partition('/')[0]},{i.partition('/')[2]}\n" for i in wanted)
    split.write_text("tomogram,particle\n" + pairs)
    star = write_subset(particles.select(wanted), tmp_path / "a.star")
    for file in (text, table, split, star, tmp_path / "a.star"):
        assert read_ids(file) == wanted
        assert choose_particles(particles, DataConfig(particles=str(file))).ids == wanted
    (tmp_path / "c.csv").write_text("id\n1\n")
    with pytest.raises(BadInputError, match=r"no column particle_id.*found id"):
        read_ids(tmp_path / "c.csv")
