"""One manifest, at the repository's root and in the package, found however it was installed."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IN_PACKAGE = ROOT / "src" / "napari_tomodrgn" / "napari.yaml"


def content_at_root() -> str:
    text = (ROOT / "napari.yaml").read_text(encoding="utf-8")
    # git without symbolic links (Windows) checks a link out as a file holding its target.
    target = ROOT / text.strip()
    return target.read_text(encoding="utf-8") if "\n" not in text.strip() else text


def test_the_root_and_the_package_hold_one_manifest() -> None:
    assert content_at_root() == IN_PACKAGE.read_text(encoding="utf-8")


def test_npe2_finds_the_manifest_of_the_installed_package() -> None:
    npe2 = pytest.importorskip("npe2", reason="npe2 comes with the test extra")
    manifest = npe2.PluginManifest.from_distribution("napari-tomodrgn")
    assert manifest.name == "napari-tomodrgn"
    assert manifest.display_name == "tomoDRGN"
    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    assert commands["napari-tomodrgn.open"] == "napari_tomodrgn.gui.plugin.menu_entries:Whole"


def test_every_contribution_names_a_declared_command() -> None:
    npe2 = pytest.importorskip("npe2", reason="npe2 comes with the test extra")
    contributions = npe2.PluginManifest.from_file(IN_PACKAGE).contributions
    declared = {command.id for command in contributions.commands}
    used = {
        entry.command
        for kind in ("widgets", "readers", "writers", "sample_data")
        for entry in getattr(contributions, kind) or []
    }
    assert used == declared


def test_every_command_is_there_to_be_called() -> None:
    npe2 = pytest.importorskip("npe2", reason="npe2 comes with the test extra")
    pytest.importorskip("qtpy", reason="the window's commands need Qt")
    commands = npe2.PluginManifest.from_file(IN_PACKAGE).contributions.commands
    for command in commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(importlib.import_module(module), name)), command.id


@pytest.mark.slow
def test_wheel_and_sdist_carry_the_manifest(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling comes with the test extra")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    expected = IN_PACKAGE.read_bytes()
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("napari_tomodrgn/napari.yaml") == expected
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert b"[napari.manifest]" in archive.read(entry_points)

    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        top = archive.getnames()[0].split("/")[0]
        for path in ("napari.yaml", "src/napari_tomodrgn/napari.yaml"):
            # Follows the link as an unpacker does that cannot make one: by the member it names.
            content = archive.extractfile(f"{top}/{path}")
            assert content is not None
            assert content.read() == expected
