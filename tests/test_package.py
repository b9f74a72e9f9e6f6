"""What importing the package costs, and what it declares."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import napari_tomodrgn

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_tomodrgn"

HOMES = napari_tomodrgn._HOME

# Where a distribution is imported under another name.
IMPORT_NAME = {"scikit-learn": "sklearn", "scikit-image": "skimage", "umap-learn": "umap"}


def names_of(requirements: list[str]) -> set[str]:
    """Import names of requirements, without our own extras."""
    names = {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0] for requirement in requirements}
    return {IMPORT_NAME.get(name, name) for name in names} - {"napari-tomodrgn"}


def declared() -> tuple[set[str], set[str], set[str]]:
    """Names of the base, gui and analysis dependencies."""
    with open(ROOT / "pyproject.toml", "rb") as stream:
        project = tomllib.load(stream)["project"]
    extras = project["optional-dependencies"]
    return names_of(project["dependencies"]), names_of(extras["gui"]), names_of(extras["analysis"])


def imported(path: Path) -> set[str]:
    """Top-level third-party names that a file imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"napari_tomodrgn"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pandas", "scipy", "pydantic", "napari", "qtpy", "PyQt6", "PySide6")
    code = (
        "import sys, napari_tomodrgn; dir(napari_tomodrgn); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.skipif(not (PACKAGE / "cli.py").exists(), reason="cli is not written yet")
def test_the_command_line_opens_no_window_until_asked() -> None:
    code = (
        "import sys, napari_tomodrgn.cli; "
        "print([name for name in ('torch', 'napari', 'qtpy', 'vispy') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", napari_tomodrgn.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert name in dir(napari_tomodrgn)
    home = PACKAGE.joinpath(*HOMES[name].split(".")) if name in HOMES else PACKAGE
    if not (home.is_dir() or home.with_suffix(".py").exists()):
        pytest.skip(f"{home.name} is not written yet")
    assert getattr(napari_tomodrgn, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = napari_tomodrgn.nothing


def test_the_core_imports_only_base_dependencies() -> None:
    base, _, analysis = declared()
    for path in sorted(PACKAGE.rglob("*.py")):
        if PACKAGE / "gui" not in path.parents:
            undeclared = imported(path) - base - analysis
            assert not undeclared, f"{path}: {undeclared} not in the base dependencies"


def test_the_window_imports_only_what_gui_declares() -> None:
    base, gui, _ = declared()
    for path in sorted((PACKAGE / "gui").rglob("*.py")):
        undeclared = imported(path) - base - gui
        assert not undeclared, f"{path}: {undeclared} not declared"


@pytest.mark.xfail(reason="the window and the training are being written", strict=False)
def test_every_declared_dependency_is_used() -> None:
    base, gui, analysis = declared()
    used = set().union(*(imported(path) for path in PACKAGE.rglob("*.py")))
    # pyarrow is pandas' engine for parquet: named in a call, never imported.
    assert (base | gui | analysis) - used <= {"pyarrow"}
