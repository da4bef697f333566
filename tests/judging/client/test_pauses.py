"""What is waited for is told while it lasts: soon, seldom, and never too late."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from tests.judging.chats import LocalChat, a_request
from tests.judging.virtual_time import run
from tvmerge.errors import OutageError, TransientError
from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.client.pauses import Pauses, clock
from tvmerge.judging.client.reask import ReaskingChat
from tvmerge.judging.client.retry import RetryingChat

Told = list[tuple[float, str]]

GOOD = ChatReply("Rating: [[7]]", "stop")


def told(work: Callable[[Pauses], Awaitable[object]]) -> Told:
    """What `work` has told, and after how many seconds."""
    said: Told = []

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        await work(Pauses(lambda line: said.append((round(loop.time(), 3), line)), wall=loop.time))

    run(listen())
    return said


def seconds(said: Told) -> list[float]:
    """When there was something to say."""
    return [moment for moment, line in said if line]


def test_a_long_wait_is_told_as_it_begins_and_every_15_seconds() -> None:
    async def work(pauses: Pauses) -> None:
        pauses.wait("a", 50, "no request is left")
        await asyncio.sleep(60)

    said = told(work)
    assert seconds(said) == [0, 15, 30, 45]
    assert all(line.endswith(": no request is left") for _, line in said[:-1])
    assert not any("at the latest" in line for _, line in said)
    assert said[-1] == (50, "")


def test_many_waits_are_told_as_seldom_as_one_and_the_first_to_end_is_named() -> None:
    async def work(pauses: Pauses) -> None:
        for number in range(60, 0, -1):
            pauses.wait(number, 40 + number, f"wait {number}")
        await asyncio.sleep(30)

    said = told(work)
    assert seconds(said) == [0, 15, 30]
    assert [line.rpartition(": ")[2] for _, line in said] == ["wait 60", "wait 1", "wait 1"]


def test_a_short_wait_is_not_worth_a_line() -> None:
    async def work(pauses: Pauses) -> None:
        for _ in range(100):
            pauses.wait("a", 2, "a pace")
            await asyncio.sleep(2)
            pauses.answered()

    assert told(work) == []


def test_a_row_of_short_waits_without_a_reply_is_told_within_15_seconds() -> None:
    async def work(pauses: Pauses) -> None:
        for _ in range(40):
            pauses.wait("a", 1, "it fails")
            await asyncio.sleep(1.1)

    moments = seconds(told(work))
    assert len(moments) >= 2
    assert all(15 <= after - before <= 16.2 for before, after in itertools.pairwise([0.0, *moments]))


def test_a_wait_that_is_over_before_its_time_is_told_no_more() -> None:
    async def work(pauses: Pauses) -> None:
        pauses.wait("a", 100, "no request is left")
        await asyncio.sleep(20)
        pauses.over("a")
        await asyncio.sleep(60)

    said = told(work)
    assert seconds(said) == [0, 15]
    assert said[-1] == (20, "")


def test_the_end_of_a_wait_is_told_once_and_only_if_its_begin_was() -> None:
    async def work(pauses: Pauses) -> None:
        pauses.wait("a", 20, "no request is left")
        await asyncio.sleep(30)
        pauses.answered()
        pauses.wait("a", 2, "a pace")
        pauses.over("a")
        await asyncio.sleep(30)

    assert [(moment, bool(line)) for moment, line in told(work)] == [(0, True), (15, True), (20, False)]


def test_the_next_wait_is_told_15_seconds_after_the_last_line() -> None:
    async def work(pauses: Pauses) -> None:
        pauses.wait("a", 5, "a limit")
        await asyncio.sleep(6)
        pauses.wait("a", 3, "a limit")
        await asyncio.sleep(4)
        pauses.wait("a", 10, "a limit")
        await asyncio.sleep(20)

    assert seconds(told(work)) == [0, 15]


def test_retries_say_what_failed_and_until_when() -> None:
    async def broken(request: ChatRequest) -> ChatReply:
        raise TransientError("HTTP 503: overloaded", status=503)

    async def work(pauses: Pauses) -> None:
        loop = asyncio.get_running_loop()
        chat = RetryingChat(LocalChat(broken), patience=200, pauses=pauses, clock=loop.time)
        try:
            await chat.send(a_request())
        except OutageError:
            return

    said = told(work)
    moments = seconds(said)
    assert all("HTTP 503: overloaded" in line for _, line in said if line)
    # The provider is asked for an instant between two waits; the silence is never longer than that.
    assert all(after - before <= 15.001 for before, after in itertools.pairwise(moments))
    assert moments[0] < 15
    assert moments[-1] > 100


def test_a_pause_before_a_failed_reply_is_asked_for_again_is_told() -> None:
    replies = [ChatReply("", "failed")] * 4

    async def answer(request: ChatRequest) -> ChatReply:
        return replies.pop() if replies else GOOD

    async def work(pauses: Pauses) -> None:
        await ReaskingChat(LocalChat(answer), reasks=9, pauses=pauses).send(a_request())

    said = told(work)
    assert said
    assert "the provider failed within its reply" in said[0][1]


def test_a_moment_is_told_with_its_date_where_it_is_not_today() -> None:
    now = 1_795_860_000.0
    assert len(clock(1, now)) == len("14:03:22")
    assert len(clock(3 * 86400, now)) == len("2026-11-27 14:03")
    assert clock(1e18, now).startswith("3026-")
