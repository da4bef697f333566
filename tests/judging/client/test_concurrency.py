"""How many requests are in flight."""

from __future__ import annotations

import asyncio

import pytest

from tests.judging.chats import LocalChat, a_request
from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.client.concurrency import ConcurrencyLimitedChat, ConcurrencyLimiter


async def test_no_more_than_the_places_are_in_and_they_come_in_order() -> None:
    limiter = ConcurrencyLimiter(3)
    inside = 0
    most = 0
    order: list[int] = []

    async def visit(number: int) -> None:
        nonlocal inside, most
        async with limiter:
            order.append(number)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(visit(number) for number in range(20)))
    assert most == 3
    assert order == list(range(20))


async def test_overload_takes_a_fifth_once_in_a_cooldown() -> None:
    now = 0.0
    limiter = ConcurrencyLimiter(10, cooldown=5, clock=lambda: now)
    for _ in range(8):
        limiter.overloaded()
    assert limiter.places == 8
    now = 5.0
    limiter.overloaded()
    assert limiter.places == 6


async def test_overload_leaves_one_place_and_success_brings_them_back_one_by_one() -> None:
    limiter = ConcurrencyLimiter(4, cooldown=0)
    for _ in range(100):
        limiter.overloaded()
    assert limiter.places == 1
    limiter.succeeded()
    assert limiter.places == 2
    for _ in range(100):
        limiter.succeeded()
    assert limiter.places == 4


async def test_a_place_that_comes_back_lets_a_waiter_in() -> None:
    limiter = ConcurrencyLimiter(2, cooldown=0)
    for _ in range(10):
        limiter.overloaded()
    async with limiter:
        waiter = asyncio.create_task(limiter.__aenter__())
        await asyncio.sleep(0)
        assert not waiter.done()
        limiter.succeeded()
        await waiter


@pytest.mark.parametrize("granted", [False, True])
async def test_a_waiter_that_is_cancelled_holds_nobody_up(granted: bool) -> None:
    limiter = ConcurrencyLimiter(1)
    await limiter.__aenter__()
    leaver = asyncio.create_task(limiter.__aenter__())
    stayer = asyncio.create_task(limiter.__aenter__())
    await asyncio.sleep(0)
    if granted:
        await limiter.__aexit__()
        leaver.cancel()
    else:
        leaver.cancel()
        await limiter.__aexit__()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    await stayer
    await limiter.__aexit__()
    async with limiter:
        pass


async def test_the_limiter_stands_before_the_model() -> None:
    in_flight = 0
    most = 0

    async def answer(request: ChatRequest) -> ChatReply:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1
        return ChatReply("[[1]]", "stop")

    chat = ConcurrencyLimitedChat(LocalChat(answer), ConcurrencyLimiter(4))
    await asyncio.gather(*(chat.send(a_request(str(n))) for n in range(40)))
    assert most == 4
