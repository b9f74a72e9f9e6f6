"""Which version this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version that is installed; asked for late, as it takes a tenth of a second."""
    try:
        return version("napari-tomodrgn")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+unknown"
