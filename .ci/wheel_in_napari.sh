#!/usr/bin/env bash
# Build the wheel, install it into a new environment with napari, and use its menu there.
#
#   BORROW=DIR   take the dependencies from this site-packages folder instead of the package index
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
# Isolated from the tree: what a file of the tree lends is not in the wheel.
"$python" -m hatchling build --target wheel --directory "$fresh/wheel" >/dev/null 2>&1
wheel=("$fresh"/wheel/*.whl)
echo "wheel: $(basename "${wheel[0]}"), $(($(stat -c %s "${wheel[0]}") / 1024)) KiB"
"$python" -m venv "$fresh/env"
pip=("$fresh/env/bin/python" -m pip install --disable-pip-version-check --quiet)
if [[ -n ${BORROW:-} ]]; then
    # As a path, so that neither the links of that folder nor what it has installed editable count.
    echo "$BORROW" >"$("$fresh/env/bin/python" -c 'import site; print(site.getsitepackages()[0])')/borrowed.pth"
    "${pip[@]}" --no-deps "${wheel[0]}"
else
    "${pip[@]}" torch==2.13.0
    "${pip[@]}" "${wheel[0]}[qt]"
fi
cp .ci/use_the_menu.py "$fresh"
unset PYTHONPATH
NAPARI_CONFIG="$fresh/settings.yaml" XDG_CONFIG_HOME="$fresh/config" XDG_CACHE_HOME="$fresh/cache" \
    .ci/with_display.sh "$fresh/env/bin/python" -P "$fresh/use_the_menu.py" "$fresh/env"
