"""What the window remembers from one day to the next, in a small file of the user's settings."""

from __future__ import annotations

import hashlib
from pathlib import Path

from qtpy.QtCore import QSettings

_PLACE = ("napari-tomodrgn", "window")


def save_setting(what: str, path: Path | None, value: str) -> None:
    """Keep a word about a file, or (None) about none; an empty one forgets it."""
    settings, key = _settings(), _key(what, path)
    if value:
        settings.setValue(key, value)
    elif settings.contains(key):
        settings.remove(key)


def load_setting(what: str, path: Path | None) -> str:
    """The word that was kept about a file, or about none; empty where there is none."""
    return str(_settings().value(_key(what, path), "") or "")


def _settings() -> QSettings:
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, *_PLACE)


def _key(what: str, path: Path | None) -> str:
    if path is None:
        return f"{what}/last"
    # A path's slashes and colons mean something in the keys of such a file.
    return f"{what}/{hashlib.sha1(str(path.absolute()).encode()).hexdigest()[:20]}"
