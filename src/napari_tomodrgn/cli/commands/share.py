"""The command `share`: a run as one file, without images."""

from __future__ import annotations

from argparse import Namespace

from napari_tomodrgn.cli.terminal import say
from napari_tomodrgn.learn.run.archive import write_archive
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.exports import export_files


def run_share(options: Namespace) -> int:
    """Write weights, latents, selections and analyses of a run as one file."""
    run = Run.open(options.run)
    with export_files(overwrite=options.overwrite, run=run) as outputs:
        outputs.check(options.out)
        found = write_archive(run.path, run.last_epoch(), options.out)
    say(f"{found.files} files, {found.size_bytes / 1e6:.1f} MB, no images → {found.path}")
    say("Open it with napari-tomodrgn view, or drop it on napari.")
    return 0
