"""Run the benchmarks one after the other: ``python benchmarks/run.py [NAME …]``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = [
    "reading",
    "star_parse",
    "fuzz",
    "extract",
    "extract_fuzz",
    "preflight",
    "simulate",
    "training",
    "decoding",
    "linear",
    "quality",
    "verdict",
    "evidence",
    "cluster_count",
    "reference",
    "scatter",
    "sample",
    "gui_training",
    "context",
    "ranks",
    "cache",
    "stopping",
    "million",
    "scaling",
    "kill",
    "journey",
]


def main() -> int:
    """Run those named, all if none is; the exit status is that of the worst."""
    worst = 0
    for name in sys.argv[1:] or [name for name in NAMES if (HERE / f"{name}.py").exists()]:
        print(f"=== {name}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, HERE / f"{name}.py"]).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
