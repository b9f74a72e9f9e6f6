"""The oldest versions that ``pyproject.toml`` allows, as constraints of pip.

Run::

    python tools/oldest.py > oldest.txt
    python -m pip install --editable ".[qt,test]" --constraint oldest.txt
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9][0-9A-Za-z.]*)")


def main() -> None:
    """Print a line for every dependency with a lower bound, extras too."""
    file = Path(__file__).resolve().parents[1] / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["qt"], *extras["test"], *extras["test-core"]]
    found = [_BOUND.match(line) for line in lines]
    print("\n".join(sorted({f"{one[1]}=={one[2]}" for one in found if one})))


if __name__ == "__main__":
    main()
