"""Losses of the steps, added up where they are computed and read only now and then.

Reading a number from a GPU waits for everything that was asked of it. So sums stay on the device,
and so does the decision what to do with a step whose loss or gradient is not finite: its update is
skipped, and that of every step after it, until someone reads that it was so.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.checkpoint import Position


class LossRecord:
    """Sums over the particles of an epoch, and whether they can be trusted.

    Parameters
    ----------
    optimiser
        Whose steps are skipped once something is not finite.
    device
        Where losses are computed.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, device: torch.device) -> None:
        self.dtype = torch.float32 if device.type == "mps" else torch.float64
        self._optimiser = optimiser
        self._sums = torch.zeros(3, dtype=self.dtype, device=device)
        # 0 of (loss, gradient) as long as they are finite, from then on NaN; and how many steps
        # were made since then. All of these stay where they are: a recorded step writes there.
        self._poison = torch.zeros(2, dtype=self.dtype, device=device)
        self._skipped = torch.zeros((), device=device)
        self._next = self._read_at = Position(epoch=0, step=0)
        self._steps = 0

    def begin_at(self, position: Position) -> None:
        """A step begins: go on from the sums of its position, if the last one did not end there."""
        if (position.epoch, position.step) != (self._next.epoch, self._next.step):
            sums = [position.reconstruction, position.kl, position.total]
            self._sums.copy_(torch.tensor(sums, dtype=self.dtype))
            self._read_at = position
            self._poison.zero_()
            self._skipped.zero_()
            self._steps = 0
        self._steps += 1
        self._next = replace(position, step=position.step + 1)

    def check(self, sums: Tensor, gradients: list[Tensor]) -> None:
        """Skip the update if the loss sums or a gradient, of any shape, are not finite."""
        norm = torch.stack(torch._foreach_norm(gradients)).sum()
        values = torch.stack([sums.sum(), norm.to(self.dtype)])
        # What is finite is 0 less itself; NaN, once added, never leaves.
        self._poison.add_(values - values)
        failed = (self._poison.sum() != 0).float()
        self._skipped.add_(failed)
        if self._optimiser.defaults.get("fused"):
            self._optimiser.found_inf = failed  # type: ignore[attr-defined]
        else:  # others cannot look at it on the device (Apple's has no fused one)
            self._raise_if_failed()

    def add(self, reconstruction: Tensor, kl: Tensor, penalty: Tensor) -> None:
        """Add the losses of a step, scalars on the device, each summed over its particles."""
        self._sums.add_(torch.stack([reconstruction, kl, reconstruction + penalty]))

    def read(self, position: Position) -> Position:
        """Wait for the device; the position with the sums so far.

        Raises
        ------
        BadInputError
            If something was not finite since the last reading.
        """
        self._raise_if_failed()
        if self._next.epoch != position.epoch:
            # No step of this epoch was made here: a run that was saved after the last one goes on
            # with the sums that were saved.
            return position
        reconstruction, kl, total = self._sums.tolist()
        self._steps = 0
        read = replace(position, reconstruction=reconstruction, kl=kl, total=total)
        self._read_at = read
        return read

    def _raise_if_failed(self) -> None:
        skipped = int(self._skipped)
        if not skipped:
            return
        self._optimiser.zero_grad(set_to_none=True)
        what = "loss" if bool(self._poison[0].isnan()) else "gradient"
        step = self._read_at.step + self._steps - skipped + 1
        raise BadInputError(
            f"Training diverged: the {what} is not finite in epoch {self._next.epoch}, "
            f"step {step}; the run keeps the state that was saved before.",
            remedy="Train anew with a smaller learning rate, or in float32.",
            code="diverged",
        )
