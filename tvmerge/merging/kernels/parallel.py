"""Tensors made side by side, a thread a core, handed out in order.

torch's own threads wait for each other after every operation, which is slow where another process holds a
core. So each worker runs its operations alone, and large tensors are split between workers.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

WORKERS = 4
"""Threads at most; merging is bound by memory, which a few cores use up."""

AHEAD = 2**26
"""Bytes that may be in work at once beyond the tensor that is waited for, and so in memory."""


@dataclass(frozen=True, slots=True)
class Task:
    """A tensor to be made.

    Attributes:
        name: What it is called.
        out: Where it goes.
        parts: Slices of its rows that can be made on their own.
        make: Makes one part.
    """

    name: str
    out: torch.Tensor
    parts: Sequence[slice]
    make: Callable[[slice], None]


@dataclass(frozen=True, slots=True)
class _Pending:
    task: Task
    parts: list[Future[None]]


def in_parallel(tasks: Iterable[Task]) -> Iterator[tuple[str, torch.Tensor]]:
    """Do tasks and yield (name, tensor), each complete, in the order of `tasks`.

    A task is taken from `tasks` only when it is started.
    """
    threads = torch.get_num_threads()
    workers = max(1, min(WORKERS, os.cpu_count() or 1))
    pending: deque[_Pending] = deque()
    with ThreadPoolExecutor(workers, "merge", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for task in tasks:
                pending.append(_Pending(task, [pool.submit(task.make, part) for part in task.parts]))
                while _ahead(pending) > AHEAD:
                    yield _finish(pending.popleft())
            while pending:
                yield _finish(pending.popleft())
        finally:
            for started in pending:
                for part in started.parts:
                    part.cancel()
            # What a worker sets for itself is also what threads that start later would take over.
            torch.set_num_threads(threads)


def _ahead(pending: Iterable[_Pending]) -> int:
    return sum(started.task.out.nbytes for started in pending)


def _finish(started: _Pending) -> tuple[str, torch.Tensor]:
    for part in started.parts:
        part.result()
    return started.task.name, started.task.out
