#!/usr/bin/env bash
# Install the base package alone, as on a cluster node, and use it there.
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

for name in ("napari", "qtpy", "superqt", "magicgui", "vispy", "PyQt5", "PyQt6", "PySide6"):
    if importlib.util.find_spec(name) is not None:
        sys.exit(f"{name} came in with the base dependencies")

package = importlib.import_module("napari_tomodrgn")
if "site-packages" not in package.__file__:
    sys.exit(f"the source tree was imported, not the installed package: {package.__file__}")
for name in package.__all__:
    try:
        getattr(package, name)
    except ModuleNotFoundError as error:
        if not error.name.startswith("napari_tomodrgn."):
            raise
        print(f"{name}: {error.name} is not written yet")
PYTHON
if [[ -e src/napari_tomodrgn/cli.py ]]; then
    "$core/bin/napari-tomodrgn" --help >/dev/null
fi
# Of the tests, those next to the formulas and files; the others are run with everything there.
folders=()
for folder in tests/physics tests/data; do
    [[ -d $folder ]] && folders+=("$folder")
done
"$core/bin/python" -m pytest -q -m "not slow" "${folders[@]}"
