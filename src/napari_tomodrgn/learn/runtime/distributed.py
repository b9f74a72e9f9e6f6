"""The processes that train one model together; a single one, if nobody started more.

`torchrun` and SLURM's `srun` start the same program several times and say in the environment which
is which. Lightning Fabric reads that and connects them; it is imported only then. Each process
(*rank*) computes a share of the particles of every step. What they exchange are sums, and a sum is
the same on every rank, so all of them take the same decisions.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.runtime.steps import Cancelled

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_tomodrgn.learn.runtime.events import Event

# How long a rank waits for the others: reading images may take that long between two signs of life.
_TIMEOUT = timedelta(hours=1)
_WORKING, _DONE, _FAILED = 0, 1, 2  # what the first process tells those that wait for it
T = TypeVar("T")


@dataclass(frozen=True)
class Launch:
    """What the environment says of the processes of a run."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    by: str = ""


def launch(environment: Mapping[str, str] | None = None) -> Launch:
    """Who this process is: by `torchrun`, by SLURM, or alone.

    Raises
    ------
    BadInputError
        If the environment contradicts itself.
    """
    given = os.environ if environment is None else environment
    if "RANK" in given and "WORLD_SIZE" in given:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        found = _numbers(given, names, "torchrun")
    elif "SLURM_STEP_NUM_TASKS" in given and given.get("SLURM_PROCID") is not None:
        # Of a step (srun), not of the job: inside sbatch without srun there is one process.
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE")
        found = _numbers(given, names, "srun")
    else:
        return Launch()
    return found if found.size == 1 else _checked(found, given)


def _numbers(given: Mapping[str, str], names: tuple[str, ...], by: str) -> Launch:
    rank, size, local_rank, local_size = names
    if int(given.get(size, "1")) == 1:
        return Launch()
    missing = [name for name in names if name not in given]
    if missing:
        raise BadInputError(
            f"Started by {by} with {size}={given[size]}, but {missing[0]} is not set.",
            remedy=_REMEDIES[by],
            code="bad-launch",
        )
    try:
        return Launch(
            int(given[rank]), int(given[size]), int(given[local_rank]), int(given[local_size]), by
        )
    except ValueError as error:
        raise BadInputError(
            f"Started by {by}, but {', '.join(names)} are not all numbers ({error}).",
            remedy=_REMEDIES[by],
            code="bad-launch",
        ) from error


_REMEDIES = {
    "torchrun": "Start with torchrun --nproc-per-node N.",
    "srun": "Start with srun --nodes N --ntasks-per-node M, or write a script with --slurm.",
}


