"""Identical concurrent work is done once."""

from __future__ import annotations

import asyncio

import pytest

from tvmerge._util.single_flight import SingleFlight


class Work:
    """Work that ends when it is told to, and counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = False
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        self.started.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return self.begun


async def test_those_who_want_the_same_share_one_flight() -> None:
    flights: SingleFlight[int] = SingleFlight()
    work = Work()
    tasks = [asyncio.create_task(flights.do("key", work)) for _ in range(50)]
    await work.started.wait()
    work.may_end.set()
    assert await asyncio.gather(*tasks) == [1] * 50
    assert work.begun == 1


async def test_different_keys_fly_apart_and_a_landed_flight_is_forgotten() -> None:
    flights: SingleFlight[int] = SingleFlight()
    work = Work()
    work.may_end.set()
    assert await flights.do("one", work) == 1
    assert await flights.do("two", work) == 2
    assert await flights.do("one", work) == 3


async def test_a_failure_reaches_everyone_and_is_not_kept() -> None:
    flights: SingleFlight[int] = SingleFlight()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("lost")

    outcomes = await asyncio.gather(*(flights.do("key", fail) for _ in range(3)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["lost"] * 3
    work = Work()
    work.may_end.set()
    assert await flights.do("key", work) == 1


async def test_a_waiter_that_leaves_does_not_take_the_others_along() -> None:
    flights: SingleFlight[int] = SingleFlight()
    work = Work()
    first = asyncio.create_task(flights.do("key", work))
    second = asyncio.create_task(flights.do("key", work))
    await work.started.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.may_end.set()
    assert await second == 1
    assert not work.cancelled


async def test_work_that_nobody_waits_for_any_more_is_cancelled() -> None:
    flights: SingleFlight[int] = SingleFlight()
    work = Work()
    only = asyncio.create_task(flights.do("key", work))
    await work.started.wait()
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    assert work.cancelled
    again = Work()
    again.may_end.set()
    assert await flights.do("key", again) == 1


async def test_who_comes_while_work_is_being_cancelled_gets_work_of_their_own() -> None:
    flights: SingleFlight[int] = SingleFlight()
    winding_down, may_end = asyncio.Event(), asyncio.Event()

    async def slow_to_stop() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            winding_down.set()
            await may_end.wait()
        return 0

    leaver = asyncio.create_task(flights.do("key", slow_to_stop))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaver.cancel()
    await winding_down.wait()
    work = Work()
    work.may_end.set()
    async with asyncio.timeout(10):
        assert await flights.do("key", work) == 1
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await leaver
