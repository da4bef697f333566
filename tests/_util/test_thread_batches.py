"""What comes while a batch is under way makes up the next one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tvmerge._util.thread_batches import ThreadedBatches


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


async def test_what_comes_meanwhile_is_handled_together(thread: ThreadPoolExecutor) -> None:
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    seen: list[list[int]] = []

    def double(items: list[int]) -> list[int]:
        seen.append(items)
        loop.call_soon_threadsafe(begun.set)
        may_end.wait()
        return [2 * item for item in items]

    batches = ThreadedBatches(thread, double, most=4)
    first = batches.add(0)
    await begun.wait()
    rest = [batches.add(number) for number in range(1, 10)]
    rest[2].cancel()
    may_end.set()
    await batches.drain()
    assert seen == [[0], [1, 2, 4, 5], [6, 7, 8, 9]]
    assert [first.result(), *(f.result() for f in rest if not f.cancelled())] == [
        0,
        2,
        4,
        8,
        10,
        12,
        14,
        16,
        18,
    ]


async def test_what_comes_a_few_at_a_time_waits_for_more(thread: ThreadPoolExecutor) -> None:
    seen: list[list[int]] = []

    def take(items: list[int]) -> list[int]:
        seen.append(items)
        return items

    batches = ThreadedBatches(thread, take, linger=0.2)
    assert await batches.add(0) == 0
    for number in range(1, 7, 2):
        batches.add(number)
        batches.add(number + 1)
        await asyncio.sleep(0)
    await batches.drain()
    assert seen == [[0], [1, 2, 3, 4, 5, 6]]


async def test_an_error_goes_to_everyone_in_the_batch_and_no_further(thread: ThreadPoolExecutor) -> None:
    def check(items: list[int]) -> list[int]:
        if 3 in items:
            raise ValueError("three")
        return items

    batches = ThreadedBatches(thread, check, most=2)
    outcomes = await asyncio.gather(*(batches.add(n) for n in range(6)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["0", "1", "three", "three", "4", "5"]


async def test_it_works_again_after_it_was_idle(thread: ThreadPoolExecutor) -> None:
    batches: ThreadedBatches[int, int] = ThreadedBatches(thread, list)
    assert await batches.add(1) == 1
    await batches.drain()
    assert await batches.add(2) == 2
