"""Retries after temporary failures: rate limits, overload, outages, lost connections."""

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
    InvalidRequestError,
    NotJsonError,
    ParameterRefusedError,
)
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.quota import RenewedQuotaError

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0


class RetryingChat(ChatWrapper):
    """Retries a request after a `TransientError`, for a limited time.

    The wait doubles from half a second to a minute, and each wait is drawn between half and all of that. If
    the provider says how long to wait, the wait is at least that long.

    A call that runs out of patience is a sign of an outage, unless since its first failure the provider has
    answered more calls than it failed. In that case this one request makes it fail.

    Args:
        inner: The wrapped model.
        patience: Seconds after the first failure during which to retry. Time in the queue before that does
            not count.
        wait_for_quota: Wait as long as the provider asks for, instead of stopping the run.
        most: Maximum number of attempts, or None for no limit.
        pauses: Shows the user what the run is waiting for.
        sleep: Waits a number of seconds.
        clock: Returns the time in seconds.
        uniform: Draws a number between two others, for the jitter.
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
        """Return the reply of the first successful attempt.

        Raises:
            OutageError: The patience ran out.
            TransientError: The patience ran out, but the provider answers other requests.
            QuotaError: The provider asks to wait longer than the patience, and `wait_for_quota` is false.
            InvalidRequestError: The provider has never replied with JSON, so the address is wrong.
        """
        deadline, answered, failed = float("inf"), 0, 0

        def out_of_patience(state: RetryCallState) -> bool:
            nonlocal deadline, answered, failed
            if (_asked(state) or 0.0) > self._patience or isinstance(_error(state), RenewedQuotaError):
                deadline = float("inf")  # the provider asked for this wait; the patience starts over after it
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
            raise ParameterRefusedError("requests have changed since")
        try:
            reply = await self._inner.send(request)
        except TransientError as error:
            self._failed += 1
            if isinstance(error, NotJsonError) and not self._answered:
                raise InvalidRequestError(
                    f"the judge's server sends {error}", said=str(error), certain=True
                ) from error
            # Waiting longer would fail this judgment and all later ones; stopping loses nothing.
            wait = error.retry_after
            if wait is not None and wait > self._patience and not self._wait_for_quota:
                raise QuotaError(
                    f"the judge's provider asks to wait {wait:.0f} s ({error}); run again then"
                ) from error
            raise
        self._answered += 1
        return reply

    def _tell(self, state: RetryCallState) -> None:
        why = f"the judge's provider is failing; retrying then ({_error(state)})"
        self._pauses.wait(state, state.upcoming_sleep, why)

    def _wait(self, state: RetryCallState) -> float:
        return backoff(state.attempt_number, _asked(state), self._uniform)


def backoff(
    attempt: int, asked: float | None, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Return the seconds to wait after this many attempts.

    Args:
        attempt: How many attempts have failed, from 1.
        asked: Seconds that the provider asked to wait, or None.
        uniform: Draws a number between two others, for the jitter.
    """
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1))
    wait = longest * uniform(0.5, 1.0)
    if asked is None:
        return wait
    # A little longer than asked for, so that clients asked for the same wait do not return together. If a
    # provider keeps asking for no wait at all, the backoff still grows.
    return max(wait, asked + uniform(0.0, min(asked, longest) / 4))


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _asked(state: RetryCallState) -> float | None:
    """Return the seconds that the provider asked to wait."""
    error = _error(state)
    return error.retry_after if isinstance(error, TransientError | RenewedQuotaError) else None
