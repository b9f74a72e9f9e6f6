"""A third of the particles written and read again: exactly those, everything else untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import read_star

NAMES = (
    "warptools",
    "warptools-refined",
    "relion5",
    "relion4",
    "warp",
    "cryosrpnt",
    "nextpyp",
    "nextpyp-text",
    "tomodrgn",
    "cistem",
    "emclarity",
)
# The names of files, made absolute where they would be lost: all that writing may change.
FILES = ("rlnImageName", "cisTEMStackFilename")


def third(particles: ParticleSet) -> ParticleSet:
    return particles.take(np.arange(len(particles)) % 3 == 1)


def same_but_for_row_numbers(one: ParticleSet, other: ParticleSet) -> None:
    pd.testing.assert_frame_equal(
        one.images.drop(columns="source_row"),
        other.images.drop(columns="source_row"),
        check_categorical=False,
        check_exact=True,
    )
    pd.testing.assert_frame_equal(one.particles, other.particles, check_exact=True)
    assert one.optics == other.optics


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["beside", "elsewhere"])
def test_a_third(exported, tmp_path: Path, name: str, place: str) -> None:
    written = exported(name)
    folder = written.particles.parent if place == "beside" else tmp_path / "a" / "b"
    chosen = third(read_particles(written.star))
    out = write_subset(chosen, folder / f"third_{place}.star")
    again = read_particles(out)
    assert again.source.dialect == chosen.source.dialect
    same_but_for_row_numbers(chosen, again)


@pytest.mark.parametrize("name", NAMES)
def test_text_is_untouched(exported, tmp_path: Path, name: str) -> None:
    written = exported(name)
    chosen = third(read_particles(written.star))
    write_subset(chosen, tmp_path / "third.star")
    before, after = read_star(written.particles), read_star(tmp_path / "third.star")
    assert before.keys() == after.keys()
    block = chosen.source.particle_block
    for key in before.keys() - {block}:
        assert _equal(before[key], after[key])
    rows = np.unique(chosen.images["source_row"])
    expected = before[block].iloc[rows].reset_index(drop=True)
    kept = [column for column in expected if column not in FILES]
    assert [column for column in after[block] if column not in FILES] == kept
    pd.testing.assert_frame_equal(after[block][kept], expected[kept])


@pytest.mark.parametrize("name", ["relion5", "relion4"])
def test_companions_are_whole(exported, tmp_path: Path, name: str) -> None:
    """RELION finds its tomograms star, and RELION 5 the star of each tilt series."""
    written = exported(name)
    write_subset(third(read_particles(written.star)), tmp_path / "third.star")
    entries = read_star(tmp_path / "third_optimisation_set.star")[""]
    assert entries == {
        "rlnTomoParticlesFile": "third.star",
        "rlnTomoTomogramsFile": "third_tomograms.star",
    }
    tomograms = read_star(tmp_path / "third_tomograms.star")
    if name == "relion5":
        paths = [Path(path) for path in tomograms["global"]["rlnTomoTiltSeriesStarFile"]]
        assert all(path.is_absolute() and path.is_file() for path in paths)
    else:
        assert list(tomograms) == ["global", "TS_001", "TS_002"]


def test_hidden_frames_of_relion4_are_written(exported, tmp_path: Path) -> None:
    particles = read_particles(exported("relion4").star)
    fewer = particles.filter_images(particles.images["tilt_index"].to_numpy() != 5)
    assert len(fewer.images) < len(particles.images)
    again = read_particles(write_subset(fewer, tmp_path / "fewer.star"))
    same_but_for_row_numbers(fewer, again)


def _equal(one: object, other: object) -> bool:
    return one.equals(other) if isinstance(one, pd.DataFrame) else one == other
