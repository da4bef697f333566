"""Tasks that belong together end together, cancelled once each."""

from __future__ import annotations

import asyncio

import pytest

from tvmerge._util.tasks import gather_or_cancel, stop


class Work:
    """Takes so many steps to end after it is cancelled; counts cancellations."""

    def __init__(self, steps: int = 0) -> None:
        self.cancelled = 0
        self.ended = False
        self._steps = steps
        self._never = asyncio.Event()

    async def __call__(self) -> str:
        try:
            await self._never.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await self._finish()
        return "kept"

    async def _finish(self) -> None:
        for _ in range(self._steps):
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.cancelled += 1
        self.ended = True


async def _fails() -> str:
    raise ValueError("first")


async def _is(value: str) -> str:
    await asyncio.sleep(0)
    return value


async def test_outcomes_come_in_the_order_of_the_works() -> None:
    assert await gather_or_cancel([_is("a"), _is("b")]) == ["a", "b"]
    assert await gather_or_cancel([]) == []


@pytest.mark.parametrize("fails", [True, False])
async def test_each_work_is_cancelled_once_however_long_the_others_take_to_end(fails: bool) -> None:
    works = [Work(steps) for steps in (0, 3, 9)]
    all_works = [*(work() for work in works), *(_fails() for _ in range(fails))]
    running = asyncio.create_task(gather_or_cancel(all_works))
    if not fails:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
    with pytest.raises(ValueError if fails else asyncio.CancelledError):
        await running
    assert [(work.cancelled, work.ended) for work in works] == [(1, True)] * 3


@pytest.mark.parametrize("times", [1, 2])
async def test_only_a_second_cancellation_of_the_caller_is_passed_on_and_all_have_ended_then(
    times: int,
) -> None:
    work = Work(9)
    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(stop([task]))
    for _ in range(times):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert (work.cancelled, work.ended, task.done()) == (times, True, True)


async def test_tasks_that_ended_already_are_left_as_they_are() -> None:
    failed = asyncio.create_task(_fails())
    await asyncio.wait([failed])
    await stop([failed])
    assert isinstance(failed.exception(), ValueError)