def _checked(found: Launch, given: Mapping[str, str]) -> Launch:
    whole = found.size % found.local_size == 0
    if not (0 <= found.rank < found.size and 0 <= found.local_rank < found.local_size and whole):
        raise BadInputError(
            f"Process {found.rank} of {found.size}, {found.local_rank} of {found.local_size} on "
            "its node: these numbers contradict each other.",
            remedy=_REMEDIES[found.by] + " Every node needs as many processes.",
            code="bad-launch",
        )
    if found.by == "torchrun" and not {"MASTER_ADDR", "MASTER_PORT"} <= given.keys():
        raise BadInputError(
            "Several processes, but MASTER_ADDR or MASTER_PORT is not set.",
            remedy=_REMEDIES["torchrun"],
            code="bad-launch",
        )
    return found


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that train together; one primitive, the sum over all."""

    launch: Launch = field(default_factory=Launch)
    fabric: Any = None

    @classmethod
    def join(cls, device: str = "auto") -> ProcessGroup:
        """Meet the other processes of the environment; at once, if there are none.

        Raises
        ------
        BadInputError
            If the environment contradicts itself, Fabric is absent, or there are too few GPUs.
        """
        found = launch()
        if found.size == 1:
            return cls()
        return cls(found, _connect(found, device))

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.launch.size

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prepares, writes and reports."""
        return self.launch.rank == 0

    @property
    def device(self) -> torch.device | None:
        """The device of this process; None if alone, as then nothing is prescribed."""
        device: torch.device | None = None if self.fabric is None else self.fabric.device
        return device

    def slice_for(self, count: int) -> slice:
        """Which of ``count`` things are this process's: a run of them, sizes as even as can be."""
        rank, size = self.launch.rank, self.launch.size
        return slice(count * rank // size, count * (rank + 1) // size)

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Sum values of any shape over all processes, the same to the bit on each.

        Raises
        ------
        BadInputError
            If another process is gone.
        """
        if self.fabric is None:
            return values
        try:
            home = values.device
            summed: Tensor = self.fabric.all_reduce(values.to(self.fabric.device), reduce_op="sum")
            return summed.to(home)
        except RuntimeError as error:
            raise BadInputError(
                "Another process of this run is gone.",
                remedy="Its own message says why; go on with --resume.",
                code="process-gone",
            ) from error

    def any_true(self, here: bool) -> bool:
        """Whether it is so on any process."""
        import torch

        return bool(self.all_reduce_sum(torch.tensor([float(here)]))[0] > 0)

    def all_equal(self, values: list[float]) -> bool:
        """Whether all processes have the same numbers."""
        import torch

        here = torch.tensor(values, dtype=torch.float64)
        of_first = self.all_reduce_sum(here.clone() if self.is_first else torch.zeros_like(here))
        return not self.any_true(not bool((of_first == here).all()))

    def run_on_first(
        self, steps: Generator[Event, None, T], stop: Callable[[], bool]
    ) -> Generator[Event, None, T]:
        """Run what the first process does alone, the others waiting in `wait_for_first`.

        With each event the others learn that it goes on, and may ask it to stop.
        """
        if self.size == 1 or not self.is_first:
            return (yield from steps)
        while True:
            try:
                event = next(steps)
            except StopIteration as done:
                value: T = done.value
                self._exchange_state(_DONE, stop=False)
                return value
            except BaseException as error:
                stopped = isinstance(error, Cancelled)
                self._exchange_state(
                    _WORKING if stopped else _FAILED, stop=stopped, is_acknowledged=True
                )
                raise
            self._exchange_state(_WORKING, stop=stop())
            try:
                yield event
            except BaseException:
                self._exchange_state(_FAILED, stop=False)
                raise

    def wait_for_first(self, stop: Callable[[], bool]) -> None:
        """Wait until the first process has done what it does alone.

        Raises
        ------
        BadInputError
            If it failed.
        """
        while True:
            state = self._exchange_state(_WORKING, stop=stop())
            if state == _DONE:
                return
            if state == _FAILED:
                raise BadInputError(
                    "The first process of this run could not prepare it.",
                    remedy="Its own message says why.",
                    code="process-gone",
                )

    def leave(self) -> None:
        """Part from the other processes; those that are still at work see that this one is gone."""
        if self.fabric is not None:
            import torch

            torch.distributed.destroy_process_group()

    def _exchange_state(self, state: int, *, stop: bool, is_acknowledged: bool = False) -> int:
        """Tell the others a state, which only the first may change; all stop if one has to."""
        import torch

        state_and_stop = self.all_reduce_sum(torch.tensor([float(state), float(stop)]))
        if state_and_stop[1] > 0 and not is_acknowledged:
            raise Cancelled
        return int(state_and_stop[0])


def _connect(found: Launch, device: str) -> Any:
    """A Fabric of all processes, one device each."""
    try:
        import lightning_fabric
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
        from lightning_fabric.strategies.ddp import DDPStrategy
        from lightning_fabric.utilities.exceptions import MisconfigurationException
    except ImportError as error:
        raise BadInputError(
            f"{found.size} processes were started, but Lightning Fabric is not installed.",
            remedy='Install it: pip install "napari-tomodrgn[cluster]".',
            code="no-fabric",
        ) from error
    kind = _kind_of_device(found, device)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    environment = TorchElasticEnvironment() if found.by == "torchrun" else SLURMEnvironment()
    try:
        fabric = lightning_fabric.Fabric(
            accelerator=kind,
            devices=found.local_size,
            num_nodes=found.size // found.local_size,
            strategy=DDPStrategy(timeout=_TIMEOUT),
            plugins=[environment],
        )
        fabric.launch()
    except (MisconfigurationException, ValueError, RuntimeError, OSError) as error:
        raise BadInputError(
            f"{found.size} processes cannot be connected ({str(error).splitlines()[0]}).",
            remedy=_REMEDIES[found.by],
            code="bad-launch",
        ) from error
    return fabric


def _kind_of_device(found: Launch, asked: str) -> str:
    """``cpu`` or ``cuda``; of the latter each process of a node needs one."""
    import torch

    kind = asked
    if asked == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    there = torch.cuda.device_count() if kind == "cuda" else found.local_size
    if there < found.local_size or kind not in ("cpu", "cuda"):
        raise BadInputError(
            f"{found.local_size} processes on this node, but {there} {kind} devices to share.",
            remedy="Start one process a GPU, each seeing all GPUs of its node, or --device cpu.",
            code="bad-launch",
        )
    return kind
