"""Loads Triton's library so that it lives beside the OpenGL that draws in software."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import sys
from pathlib import Path

_log = logging.getLogger(__name__)


def load_triton_apart() -> bool:
    """Load the library of Triton, if it is installed, with its names bound to itself.

    PyTorch for CUDA brings Triton, and imports it when the first optimiser is made. Triton has an
    LLVM of its own inside, Mesa's software OpenGL and its drivers for AMD another one, whose names
    are everybody's. Whichever comes second takes names from the first, and the process dies with a
    segmentation fault. ``RTLD_DEEPBIND`` makes a library look at its own names first; Python later
    finds it loaded. It takes 0.02 s, and 2 s where 500 MB have to be read from a disk.

    Returns
    -------
    bool
        Whether it was loaded: False without Triton, and where no such flag is (and no such Mesa).
    """
    if not sys.platform.startswith("linux") or "triton" in sys.modules:
        return False
    try:
        library = _find_library()
        if library is None:
            return False
        ctypes.CDLL(str(library), mode=os.RTLD_LAZY | os.RTLD_LOCAL | os.RTLD_DEEPBIND)
    except (OSError, ImportError, ValueError) as error:
        _log.warning("Triton's library could not be loaded beforehand: %s", error)
        return False
    return True


def _find_library() -> Path | None:
    """Where the library lies: found without importing the package, which would load it."""
    package = importlib.util.find_spec("triton")
    for folder in (package.submodule_search_locations or []) if package else []:
        for library in sorted(Path(folder, "_C").glob("libtriton*.so")):
            return library
    return None
