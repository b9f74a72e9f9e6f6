"""One set of two states and one of a single structure, with all that comparisons need."""

from __future__ import annotations

import pytest
from evidence_case import Case, make_case


@pytest.fixture(scope="session")
def one_structure(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("one"), ("60S",))


@pytest.fixture(scope="session")
def two_states(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("two"), ("80S", "60S"))
