"""Threads that each take one particle and one core.

The images of one particle are small tensors: torch's own threads spend longer on waiting for each
other than on them, much longer on a busy machine.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")

_MOST_THREADS = 8  # however many cores there are


@contextmanager
def one_core_threads() -> Iterator[Executor]:
    """A pool, one thread a core, in whose threads a torch operation keeps to its own core.

    The number of threads of torch belongs to the thread that sets it; new threads inherit what was
    set last, so that is put back.
    """
    workers = max(1, min(os.cpu_count() or 1, _MOST_THREADS))
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        all_started = Barrier(workers)
        for waiting in [pool.submit(all_started.wait) for _ in range(workers)]:
            waiting.result()
        torch.set_num_threads(before)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    pool: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], ahead: int = 16
) -> Iterator[Result]:
    """Results of ``work`` for each task, in order, at most ``ahead`` of them waiting."""
    running: deque[Future[Result]] = deque()
    for task in tasks:
        running.append(pool.submit(work, task))
        if len(running) >= ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
