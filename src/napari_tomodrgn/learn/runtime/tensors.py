"""Tensors from safetensors: nothing that is read is executed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from napari_tomodrgn.errors import BadInputError

if TYPE_CHECKING:
    from torch import Tensor


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a file by their names, any shape, and what was written beside them.

    They are copies. Those of safetensors lie in the file, mapped into memory: held for long (as
    moments of an optimiser are) they keep it from being replaced on Windows and a disk from being
    unmounted, and the process dies when the disk goes away.

    Raises
    ------
    OSError, SafetensorError
        If the file is absent or damaged.
    """
    with safe_open(path, framework="pt") as stream:
        tensors = {name: stream.get_tensor(name).clone() for name in stream.keys()}
        return tensors, stream.metadata() or {}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors of a checkpoint, of any shape, by name, and what was written beside them.

    Raises
    ------
    BadInputError
        If the file is absent or damaged.
    """
    try:
        return load_tensors(path)
    except (OSError, SafetensorError) as error:
        raise BadInputError(
            f"{path}: cannot be read as a checkpoint ({error}).", code="bad-checkpoint"
        ) from error
