"""No window ever holds more than the limit, and nobody is overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judging.chats import LocalChat, a_request
from tests.judging.virtual_time import run
from tvmerge.errors import QuotaError, TransientError
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.concurrency import ConcurrencyLimiter
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.client.rate_limit import RateLimitedChat, RateLimiter
from tvmerge.judging.client.tokens import most_tokens

GOOD = ChatReply("Rating: [[7]]", "stop", Usage(100, 20))


def worst_window(spendings: Sequence[tuple[float, float]], length: float) -> float:
    """The most that any half-open span of `length` seconds holds, of (time, amount)."""
    spendings = sorted(spendings)
    return max(
        sum(amount for moment, amount in spendings if begin <= moment < begin + length)
        for begin, _ in spendings
    )


def test_a_thousand_waiters_get_all_that_the_limit_allows() -> None:
    async def crowd() -> list[float]:
        limiter = RateLimiter(rpm=50, minute=1.0)
        granted = []

        async def wait() -> None:
            permit = await limiter.admit()
            granted.append(asyncio.get_running_loop().time())
            limiter.settle(permit, 0)

        await asyncio.gather(*(wait() for _ in range(1000)))
        return granted

    granted = run(crowd())
    assert worst_window([(moment, 1) for moment in granted], 1.0) == 50
    assert max(granted) <= 19 / 0.99


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 900), st.floats(0, 1), st.floats(0, 1.9), st.floats(0, 9)), max_size=40
    ),
    st.integers(1, 8),
)
def test_no_minute_at_the_provider_exceeds_a_limit(
    calls: list[tuple[int, float, float, float]], rpm: int
) -> None:
    arrived: list[tuple[float, float]] = []

    async def all_calls() -> None:
        limiter = RateLimiter(rpm=rpm, tpm=1000)

        async def call(bound: int, share: float, transit: float, thinking: float) -> None:
            permit = await limiter.admit(bound)
            await asyncio.sleep(transit)
            used = round(bound * share)
            arrived.append((asyncio.get_running_loop().time(), used))
            await asyncio.sleep(thinking)
            limiter.settle(permit, used)

        await asyncio.gather(*(call(*each) for each in calls))

    run(all_calls())
    assert len(arrived) == len(calls)
    if arrived:
        assert worst_window([(moment, 1) for moment, _ in arrived], 60) <= rpm
        assert worst_window(arrived, 60) <= 1000


def test_a_large_request_is_not_overtaken() -> None:
    async def queue() -> list[int]:
        limiter = RateLimiter(tpm=100)
        order = []

        async def call(number: int, tokens: int) -> None:
            limiter.settle(await limiter.admit(tokens), tokens)
            order.append(number)

        await asyncio.gather(*(call(n, 90 if n == 3 else 10) for n in range(30)))
        return order

    assert run(queue()) == list(range(30))


def test_a_request_larger_than_the_limit_goes_alone() -> None:
    async def call() -> float:
        limiter = RateLimiter(tpm=100)
        limiter.settle(await limiter.admit(50), 50)
        await limiter.admit(5000)
        return asyncio.get_running_loop().time()

    assert run(call()) == pytest.approx(60)


def test_what_was_reserved_and_not_used_lets_the_next_one_go_at_once() -> None:
    async def calls() -> float:
        limiter = RateLimiter(tpm=1000)
        permit = await limiter.admit(900)
        waiting = asyncio.create_task(limiter.admit(900))
        await asyncio.sleep(1)
        assert not waiting.done()
        limiter.settle(permit, 100)
        await waiting
        return asyncio.get_running_loop().time()

    assert run(calls()) == 1


def test_a_pause_holds_everyone_up() -> None:
    async def calls() -> list[float]:
        limiter = RateLimiter()
        limiter.pause(7)
        limiter.pause(3)
        times = []
        for _ in range(3):
            await limiter.admit()
            times.append(asyncio.get_running_loop().time())
        return times

    assert run(calls()) == [7, 7, 7]


def test_a_waiter_that_leaves_takes_nothing_with_it() -> None:
    async def calls() -> float:
        limiter = RateLimiter(rpm=1)
        limiter.settle(await limiter.admit(), 0)
        leaver = asyncio.create_task(limiter.admit())
        stayer = asyncio.create_task(limiter.admit())
        await asyncio.sleep(1)
        leaver.cancel()
        await stayer
        return asyncio.get_running_loop().time()

    assert run(calls()) == pytest.approx(60)


@pytest.mark.parametrize(
    ("limits", "rate"),
    [
        (RateLimits(requests=30), 30),
        (RateLimits(requests=30, requests_left=29, requests_reset=2), 30),
        (RateLimits(requests=30, requests_left=29, requests_reset=2880), None),
        (RateLimits(), None),
    ],
)
def test_a_limit_is_learnt_from_a_response_unless_it_is_the_days(
    limits: RateLimits, rate: int | None
) -> None:
    async def calls() -> int:
        limiter = RateLimiter()
        limiter.learn(limits)
        admitted = [asyncio.create_task(limiter.admit()) for _ in range(100)]
        await asyncio.sleep(1)
        done = sum(task.done() for task in admitted)
        for task in admitted:
            task.cancel()
        await asyncio.gather(*admitted, return_exceptions=True)
        return done

    assert run(calls()) == (100 if rate is None else rate)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_several_models_limits_the_least_holds(order: tuple[int, int]) -> None:
    told = [("large", RateLimits(requests=1000)), ("small", RateLimits(requests=2))]

    async def calls() -> float:
        limiter = RateLimiter()
        for index in order:
            model, limits = told[index]
            limiter.learn(limits, model=model)
            limiter.learn(RateLimits(), model=model)
        for _ in range(3):
            await limiter.admit()
        return asyncio.get_running_loop().time()

    assert run(calls()) >= 60


def test_a_limit_that_grows_lets_those_go_who_wait() -> None:
    async def calls() -> float:
        limiter = RateLimiter()
        limiter.learn(RateLimits(requests=1))
        await limiter.admit()
        waiting = [asyncio.create_task(limiter.admit()) for _ in range(5)]
        await asyncio.sleep(1)
        limiter.learn(RateLimits(requests=100))
        await asyncio.gather(*waiting)
        return asyncio.get_running_loop().time()

    assert run(calls()) == 1


def test_the_users_limit_is_not_overruled() -> None:
    async def calls() -> float:
        limiter = RateLimiter(rpm=1)
        limiter.learn(RateLimits(requests=1000))
        await limiter.admit()
        await limiter.admit()
        return asyncio.get_running_loop().time()

    assert run(calls()) >= 60


def test_when_none_is_left_the_next_waits_until_there_is_one() -> None:
    async def calls() -> float:
        limiter = RateLimiter()
        limiter.learn(RateLimits(requests=60, requests_left=0, requests_reset=60))
        await limiter.admit()
        return asyncio.get_running_loop().time()

    async def tokens() -> float:
        limiter = RateLimiter()
        limiter.learn(RateLimits(tokens=1000, tokens_left=100, tokens_reset=54), tokens=400)
        await limiter.admit(400)
        return asyncio.get_running_loop().time()

    assert run(calls()) == pytest.approx(1)
    assert run(tokens()) == pytest.approx(18)


def used_up_for(seconds: float) -> RateLimits:
    """No request is left of a fixed window."""
    told = f"x-ratelimit-reset-requests: {seconds:g}s"
    return RateLimits(10, 0, seconds, at_once=True, requests_told=told)


def test_a_fixed_window_is_waited_out_whole_and_says_nothing_of_a_minute() -> None:
    async def calls() -> float:
        limiter = RateLimiter(patience=5)
        limiter.learn(used_up_for(5))
        for _ in range(30):
            await limiter.admit()
        return asyncio.get_running_loop().time()

    assert run(calls()) == pytest.approx(5)


def test_a_pause_longer_than_the_patience_ends_the_run_at_once_for_all_who_wait() -> None:
    async def calls() -> tuple[list[object], float]:
        limiter = RateLimiter(patience=5)
        early = asyncio.create_task(limiter.admit())
        await early
        limiter.learn(used_up_for(1_760_000_000))
        ends = await asyncio.gather(*(limiter.admit() for _ in range(3)), return_exceptions=True)
        return list(ends), asyncio.get_running_loop().time()

    ends, seconds = run(calls())
    assert seconds == 0
    for error in ends:
        assert isinstance(error, QuotaError)
        assert "no request is left (x-ratelimit-reset-requests: 1.76e+09s)" in str(error)
        assert "longer than --judge-patience 5: run again after" in str(error)
        assert "--wait-for-quota" in str(error)


def test_it_ends_no_run_that_has_nothing_more_to_ask() -> None:
    async def calls() -> float:
        limiter = RateLimiter(patience=5)
        limiter.settle(await limiter.admit(), 0)
        limiter.learn(used_up_for(3600))
        return asyncio.get_running_loop().time()

    assert run(calls()) == 0


def test_or_is_waited_out_with_word_of_it() -> None:
    said: list[str] = []

    async def calls() -> float:
        pauses = Pauses(said.append, wall=lambda: 0.0)
        limiter = RateLimiter(patience=5, wait_for_quota=True, pauses=pauses)
        limiter.learn(used_up_for(60))
        await limiter.admit()
        return asyncio.get_running_loop().time()

    assert run(calls()) == pytest.approx(60)
    assert len([line for line in said if "no request is left" in line]) == 4
    assert said[-1] == ""


def test_the_users_own_pace_is_no_pause() -> None:
    async def calls() -> float:
        limiter = RateLimiter(rpm=1, patience=5)
        for _ in range(2):
            limiter.settle(await limiter.admit(), 0)
        return asyncio.get_running_loop().time()

    assert run(calls()) == pytest.approx(60)


def test_a_day_that_is_used_up_stops_the_run() -> None:
    async def calls() -> None:
        limiter = RateLimiter(rpd=3, earlier=[0.0, 50_000.0], wall=lambda: 80_000.0)
        await limiter.admit()
        with pytest.raises(QuotaError, match="3 requests a day are used up; run again after 19"):
            await limiter.admit()

    run(calls())


@pytest.mark.parametrize(("ahead", "waits"), [(3600, 86_400), (10 * 365 * 86_400, 0)])
def test_requests_sent_before_the_clock_was_set_back_are_waited_for_no_longer_than_a_day(
    ahead: float, waits: float
) -> None:
    async def calls() -> float:
        limiter = RateLimiter(rpd=1, earlier=[80_000.0 + ahead], wall=lambda: 80_000.0, wait_for_quota=True)
        await limiter.admit()
        return asyncio.get_running_loop().time()

    assert run(calls()) == pytest.approx(waits)


def test_a_day_is_waited_out_where_that_is_wanted() -> None:
    async def calls() -> float:
        limiter = RateLimiter(rpd=3, earlier=[0.0, 50_000.0], wall=lambda: 80_000.0, wait_for_quota=True)
        for _ in range(2):
            await limiter.admit()
        return asyncio.get_running_loop().time()

    assert run(calls()) == pytest.approx(6_400)


def test_every_attempt_is_metered_and_the_provider_is_listened_to() -> None:
    errors = [TransientError("slow down", retry_after=5, status=429), TransientError("broken", status=500)]

    async def calls() -> tuple[list[float], int]:
        times = []

        async def answer(request: ChatRequest) -> ChatReply:
            times.append(asyncio.get_running_loop().time())
            if errors:
                raise errors.pop(0)
            return GOOD

        gate = ConcurrencyLimiter(10)
        chat = RateLimitedChat(LocalChat(answer), RateLimiter(rpm=2), gate)
        for _ in range(2):
            with pytest.raises(TransientError):
                await chat.send(a_request())
        places = gate.places
        assert await chat.send(a_request()) == GOOD
        return times, places

    times, places = run(calls())
    assert times == pytest.approx([0, 5, 60])
    assert places == 8


def test_a_bound_on_tokens_is_never_too_low() -> None:
    body = {"messages": [{"role": "user", "content": "評価して"}], "max_tokens": 50, "temperature": 0}
    request = ChatRequest("openai", "x", body, a_request().reply_format)
    bound = most_tokens(request)
    assert bound.output == 50
    assert bound.input >= len("評価して".encode())
    assert most_tokens(a_request()).output > 0
