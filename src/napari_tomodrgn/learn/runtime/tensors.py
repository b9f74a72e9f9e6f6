"""Tensors from safetensors: nothing that is read is executed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from napari_tomodrgn.errors import BadInputError

if TYPE_CHECKING:
    from torch import Tensor


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors of a checkpoint, of any shape, by name, and what was written beside them.

    Raises
    ------
    BadInputError
        If the file is absent or damaged.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}
            return tensors, stream.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise BadInputError(
            f"{path}: cannot be read as a checkpoint ({error}).", code="bad-checkpoint"
        ) from error
