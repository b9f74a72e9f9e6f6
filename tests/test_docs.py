"""The documentation names files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "napari_tomodrgn"
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_ROOMS = "|".join(sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()))
# `learn/run/directory.py`, `gui/volumes/`; tests are named without their folder; NAME is free.
_FILE = r"(?:\w+/)*(?!test_|NAME)\w+\.py"
_PATHS = re.compile(rf"(?<![\w/.])(?:src/napari_tomodrgn/)?((?:{_ROOMS})/(?:{_FILE}|(?:\w+/)+))")
_TESTS = re.compile(r"(?<![\w/.])(?:tests/)?((?:[\w]+/)*test_\w+\.py)(?:::(\w+))?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    named = {match[1] for match in _PATHS.finditer(page.read_text(encoding="utf-8"))}
    assert not sorted(name for name in named if not (SOURCE / name).exists())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_a_page_names_are_there(page: Path) -> None:
    missing = []
    for path, name in _TESTS.findall(page.read_text(encoding="utf-8")):
        file = ROOT / "tests" / path
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if not file.exists() or (name and f"def {name}(" not in text):
            missing.append(f"{path}::{name}")
    assert not missing


def test_every_verb_of_a_script_is_one_of_a_workspace() -> None:
    """Those that the window records, and those of the page."""
    from napari_tomodrgn.session.workspace import Workspace

    recorded = {
        verb
        for file in SOURCE.rglob("*.py")
        for verb in re.findall(r'Action\.of\(\s*"(\w+)"', file.read_text(encoding="utf-8"))
    }
    page = (ROOT / "docs" / "tasks" / "script.md").read_text(encoding="utf-8")
    written = set(re.findall(r"work\.(\w+)\(", page))
    assert len(recorded) > 15 and len(written) > 5
    assert not sorted(verb for verb in recorded | written if not hasattr(Workspace, verb))
