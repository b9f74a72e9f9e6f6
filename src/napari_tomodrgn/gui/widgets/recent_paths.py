"""Remembers what was opened before, in the settings of the user."""

from __future__ import annotations

import json
from pathlib import Path

from napari_tomodrgn.gui.widgets.stored_settings import load_setting, save_setting

_MOST_RECENT = 8


def recent() -> list[Path]:
    """Return what was opened before and is still there, the last first."""
    try:
        names = json.loads(load_setting("recent", None) or "[]")
        paths = [Path(name) for name in names if isinstance(name, str)]
    except (ValueError, TypeError):  # edited by hand
        return []
    return [path for path in paths if path.exists()]


def add_recent(path: Path) -> None:
    """Put a path in front of what was opened before."""
    path = path.absolute()
    paths = [path, *(one for one in recent() if one != path)]
    save_setting("recent", None, json.dumps([str(one) for one in paths[:_MOST_RECENT]]))


def short_names(paths: list[Path]) -> list[str]:
    """Call each by its last two parts, or by as many more as tell it from the others."""
    names = []
    for path in paths:
        parts = 2
        while parts < len(path.parts) and any(
            one.parts[-parts:] == path.parts[-parts:] for one in paths if one != path
        ):
            parts += 1
        names.append(str(Path(*path.parts[-parts:])))
    return names


def last_folder() -> Path:
    """Return where dialogs begin: beside what was opened last, else the working directory."""
    before = recent()
    return before[0].parent if before else Path.cwd()


def export_folder(source: Path | None) -> Path:
    """Return where a dialog to save something begins: beside the data, unless that is hidden.

    A sample lies in a hidden cache, where nobody would find a file again.
    """
    if source is None:
        return Path.home()
    folder = source.absolute().parent
    hidden = any(part.startswith(".") or part == "Caches" for part in folder.parts)
    return Path.home() if hidden else folder
