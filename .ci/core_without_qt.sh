#!/usr/bin/env bash
# Install the package without a Qt binding, as on a cluster node, and use its core there.
set -euo pipefail
cd "$(dirname "$0")/.."

core=$(mktemp -d)
trap 'rm -rf "$core"' EXIT
"${PYTHON:-.venv/bin/python}" -m venv "$core"
pip=("$core/bin/python" -m pip install --disable-pip-version-check --quiet)
"${pip[@]}" torch==2.13.0
"${pip[@]}" ".[test-core]"

unset DISPLAY WAYLAND_DISPLAY
"$core/bin/python" - <<'PYTHON'
import importlib
import importlib.util
import sys

for name in ("PyQt5", "PyQt6", "PySide2", "PySide6"):
    if importlib.util.find_spec(name) is not None:
        sys.exit(f"{name} came in with the dependencies")

package = importlib.import_module("napari_tomodrgn")
if "site-packages" not in package.__file__:
    sys.exit(f"the source tree was imported, not the installed package: {package.__file__}")
for name in package.__all__:
    getattr(package, name)
loaded = [name for name in ("napari", "qtpy", "superqt", "magicgui", "vispy") if name in sys.modules]
if loaded:
    sys.exit(f"the core imported {loaded}")
PYTHON
"$core/bin/napari-tomodrgn" --help >/dev/null
# Of the tests, those next to the formulas and files; the others are run with everything there.
"$core/bin/python" -m pytest -q -m "not slow" tests/physics tests/data/test_stack.py tests/data/dialects/test_subset_writer.py
