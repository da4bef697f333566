"""Work in a thread is never left behind."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tvmerge._util.threads import in_thread


async def test_the_result_and_the_failure_of_the_work_come_back() -> None:
    assert await in_thread(max, 2, 3) == 3
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


async def test_a_cancellation_waits_for_the_end_of_the_work() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(30)
        ended.set()

    caller = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 30)
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()
