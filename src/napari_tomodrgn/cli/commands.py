"""What the commands do, by their names; each takes its options and returns the exit status."""

from napari_tomodrgn.cli.analysis_commands import analyze, import_result
from napari_tomodrgn.cli.exchange.columns import columns
from napari_tomodrgn.cli.exchange.exploring import convergence, traverse
from napari_tomodrgn.cli.exchange.place import place
from napari_tomodrgn.cli.exchange.select import select
from napari_tomodrgn.cli.exchange.share import share
from napari_tomodrgn.cli.exchange.volumes import fsc
from napari_tomodrgn.cli.inspect import inspect
from napari_tomodrgn.cli.run_commands import decode, embed
from napari_tomodrgn.cli.set_commands import reconstruct, simulate
from napari_tomodrgn.cli.train_command import train
from napari_tomodrgn.cli.window_commands import demo, view

__all__ = [
    "analyze",
    "columns",
    "convergence",
    "decode",
    "demo",
    "embed",
    "fsc",
    "import_result",
    "inspect",
    "place",
    "reconstruct",
    "select",
    "share",
    "simulate",
    "train",
    "traverse",
    "view",
]
