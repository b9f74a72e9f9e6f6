"""Make the screenshots of the documentation: ``python docs/make_screenshots.py RUN [OUT]``.

Needs a run directory (``napari-tomodrgn demo --no-view`` writes one) and a screen, or Xvfb.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_tomodrgn.gui.launch import view


def main() -> None:
    """Save every picture that the pages show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run directory to show")
    parser.add_argument("out", type=Path, nargs="?", default=Path(__file__).parent / "images")
    asked = parser.parse_args()
    view([asked.run], screenshot=asked.out / "window.png")


if __name__ == "__main__":
    main()
