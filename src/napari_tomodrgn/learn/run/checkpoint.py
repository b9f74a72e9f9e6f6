"""Weights and optimiser state to and from safetensors: nothing that is read is executed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.runtime.events import Losses
from napari_tomodrgn.learn.runtime.tensors import read_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Position:
    """How far training is, and the sums of the epoch so far.

    Random numbers are drawn anew in each step from (seed, epoch, step), so a position is all that
    a resumed run needs to draw what the uninterrupted one would have drawn.
    """

    epoch: int
    step: int
    particles: int = 0
    reconstruction: float = 0.0
    kl: float = 0.0
    total: float = 0.0
    seconds: float = 0.0

    @property
    def losses(self) -> Losses:
        """Means over the particles seen in the epoch so far."""
        count = max(self.particles, 1)
        return Losses(self.reconstruction / count, self.kl / count, self.total / count)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the model's weights, atomically."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    with written_atomically(path) as temporary:
        save_file(tensors, temporary)


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights into a model of the same shape.

    Raises
    ------
    BadInputError
        If the file is absent, damaged or of another model.
    """
    tensors, _ = read_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadInputError(
            f"{path}: these weights belong to another model than run.json describes.",
            code="bad-checkpoint",
        ) from error


def save_state(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, position: Position
) -> None:
    """Write all that resuming needs: weights, the optimiser's moments, and the position."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with written_atomically(path) as temporary:
        save_file(tensors, temporary, metadata={"position": json.dumps(asdict(position))})


def load_state(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> Position:
    """Read what `save_state` wrote into model and optimiser; the position is returned."""
    tensors, metadata = read_tensors(path)
    state: dict[int, dict[str, Tensor]] = {}
    weights = {}
    for name, value in tensors.items():
        kind, rest = name.split(".", 1)
        if kind == "model":
            weights[rest] = value
        else:
            index, field = rest.split(".")
            state.setdefault(int(index), {})[field] = value
    model.load_state_dict(weights)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return Position(**json.loads(metadata["position"]))
