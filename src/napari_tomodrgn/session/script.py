"""The Python that repeats without a window what was done in one."""

from __future__ import annotations

from textwrap import indent

from napari_tomodrgn.session.actions import INDENT, WIDTH
from napari_tomodrgn.session.state import Session

_HEAD = '''"""What was done in the window, done again without one.

    python {name} [RUN] [--overwrite]

RUN: the run, or particles, to do it with, such as a copy without its images; else the same.
Files are written into the folder where it runs, over others only with --overwrite.
"""

import sys

import napari_tomodrgn as nt

overwrite = "--overwrite" in sys.argv
source = next((one for one in sys.argv[1:] if one != "--overwrite"), {source!r})

with nt.Workspace({arguments}, overwrite=overwrite) as work:
'''


def script_of(session: Session, name: str = "script.py") -> str:
    """The Python that repeats what was done since a run, or particles, were opened."""
    options = session.import_options.model_dump(mode="json", exclude_defaults=True)
    if session.run is not None and session.run.path == session.source:
        options = {"images": options["images"]} if options.get("images") else {}
    reading = "source" if not options else f"source, {options!r}"
    head = _HEAD.format(name=name, source=str(session.source or ""), arguments=reading)
    lines = [one.line(WIDTH - INDENT) for one in session.actions] or ["pass"]
    return head + "".join(indent(f"{line}\n", " " * INDENT) for line in lines)
