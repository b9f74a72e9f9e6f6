"""A training step recorded once and replayed: on a GPU, launching costs more than computing.

A step of the default network is some 700 kernels of a few microseconds each. Launched one by one
they kept an H100 busy for a fifth of the time (`docs/benchmarks.md`); as a CUDA graph they are
launched together. All that differs between steps lies in one buffer, written before each replay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from napari_tomodrgn.learn.runtime.device import to_device
from napari_tomodrgn.learn.runtime.memory import ChunkSizes, exhausted_memory
from napari_tomodrgn.learn.training.step.inputs import Step

# Steps made operation by operation first: the optimiser makes its moments, libraries their plans.
_WARM_UP = 3


class RecordedStep:
    """The steps of one trainer on a CUDA device, as long as they are alike.

    Parameters
    ----------
    run
        Does all of a step that is done on the device.
    optimiser
        Which it ends with; its learning rate is recorded as it is.
    chunks
        How much is computed at a time; also where it is said if a step cannot be recorded.
    device
        The card.
    """

    def __init__(
        self,
        run: Callable[[Step], None],
        optimiser: torch.optim.Optimizer,
        chunks: ChunkSizes,
        device: torch.device,
    ) -> None:
        self._run, self._optimiser, self._chunks, self._device = run, optimiser, chunks, device
        self._warm_up, self._given_up = _WARM_UP, False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._settings: tuple[object, ...] = ()
        self._buffer = torch.empty(0)
        self._samples: Tensor | None = None

    def make(self, work: Step) -> bool:
        """Make a step that was drawn on the host; False, and nothing done, if it cannot be here."""
        if self._warm_up or self._given_up:
            self._warm_up = max(self._warm_up - 1, 0)
            return False
        if self._graph is None or self._settings != self._now():
            self._record(work)
        else:
            self._fill(work)
        if self._graph is None:
            return False
        self._graph.replay()
        return True

    @property
    def is_recorded(self) -> bool:
        """Whether the next step is replayed."""
        return self._graph is not None

    def _now(self) -> tuple[object, ...]:
        rates = (group["lr"] for group in self._optimiser.param_groups)
        return (self._chunks.points, self._chunks.particles, *rates)

    def _fill(self, work: Step) -> None:
        self._buffer.copy_(work.draw.packed().pin_memory(), non_blocking=True)
        if self._samples is not None and work.samples is not None:
            self._samples.copy_(work.samples.pin_memory(), non_blocking=True)

    def _record(self, work: Step) -> None:
        """Record a step; where that fails, steps go on operation by operation, and that is said."""
        self._graph = None
        self._samples = work.to(self._device).samples
        self._buffer = to_device(work.draw.packed(), self._device)
        draw = work.draw.unpacked(self._buffer)
        graph = torch.cuda.CUDAGraph()
        try:
            # Meanwhile another thread may decode a map on this device.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._run(replace(work, draw=draw, samples=self._samples))
        except (RuntimeError, MemoryError) as error:
            self._give_up(error)
            return
        self._graph, self._settings = graph, self._now()

    def _give_up(self, error: BaseException) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        torch.cuda.synchronize(self._device)
        if exhausted_memory(error):
            self._chunks.halve(error)
            self._warm_up = _WARM_UP
            return
        self._given_up = True
        reason = str(error).strip().splitlines() or [type(error).__name__]
        self._chunks.messages.append(
            "A step cannot be recorded on this device, so its operations are launched one by one, "
            f"which is slower ({reason[0]})."
        )
