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


# What only the window may import, of what is declared.
WINDOW = {"napari", "npe2", "magicgui", "qtpy", "superqt", "vispy"}


def declared() -> set[str]:
    """Names of the dependencies that every install has."""
    with open(ROOT / "pyproject.toml", "rb") as stream:
        project = tomllib.load(stream)["project"]
    return names_of(project["dependencies"])


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
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert result.stdout.strip() == "[]"


def test_the_command_line_opens_no_window_until_asked() -> None:
    code = (
        "import sys, napari_tomodrgn.cli; "
        "print([name for name in ('torch', 'napari', 'qtpy', 'vispy') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert result.stdout.strip() == "[]"


def test_napari_starts_at_most_50_ms_later_with_the_plugin() -> None:
    """What napari does at its start: find the manifest, read it, register what it offers."""
    pytest.importorskip("npe2", reason="npe2 comes with the test extra")
    code = """
import sys, time
import npe2
from npe2.manifest.contributions import ContributionPoints  # what any plugin costs
before = set(sys.modules)
seconds = []
for _ in range(5):
    began = time.process_time()  # of this process: others may have the core
    manifest = npe2.PluginManifest.from_distribution("napari-tomodrgn")
    manager = npe2.PluginManager()
    manager.register(manifest)
    seconds.append(time.process_time() - began)
new = set(sys.modules) - before
print(min(seconds), [name for name in ("torch", "qtpy", "numpy", "pandas") if name in new])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    seconds, heavy = result.stdout.strip().split(" ", 1)
    assert heavy == "[]"
    assert float(seconds) < 0.05, f"manifest registered in {1e3 * float(seconds):.1f} ms"


@pytest.mark.parametrize("name", napari_tomodrgn.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert name in dir(napari_tomodrgn)
    assert getattr(napari_tomodrgn, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = napari_tomodrgn.nothing


def test_imports_are_declared_and_the_core_needs_no_window() -> None:
    base = declared()
    # Only several processes need it, and only where they are started (the extra `cluster`).
    optional = {Path("learn/runtime/distributed.py"): {"lightning_fabric"}}
    for path in sorted(PACKAGE.rglob("*.py")):
        allowed = base if PACKAGE / "gui" in path.parents else base - WINDOW
        extra = optional.get(path.relative_to(PACKAGE), set())
        undeclared = imported(path) - allowed - extra
        assert not undeclared, f"{path}: {undeclared} not declared for it"


def test_every_declared_dependency_is_used() -> None:
    used = set().union(*(imported(path) for path in PACKAGE.rglob("*.py")))
    assert not declared() - used


def test_the_nine_packages_of_the_project_are_direct_dependencies() -> None:
    named = WINDOW | {"torch", "starfile", "mrcfile", "numpy"}
    assert named <= declared()
