"""Rate limits: requests and tokens per minute, requests per day, and the pauses a provider asks for."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from tvmerge.errors import QuotaError, TransientError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper
from tvmerge.judging.client.concurrency import ConcurrencyLimiter
from tvmerge.judging.client.pauses import Pauses, clock
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.client.sliding_window import Spending, Window
from tvmerge.judging.client.tokens import most_tokens

MINUTE = 60.0
DAY = 86400.0
_OVERLOAD = frozenset({None, 408, 429, 503, 529})
_TOLD_FROM = 15.0
"""Seconds from which a wait for a window is shown; shorter waits are the normal pace of a limit."""


class _Delay(NamedTuple):
    """How long the first in line has to wait, and why: the provider asks for it, a quota or a rate limit."""

    seconds: float
    why: str
    kind: Literal["pause", "quota", "pace"]


@dataclass(slots=True, eq=False)
class _Waiter:
    tokens: int
    turn: asyncio.Future[Permit]


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission to send one request; settled once its outcome is known.

    Attributes:
        requests: What it uses of the windows that count requests.
        tokens: What it uses of the window that counts tokens, if there is one.
    """

    requests: tuple[tuple[Window, Spending], ...]
    tokens: tuple[Window, Spending] | None


class RateLimiter:
    """Admits requests, first come, first served, so that no limit is ever exceeded.

    The first in line waits until all of its limits allow it, and all others wait behind it, so that small
    requests do not overtake a large one forever. Limits that the user did not set are learnt from response
    headers. Times are those of the running event loop.

    Pauses that the provider asks for are waited out if they are within the patience. A longer one stops the
    run as soon as a request is to be sent.

    Args:
        rpm: Maximum requests per minute, or None to learn it.
        tpm: Maximum tokens per minute, input and output, or None to learn it.
        rpd: Maximum requests in any 24 hours, or None for no limit.
        minute: Length of the window of `rpm` and `tpm` in seconds.
        earlier: When requests of the last day were sent, in seconds since 1970.
        wait_for_quota: Wait when the day's requests are used up or the provider asks to wait longer than the
            patience, instead of stopping the run.
        patience: Maximum seconds of a pause that the provider asks for.
        pauses: Shows the user what the run is waiting for.
        wall: Returns the seconds since 1970.
    """

    def __init__(
        self,
        *,
        rpm: int | None = None,
        tpm: int | None = None,
        rpd: int | None = None,
        minute: float = MINUTE,
        earlier: Iterable[float] = (),
        wait_for_quota: bool = False,
        patience: float = float("inf"),
        pauses: Pauses | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._learns_requests = rpm is None
        self._learns_tokens = tpm is None
        self._minute = minute
        self._requests = None if rpm is None else Window(rpm, minute)
        self._tokens = None if tpm is None else Window(tpm, minute)
        self._day = None if rpd is None else Window(rpd, DAY, 0.0)
        self._earlier = tuple(earlier)
        self._wait_for_quota = wait_for_quota
        self._patience = patience
        self._pauses = pauses or Pauses()
        self._wall = wall
        self._told: dict[str, RateLimits] = {}
        self._paused_until = -float("inf")
        self._paused_since = ""
        self._queue: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def admit(self, tokens: int = 0) -> Permit:
        """Wait for permission to send a request of at most `tokens` tokens.

        Raises:
            QuotaError: The day's requests are used up, or the provider asks to wait longer than the
                patience, and `wait_for_quota` is false.
        """
        self._recall()
        waiter = _Waiter(tokens, asyncio.get_running_loop().create_future())
        self._queue.append(waiter)
        self._advance()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.settle(waiter.turn.result(), 0)
            self._advance()
            raise

    def settle(self, permit: Permit, tokens: int | None) -> None:
        """Note that the request was answered, and the tokens billed, if known."""
        now = asyncio.get_running_loop().time()
        for window, spending in permit.requests:
            window.settle(spending, spending.amount, now)
        if permit.tokens is not None:
            window, spending = permit.tokens
            window.settle(spending, spending.amount if tokens is None else tokens, now)
        self._advance()

    def pause(self, seconds: float, why: str = "") -> None:
        """Send nothing for this many seconds."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self._paused_until:
            self._paused_until, self._paused_since = until, why
        self._advance()

    def learn(self, limits: RateLimits, tokens: int = 0, *, model: str = "") -> None:
        """Apply the limits in a reply's headers, and pause if they say that nothing is left.

        Args:
            limits: The limits.
            tokens: Tokens of a request like the next one.
            model: The model they apply to. The strictest of several models' limits applies to all, since
                providers do not say which models they count together.
        """
        self._pauses.answered()
        # The length of a fixed window is unknown.
        if (limits.requests or limits.tokens) and not limits.at_once:
            self._told[model] = limits
        told = self._told.values()
        requests = [each.requests for each in told if each.requests and _is_a_minute(each)]
        if self._learns_requests and requests:
            self._requests = _resized(self._requests, min(requests), self._minute)
        allowed = [each.tokens for each in told if each.tokens]
        if self._learns_tokens and allowed:
            self._tokens = _resized(self._tokens, min(allowed), self._minute)
        pause = limits.pause(tokens)
        if pause is not None:
            self.pause(pause.seconds, f"the judge's provider says that {pause.why}")
        self._advance()

    def _recall(self) -> None:
        """Count the requests of earlier runs, converted to the event loop's clock."""
        if self._day is not None and self._earlier:
            wall, now = self._wall(), asyncio.get_running_loop().time()
            for moment in sorted(self._earlier):
                # It is in the future if the clock was set back since, and was now at the latest.
                if moment - wall < DAY:
                    self._day.spend(1, now + min(moment - wall, 0.0))
        self._earlier = ()

    def _advance(self) -> None:
        """Admit the requests that the limits allow, and schedule the next check."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        self._pauses.over(self)
        while self._queue:
            waiter = self._queue[0]
            if waiter.turn.done():
                self._queue.popleft()
                continue
            now = loop.time()
            delay = max(self._delays(waiter.tokens, now), key=lambda delay: delay.seconds)
            if delay.seconds > 0 and not self._wait_for_quota and (refusal := self._refusal(delay)):
                self._queue.popleft()
                waiter.turn.set_exception(refusal)
                continue
            if delay.seconds > 0:
                self._wait(delay)
                return
            self._queue.popleft()
            waiter.turn.set_result(self._spend(waiter.tokens, now))

    def _wait(self, delay: _Delay) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay.seconds, self._advance)
        if delay.kind == "pause" or delay.seconds >= _TOLD_FROM:
            self._pauses.wait(self, delay.seconds, delay.why)

    def _delays(self, tokens: int, now: float) -> Iterator[_Delay]:
        """Yield the delays of the first in line."""
        yield _Delay(self._paused_until - now, self._paused_since, "pause")
        for window, amount, of_what in (
            (self._day, 1, "requests a day"),
            (self._requests, 1, "requests a minute"),
            (self._tokens, tokens, "tokens a minute"),
        ):
            if window is not None:
                why = f"the judge's {window.limit:g} {of_what} are used up"
                yield _Delay(window.delay(amount, now), why, "quota" if window is self._day else "pace")

    def _spend(self, tokens: int, now: float) -> Permit:
        counting = [window for window in (self._requests, self._day) if window is not None]
        return Permit(
            requests=tuple((window, window.spend(1, now)) for window in counting),
            tokens=None if self._tokens is None else (self._tokens, self._tokens.spend(tokens, now)),
        )

    def _refusal(self, delay: _Delay) -> QuotaError | None:
        """Return the error that ends the run if the delay is too long, else None."""
        if delay.kind == "quota":
            again = datetime.fromtimestamp(self._wall() + delay.seconds, UTC).astimezone()
            return QuotaError(f"{delay.why}; run again after {again:%Y-%m-%d %H:%M}")
        if delay.kind == "pace" or delay.seconds <= self._patience:
            return None
        return QuotaError(
            f"{delay.why}; that is {delay.seconds:.0f} s, longer than --judge-patience {self._patience:g}: "
            f"run again after {clock(delay.seconds, self._wall())}, or use --wait-for-quota"
        )


class RateLimitedChat(ChatWrapper):
    """Sends every attempt through the limiters, and reports the provider's response to them.

    Args:
        inner: The wrapped model.
        rate_limiter: The rate limiter shared by all judges of the same provider.
        concurrency_limiter: Limits the requests in flight.
    """

    def __init__(
        self, inner: ChatModel, rate_limiter: RateLimiter, concurrency_limiter: ConcurrencyLimiter
    ) -> None:
        super().__init__(inner)
        self._rate_limiter = rate_limiter
        self._concurrency_limiter = concurrency_limiter

    async def send(self, request: ChatRequest) -> ChatReply:
        """Wait until the limits allow it, then return the wrapped model's reply."""
        bound = most_tokens(request)
        most = bound.input + bound.output
        permit = await self._rate_limiter.admit(most)
        spent: int | None = None
        try:
            reply = await self._inner.send(request)
            if reply.usage is not None:
                spent = reply.usage.input + reply.usage.output
        except TransientError as error:
            if error.status in _OVERLOAD:
                self._concurrency_limiter.overloaded()
            if error.retry_after is not None:
                self._rate_limiter.pause(error.retry_after, f"the judge's provider asks to wait ({error})")
            raise
        finally:
            self._rate_limiter.settle(permit, spent)
        self._concurrency_limiter.succeeded()
        model = str(request.body.get("model", ""))
        self._rate_limiter.learn(reply.limits, most if spent is None else spent, model=model)
        return reply


def _is_a_minute(limits: RateLimits) -> bool:
    """Return whether a limit on requests is per minute; some providers report the daily one instead.

    Used requests are renewed evenly, so renewing all of them takes `reset * limit / spent` seconds.
    """
    spent = (limits.requests or 0) - (limits.requests_left if limits.requests_left is not None else 0)
    if limits.requests is None or limits.requests_left is None or not limits.requests_reset or spent <= 0:
        return True
    return limits.requests_reset * limits.requests / spent <= 10 * MINUTE


def _resized(window: Window | None, limit: int, length: float) -> Window:
    if window is None:
        return Window(limit, length)
    window.limit = limit
    return window
