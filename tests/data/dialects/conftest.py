"""The same simulated particles written in every dialect (`exports`), once a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from exports import WRITERS
from exports.world import Columns, Exported, World, image_truth, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two dozen ribosomes of one kind in two tomograms, two of eleven tilts hidden."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def exported(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Write the world in a dialect, once; by the name of the generator."""
    done: dict[str, Exported] = {}

    def write(name: str) -> Exported:
        if name not in done:
            done[name] = WRITERS[name][1](world, tmp_path_factory.mktemp(name))
        return done[name]

    return write


@pytest.fixture(scope="session")
def truth_of() -> Callable[[World, int], Columns]:
    """The function that gives the truth of a particle's visible images."""
    return image_truth
