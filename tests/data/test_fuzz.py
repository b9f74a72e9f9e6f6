"""Files with random damage: read, or refused in one sentence; nothing else."""

from __future__ import annotations

import random

import pytest

from napari_tomodrgn.data.checks import check_stacks, inspect_particles, summary
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.errors import BadInputError

SCRAPS = (
    *(b"nan", b"-1", b"0", b"1e400", b"1e308", b"inf", b"<NA>", b"99999999999999999999"),
    *(b'"', b"'", b"#", b";", b"@", b"[", b"]", b",", b"-", b"/", b"..", b"", b" ", b"\t", b"\n"),
    *(b"data_", b"loop_", b"_rln", b"\xff", b"\0"),
)


def _damaged(content: bytes, dice: random.Random, reach: int) -> bytes:
    damaged = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(min(reach, len(damaged)) + 1)
        kind = dice.randrange(5)
        if kind == 0:
            damaged[at : at + dice.randrange(8)] = dice.choice(SCRAPS)
        elif kind == 1:
            damaged[at : at + 1] = bytes([dice.randrange(256)])
        elif kind == 2:
            del damaged[at:]
        elif kind == 3:
            del damaged[at : at + dice.randrange(200)]
        else:
            words = bytes(damaged).split(b"  ")
            words[dice.randrange(len(words))] = dice.choice(SCRAPS)
            damaged = bytearray(b"  ".join(words))
    return bytes(damaged)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["warptools", "warp"])
def test_damage_is_refused_or_harmless(kind: str, seed: int, warptools_set, image_series) -> None:
    files = warptools_set if kind == "warptools" else image_series
    stars = [path for path in (files.star, files.particles, files.tomograms) if path]
    dice = random.Random(seed)
    for _ in range(40):
        path = dice.choice([*stars, *stars, files.stacks[-1]])
        content = path.read_bytes()
        path.write_bytes(_damaged(content, dice, 10**6 if path.suffix == ".star" else 260))
        try:
            particles = read_particles(files.star)
            check_stacks(particles)
            summary(particles, inspect_particles(particles))
            again = read_particles(write_subset(particles, files.star.with_name("out.star")))
            assert again.ids == particles.ids
        except BadInputError as error:
            assert "\n" not in str(error)
            assert str(error)
        finally:
            path.write_bytes(content)
