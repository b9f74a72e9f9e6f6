"""Which epochs a run has, and what their files are called; the first look is epoch 0."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import all_or_none

# What an autoencoder starts from, the fit of the linear engine, as an epoch of its run.
FIRST_LOOK = 0


def epoch_unit(config: RunConfig | None) -> Literal["epoch", "iteration"]:
    """What an epoch of such a run is called on screen: those of the linear method are iterations.

    None where nothing is known of the run.
    """
    return "iteration" if config is not None and config.method == "linear" else "epoch"


def epoch_name(epoch: int, config: RunConfig | None = None) -> str:
    """What one of the epochs is called on screen."""
    return "first look" if epoch == FIRST_LOOK else f"{epoch_unit(config)} {epoch}"


def file_stem(epoch: int) -> str:
    """What the files of an epoch are called, without their ending."""
    return "linear" if epoch == FIRST_LOOK else f"epoch-{epoch:04d}"


def finished_epochs(folder: Path, *, with_weights: bool) -> list[int]:
    """Epochs in a run directory that have latents, and weights if so asked, ascending."""
    found = []
    for file in (folder / "latents").glob("epoch-*.parquet"):
        match = re.fullmatch(r"epoch-(\d+)", file.stem)
        weights = folder / "checkpoints" / f"{file.stem}.safetensors"
        if match and (weights.exists() or not with_weights):
            found.append(int(match[1]))
    return sorted(found)


def reject_taken(folder: Path) -> None:
    """Raise where a new run in a folder would mix with what is there.

    Raises
    ------
    BadInputError
        If there is a run, epochs that one has left, or a table of losses that may not be replaced.
    """
    if (folder / "run.json").exists():
        raise BadInputError(
            f"{folder}: holds a run already.",
            remedy="Choose another folder, or continue it with --resume.",
            code="run-exists",
        )
    left = [*(folder / "latents").glob("*.parquet"), *(folder / "checkpoints").glob("*.safe*")]
    if left:
        raise BadInputError(
            f"{folder}: has epochs of a run without its run.json, such as {left[0].name}.",
            remedy="Choose another folder, or move latents and checkpoints away.",
            code="run-exists",
        )
    losses = folder / "metrics.csv"
    if losses.exists():
        with all_or_none() as outputs:
            outputs.check(losses)


def no_such_epoch(folder: Path, epochs: list[int], wanted: int | None) -> BadInputError:
    """What to say where a run with these epochs has not the one that is wanted; None: any."""
    if wanted == FIRST_LOOK:
        return BadInputError(
            f"{folder}: did not start from the linear engine, so it has no first look (epoch 0).",
            code="no-linear-start",
        )
    if not folder.is_dir():
        return BadInputError(
            f"{folder}: is not there any more.",
            remedy="Put it back, or open the run where it is now.",
            code="run-gone",
        )
    if not epochs:
        return BadInputError(
            f"{folder}: no epoch is finished yet.",
            remedy="Train for one epoch first.",
            code="no-epoch",
        )
    return BadInputError(
        f"{folder}: no epoch {wanted}; there are {epochs[0]} to {epochs[-1]}.", code="no-epoch"
    )
