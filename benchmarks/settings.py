"""The tests as other machines would run them: ``python benchmarks/settings.py [NAME …]``.

Each setting makes PyTorch, oneDNN, MKL, OpenBLAS or numpy take what a lesser processor would take,
or takes cores or threads away. A setting that was finished is not run again; its row, as the table
in ``docs/benchmarks.md`` has it, is printed. ``--times 3`` runs each so often, ``--label`` names
what another Python (``path/to/python benchmarks/settings.py``) stands for, ``--out`` is where
results are kept.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
SSE41 = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
SETTINGS: dict[str, dict[str, str]] = {
    "native": {},
    "PyTorch, oneDNN: AVX2": AVX2,
    "PyTorch, oneDNN: SSE4.1": SSE41,
    "one core": {},
    "MKL: AVX2": {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "MKL: SSE4.2": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "OpenBLAS: Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "OpenBLAS: Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "numpy: AVX2": {"NPY_DISABLE_CPU_FEATURES": "{X86_V4} AVX512_ICL AVX512_SPR"},
    "numpy: SSE4.2": {"NPY_DISABLE_CPU_FEATURES": "{X86_V3} {X86_V4} AVX512_ICL AVX512_SPR"},
    "all of them: AVX2": {
        **AVX2,
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "{X86_V4} AVX512_ICL AVX512_SPR",
    },
    "all of them: SSE4": {
        **SSE41,
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "{X86_V3} {X86_V4} AVX512_ICL AVX512_SPR",
    },
    "two threads": {"OMP_NUM_THREADS": "2"},
    "one core busy": {},
}


@contextlib.contextmanager
def _busy(core: str) -> Iterator[None]:
    """Keep a core busy for as long as the block runs."""
    spinning = subprocess.Popen(["taskset", "-c", core, sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        spinning.terminate()
        spinning.wait()


def _disabled(names: str) -> str:
    """What numpy can leave out: names that it knows differ between versions."""
    from numpy._core._multiarray_umath import __cpu_dispatch__ as known

    older = {"X86_V3": "AVX2 FMA3", "X86_V4": "AVX512F AVX512CD AVX512_SKX"}
    found = []
    for name in names.split():
        plain = name.strip("{}")
        found += [one for one in [plain, *older.get(plain, "").split()] if one in known]
    return " ".join(found)


def _environment(name: str, folder: str) -> dict[str, str]:
    changes = {"OMP_NUM_THREADS": "1", **SETTINGS.get(name, {})}
    if "NPY_DISABLE_CPU_FEATURES" in changes:
        changes["NPY_DISABLE_CPU_FEATURES"] = _disabled(changes["NPY_DISABLE_CPU_FEATURES"])
    qt = {"NAPARI_STRICT_QT": "raise", "QT_API": "pyqt6", "PYTEST_QT_API": "pyqt6"}
    return {**os.environ, **qt, "NAPARI_CONFIG": f"{folder}/settings.yaml", **changes}


def run(name: str, arguments: list[str], report: Path) -> None:
    """Run the suite under a setting, its report into a file."""
    words = [str(ROOT / ".ci" / "with_display.sh"), sys.executable, "-m", "pytest", "-q"]
    words += ["-n", "auto", "--dist", "loadgroup", f"--junitxml={report}.part", *arguments]
    core = str(min(os.sched_getaffinity(0)))
    if name == "one core":
        words = ["taskset", "-c", core, *words]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as beside:
        if name == "one core busy":
            beside.enter_context(_busy(core))
        environment = _environment(name, folder)
        log = beside.enter_context(open(report.with_suffix(".log"), "w"))
        subprocess.run(words, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    os.replace(f"{report}.part", report)


def row(name: str, report: Path) -> tuple[str, int]:
    """A row of the table, and how many failed."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    count = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - failed - count["skipped"]
    seconds: dict[str, float] = defaultdict(float)
    for case in suite.iter("testcase"):
        seconds[str(case.get("name"))] += float(case.get("time", "0"))
    slowest = sorted(seconds, key=lambda one: -seconds[one])[:10]
    words = ", ".join(f"`{one}` {seconds[one]:.0f}" for one in slowest)
    minutes = f"{float(suite.get('time', '0')) / 60:.1f} min"
    text = f"| {name} | {passed} | {failed} | {count['skipped']} | {minutes} | {words} |"
    return text, failed


def main() -> int:
    """Run what is not there yet, print the table; the exit status tells whether a test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(SETTINGS), help="default: all")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--label", default="")
    parser.add_argument("--out", type=Path, default=ROOT / "settings-runs")
    given, arguments = parser.parse_known_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print(
        "| setting | passed | failed | skipped | time | slowest ten, s |\n|---|---|---|---|---|---|"
    )
    failed = 0
    for name in given.names:
        if name not in SETTINGS:
            parser.error(f"no setting is called {name!r}; there are: {', '.join(SETTINGS)}")
        for turn in range(1, given.times + 1):
            said = f"{given.label}, {name}" if given.label else name
            said += f", {turn}" if turn > 1 else ""
            report = given.out / f"{said.replace(' ', '-').replace(':', '').replace(',', '')}.xml"
            if not report.exists():
                run(name, arguments, report)
            text, more = row(said, report)
            failed += more
            print(text, flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
