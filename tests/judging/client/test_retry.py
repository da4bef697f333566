"""What passes by itself is waited out, within bounds."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from tests.judging.chats import LocalChat, a_request
from tvmerge.errors import OutageError, QuotaError, RequestError, TransientError
from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.client.retry import RetryingChat
from tvmerge.judging.client.timeout import TimeLimitedChat

GOOD = ChatReply("Rating: [[7]]", "stop")


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def failing(*errors: Exception) -> LocalChat:
    """A model that raises these, one a call, and then replies."""
    left = iter(errors)

    async def answer(request: ChatRequest) -> ChatReply:
        for error in left:
            raise error
        return GOOD

    return LocalChat(answer)


async def test_a_transient_error_is_tried_again_with_growing_waits() -> None:
    time = Time()
    model = failing(*(TransientError("overloaded", status=503) for _ in range(8)))
    chat = RetryingChat(model, sleep=time.sleep, clock=time.clock, uniform=Random(0).uniform)
    assert await chat.send(a_request()) == GOOD
    assert len(model.sent) == 9
    for attempt, wait in enumerate(time.sleeps):
        longest = min(60, 0.5 * 2**attempt)
        assert longest / 2 <= wait <= longest


async def test_the_provider_says_how_long_to_wait() -> None:
    time = Time()
    chat = RetryingChat(
        failing(TransientError("slow down", retry_after=7.0)),
        sleep=time.sleep,
        clock=time.clock,
        uniform=Random(0).uniform,
    )
    await chat.send(a_request())
    assert 7.0 <= time.sleeps[0] <= 7.0 + 0.125


async def test_patience_bounds_the_whole_time() -> None:
    time = Time()
    endless = LocalChat(failing(*(TransientError(f"no {n}") for n in range(1000))).send)
    chat = RetryingChat(endless, patience=100, sleep=time.sleep, clock=time.clock, uniform=Random(0).uniform)
    with pytest.raises(OutageError, match=r"has failed for 100 s \(no \d+\)"):
        await chat.send(a_request())
    assert 1040 <= time.now <= 1100


@pytest.mark.parametrize(
    ("before", "meanwhile", "expected"), [(0, 50, TransientError), (0, 2, OutageError), (50, 0, OutageError)]
)
async def test_a_request_that_fails_while_others_are_answered_is_no_outage(
    before: int, meanwhile: int, expected: type[Exception]
) -> None:
    async def answer(request: ChatRequest) -> ChatReply:
        if request.body["messages"][0]["content"] == "poison":
            raise TransientError("crashed", status=500)
        return GOOD

    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        for number in range(meanwhile if len(time.sleeps) == 1 else 0):
            await chat.send(a_request(str(number)))

    time = Time()
    chat = RetryingChat(LocalChat(answer), patience=100, sleep=sleep, clock=time.clock)
    for number in range(before):
        await chat.send(a_request(str(number)))
    with pytest.raises(expected):
        await chat.send(a_request("poison"))


async def test_a_wait_longer_than_patience_stops_the_run() -> None:
    time = Time()
    chat = RetryingChat(
        failing(TransientError("daily limit", retry_after=3600)),
        patience=600,
        sleep=time.sleep,
        clock=time.clock,
    )
    with pytest.raises(QuotaError, match="asks to wait 3600 s"):
        await chat.send(a_request())
    assert time.sleeps == []


@pytest.mark.parametrize("error", [QuotaError("empty account"), RequestError("malformed", status=400)])
async def test_what_does_not_pass_is_not_tried_again(error: Exception) -> None:
    model = failing(error)
    with pytest.raises(type(error)):
        await RetryingChat(model).send(a_request())
    assert len(model.sent) == 1


async def test_an_attempt_that_takes_too_long_is_given_up_and_tried_again() -> None:
    attempts = itertools.count()

    async def stall_once(request: ChatRequest) -> ChatReply:
        if next(attempts) == 0:
            await asyncio.Event().wait()
        return GOOD

    time = Time()
    chat = RetryingChat(
        TimeLimitedChat(LocalChat(stall_once), timeout=0.01), sleep=time.sleep, clock=time.clock
    )
    assert await chat.send(a_request()) == GOOD
    assert len(time.sleeps) == 1


async def test_two_calls_that_were_told_the_same_do_not_return_at_once() -> None:
    waits = set()
    for seed in range(20):
        time = Time()
        chat = RetryingChat(
            failing(TransientError("slow", retry_after=4.0)),
            sleep=time.sleep,
            clock=time.clock,
            uniform=Random(seed).uniform,
        )
        await chat.send(a_request())
        waits |= set(time.sleeps)
    assert len(waits) == 20


async def test_a_number_of_attempts_bounds_them_whatever_the_patience() -> None:
    time = Time()
    model = failing(*(TransientError("the batch failed", status=500) for _ in range(9)))
    chat = RetryingChat(model, patience=10**6, most=3, sleep=time.sleep, clock=time.clock)
    with pytest.raises(OutageError, match="has failed for 3 batches"):
        await chat.send(a_request())
    assert len(model.sent) == 3
