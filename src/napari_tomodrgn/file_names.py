"""Names of particles, classes and tomograms as names of files."""

from __future__ import annotations

import re


def as_file_name(name: str) -> str:
    """The name with underscores for what file systems and star files do not like."""
    return re.sub(r"[^\w.+-]+", "_", name)
