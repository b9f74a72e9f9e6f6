"""An exception as one sentence for the user of the window."""

from __future__ import annotations

import logging

from napari_tomodrgn.errors import BadInputError

_log = logging.getLogger(__name__)

IMPORT_FORM = "Correct what was read"
_HERE = f"under “{IMPORT_FORM}”"
# Options of the terminal and the fields that stand for them in the window.
_OPTIONS = {
    "--images DIR": f"“Images folder” {_HERE}",
    "--images FILE": f"“Images folder” {_HERE}",
    "--pixel-size": f"“Pixel size” {_HERE}",
    "--dose-per-tilt": f"“Dose per tilt” {_HERE}",
    "--hand": f"“Hand” {_HERE}",
    "--ctf-premultiplied": _HERE,
    "--device ": "the device ",
    "continue it with --resume": "open it and press Resume",
    "Name another, or replace it with --overwrite.": "Choose another name or folder.",
}


def in_window_terms(text: str) -> str:
    """Replace options of the terminal by the fields of the window that stand for them."""
    for option, title in _OPTIONS.items():
        text = text.replace(option, title)
    return text


def error_message(error: Exception, doing: str) -> str:
    """Return one sentence; what is no fault of the input goes to the log as well."""
    if isinstance(error, BadInputError):
        return in_window_terms(str(error))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or doing}: {error.strerror}."
    _log.error("Unexpected error while %s", doing, exc_info=error)
    return f"Unexpected error while {doing}: {type(error).__name__}: {error}".split("\n")[0]
