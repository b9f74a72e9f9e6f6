"""The script for a bare machine with a card: it runs where napari, Qt and umap are not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu.py"
# Importing what stands for None fails, as if it were not installed.
BLOCKED = """
import pathlib, runpy, sys
for name in ("napari", "qtpy", "PyQt5", "PyQt6", "PySide6", "vispy", "superqt", "magicgui", "umap"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
sys.path.insert(0, str(pathlib.Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_it_runs_without_napari_and_writes_each_figure(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BLOCKED, str(SCRIPT), "--out", str(tmp_path)]
    options = ["--device", "cpu", "--only", "profile,tests,whole set"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    whole = ["embedding", "held-out losses", "half of the mean map"]
    assert [row["part"] for row in rows] == ["versions", "tests", "profile", *whole, "end"]
    assert not any("failed" in row for row in rows)
    assert rows[-1]["imported_in_vain"] == []
