"""Waits out what passes by itself: rate limits, overload, outages, lost connections."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from tvmerge.errors import OutageError, QuotaError, TransientError
from tvmerge.judging.client.chat import (
    ChatModel,
    ChatReply,
    ChatRequest,
    ChatWrapper,
    FormError,
    MisplacedError,
    OutdatedError,
)
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.quota import RenewedQuotaError

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0


class RetryingChat(ChatWrapper):
    """Sends again after a `TransientError`, within bounds of time.

    The wait doubles from half a second to a minute, each drawn between half and all of that; where the
    provider says how long to wait, that is the least.

    A call that is out of patience is the sign of an outage, unless the provider has answered more often than
    it failed since that call's first failure: then something about this one request makes it fail.

    Args:
        inner: The model asked.
        patience: Seconds after the first failure in which new attempts are made. Time in line before that
            is no one's fault and does not count.
        wait_for_quota: Wait however long the provider asks for, instead of stopping the run.
        most: Attempts at most, or None for no such limit.
        pauses: Tells the user what is waited for.
        sleep: Waits a number of seconds.
        clock: Gives the time in seconds.
        uniform: Draws a number between two; the jitter.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        patience: float = 600.0,
        wait_for_quota: bool = False,
        most: int | None = None,
        pauses: Pauses | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__(inner)
        self._patience = patience
        self._wait_for_quota = wait_for_quota
        self._most = most
        self._pauses = pauses or Pauses()
        self._sleep = sleep
        self._clock = clock
        self._uniform = uniform
        self._answered = 0
        self._failed = 0

    async def send(self, request: ChatRequest) -> ChatReply:
        """The reply of the first attempt that gets one.

        Raises:
            OutageError: Patience is at its end.
            TransientError: So it is, but the provider answers others.
            QuotaError: The provider asks to wait longer than patience would, and the run is not to wait.
            FormError: No JSON comes, and none has come before: the address is wrong.
        """
        deadline, answered, failed = float("inf"), 0, 0

        def out_of_patience(state: RetryCallState) -> bool:
            nonlocal deadline, answered, failed
            if (_asked(state) or 0.0) > self._patience or isinstance(_error(state), RenewedQuotaError):
                deadline = float("inf")  # it was told to wait, and patience starts over after that
                return False
            if deadline == float("inf"):
                deadline, answered, failed = self._clock() + self._patience, self._answered, self._failed
            tired = self._most is not None and state.attempt_number >= self._most
            return tired or self._clock() + state.upcoming_sleep > deadline

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(
                (TransientError, RenewedQuotaError) if self._wait_for_quota else TransientError
            ),
            wait=self._wait,
            stop=out_of_patience,
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            reply: ChatReply = await retrying(self._attempt, request)
        except TransientError as error:
            if self._answered - answered > self._failed - failed:
                raise
            how_long = f"{self._patience:g} s" if self._most is None else f"{self._most} batches"
            raise OutageError(
                f"the judge's provider has failed for {how_long} ({error}); everything paid for is kept: run "
                "again when it answers"
            ) from error
        return reply

    async def _attempt(self, request: ChatRequest) -> ChatReply:
        if request.outdated():
            raise OutdatedError("requests have changed since")
        try:
            reply = await self._inner.send(request)
        except TransientError as error:
            self._failed += 1
            if isinstance(error, MisplacedError) and not self._answered:
                raise FormError(f"the judge's server sends {error}", said=str(error), certain=True) from error
            # Waiting in vain would fail this judgment and every one after it; stopping loses nothing.
            wait = error.retry_after
            if wait is not None and wait > self._patience and not self._wait_for_quota:
                raise QuotaError(
                    f"the judge's provider asks to wait {wait:.0f} s ({error}); run again then"
                ) from error
            raise
        self._answered += 1
        return reply

    def _tell(self, state: RetryCallState) -> None:
        why = f"the judge's provider is failing; it is asked again then ({_error(state)})"
        self._pauses.wait(state, state.upcoming_sleep, why)

    def _wait(self, state: RetryCallState) -> float:
        return backoff(state.attempt_number, _asked(state), self._uniform)


def backoff(
    attempt: int, asked: float | None, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Seconds to wait after this many attempts.

    Args:
        attempt: How many failed, from 1.
        asked: Seconds that the provider asked to wait, or None.
        uniform: Draws a number between two; the jitter.
    """
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1))
    wait = longest * uniform(0.5, 1.0)
    if asked is None:
        return wait
    # A little more than asked for, so that all who were told the same do not return at once. Who is told to
    # come back at once, again and again, does so more slowly each time.
    return max(wait, asked + uniform(0.0, min(asked, longest) / 4))


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _asked(state: RetryCallState) -> float | None:
    """Seconds the provider asked to wait."""
    error = _error(state)
    return error.retry_after if isinstance(error, TransientError | RenewedQuotaError) else None
