"""The command ``doctor``: what a bug report needs to say of a computer, one line each."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

# What decides how the window looks and how training computes.
_PACKAGES = (
    *("napari-tomodrgn", "torch", "numpy", "scipy", "pandas", "napari", "vispy", "qtpy"),
    *("PyQt6", "PyQt5", "PySide6", "magicgui", "superqt", "npe2", "umap-learn", "starfile"),
    *("mrcfile", "lightning-fabric", "napari-ome-zarr"),
)
_BINDINGS = ("PyQt6", "PyQt5", "PySide6")
# Importing Qt and napari's renderer takes some seconds, on a slow shared disk half a minute.
_OPENGL_SECONDS = 120


@dataclass(frozen=True)
class Line:
    """One fact of the computer; ``remedy`` says what to do where something is wrong."""

    name: str
    found: str
    remedy: str = ""


def run_doctor(options: Namespace) -> int:
    """Print versions, card, OpenGL, memory and folders, with what to do where one is wrong."""
    for line in diagnose(options.out):
        remedy = f"  <- {line.remedy}" if line.remedy else ""
        print(f"{line.name:<18}{line.found}{remedy}", flush=True)
    return 0


def diagnose(folder: Path) -> Iterator[Line]:
    """Facts of this computer, those that take long last.

    Parameters
    ----------
    folder
        Where runs are to be written.
    """
    yield Line("system", f"{platform.platform()}, Python {platform.python_version()}")
    yield from _versions()
    yield _memory()
    yield from _devices()
    yield from map(_writable, (folder, Path(tempfile.gettempdir())))
    yield _opengl()


def _versions() -> Iterator[Line]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for name, version in found.items():
        yield Line(name, version)
    bindings = [name for name in _BINDINGS if name in found]
    if not bindings:
        yield Line("Qt binding", "none: no window", "pip install 'napari-tomodrgn[qt]'")
    elif len(bindings) > 1:
        remedy = "two bindings in one environment clash; uninstall all but one"
        yield Line("Qt binding", ", ".join(bindings), remedy)


def _memory() -> Line:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return Line("CPU", f"{cores} cores")
    return Line("CPU, memory", f"{cores} cores, {total / 1e9:.0f} GB")


def _devices() -> Iterator[Line]:
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(number)
            words = f"{card.name}, {card.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"
            yield Line(f"GPU {number}", f"{words}, driver {_driver()}")
    elif torch.backends.mps.is_available():
        yield Line("GPU", "Apple, by Metal (mps)")
    elif _driver() != "unknown" and torch.version.cuda is None:
        remedy = "install a CUDA build of torch, see pytorch.org"
        yield Line("GPU", f"driver {_driver()}, but this torch is for the CPU", remedy)
    else:
        yield Line("GPU", "none found: training runs on the CPU")


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said.stdout.split("\n")[0].strip() or "unknown"


def _writable(folder: Path) -> Line:
    place = folder.expanduser().resolve()
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        remedy = "choose another folder with --out"
        return Line("folder", f"{place}: {error.strerror or error}", remedy)
    status = os.statvfs(place) if hasattr(os, "statvfs") else None
    free = f", {status.f_bavail * status.f_frsize / 1e9:.0f} GB free" if status else ""
    return Line("folder", f"{place}: writable{free}")


def _opengl() -> Line:
    """Ask in a process of its own: Qt ends the whole process where there is no display."""
    command = [sys.executable, "-m", "napari_tomodrgn.gui.window.graphics"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_OPENGL_SECONDS)
    except subprocess.TimeoutExpired:
        return Line("OpenGL", f"no answer after {_OPENGL_SECONDS} s", "run it without a remote X")
    if said.returncode == 0 and said.stdout.strip():
        return Line("OpenGL", said.stdout.strip().splitlines()[-1])
    first = (said.stderr.strip().splitlines() or ["no reason given"])[0]
    return Line("OpenGL", f"none ({first.strip()})", "only the window needs it")
