"""Star files of every dialect with random damage: read, or refused in one sentence."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from napari_tomodrgn.data.checks import check_stacks, inspect_particles, summary
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.errors import BadInputError

SCRAPS = "nan -1 0 1e400 1e308 inf 2.5 <NA> ' \" # ; @ [ ] , - / .. data_ loop_ _rln".split()


def damaged(text: str, dice: random.Random) -> str:
    """A few words replaced, taken out or doubled, or the end cut off."""
    words = text.split(" ")
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(len(words))
        kind = dice.randrange(8)
        if kind == 0:
            del words[at : at + dice.randrange(30)]
        elif kind == 1:
            words.insert(at, words[at - 1])
        elif kind == 2 and at:
            del words[at:]
        else:
            words[at] = dice.choice(SCRAPS)
        words = words or [""]
    return " ".join(words)


@pytest.mark.parametrize("name", ["relion5", "relion4", "nextpyp", "tomodrgn", "emclarity"])
def test_damage_is_refused_or_harmless(exported, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(exported(name).star.parent, tmp_path / "copy")
    star = folder / exported(name).star.name
    stars = sorted(folder.rglob("*.star"))
    dice = random.Random(name)
    for _ in range(30):
        path = dice.choice(stars)
        content = path.read_text()
        path.write_text(damaged(content, dice))
        try:
            particles = read_particles(star)
            check_stacks(particles)
            summary(particles, inspect_particles(particles))
            again = read_particles(write_subset(particles, folder / "out" / "set.star"))
            assert again.ids == particles.ids
        except BadInputError as error:
            assert "\n" not in str(error)
            assert str(error)
        finally:
            path.write_text(content)
            shutil.rmtree(folder / "out", ignore_errors=True)
