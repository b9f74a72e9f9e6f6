"""What a killed training leaves half written in a run directory, and its removal."""

from __future__ import annotations

from pathlib import Path

from napari_tomodrgn.files import remove_leftovers, remove_safetensors_leftovers


def clear_leftovers(path: Path) -> None:
    """Remove what a killed training left half written in a run directory."""
    for folder in (path, path / "checkpoints", path / "latents", path / "cache"):
        remove_leftovers(folder)
    remove_safetensors_leftovers(path / "checkpoints")
    # What else is in analysis/ others may be writing, such as a window that has the run open.
    remove_leftovers(path / "analysis", "quality.json")
