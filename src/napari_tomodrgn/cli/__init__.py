"""The command line: `main` is what the program ``napari-tomodrgn`` runs."""

from napari_tomodrgn.cli.parser import main

__all__ = ["main"]
