"""What the commands do, by their names; each takes its options and returns the exit status."""

from napari_tomodrgn.cli.analysis_commands import analyze, import_result
from napari_tomodrgn.cli.inspect import inspect
from napari_tomodrgn.cli.run_commands import decode, embed, place, select
from napari_tomodrgn.cli.set_commands import reconstruct, simulate
from napari_tomodrgn.cli.train_command import train
from napari_tomodrgn.cli.window_commands import demo, view

__all__ = [
    "analyze",
    "decode",
    "demo",
    "embed",
    "import_result",
    "inspect",
    "place",
    "reconstruct",
    "select",
    "simulate",
    "train",
    "view",
]
