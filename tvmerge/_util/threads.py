"""Runs blocking work in a thread and always waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a thread and return its result.

    A cancellation is raised only after the thread has ended. A thread cannot be stopped, and the resources it
    uses (a lock, a cache, a folder being written) must not be released before.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a thread, since the caller may have a running loop, as notebooks do."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
