"""Waits out what passes by itself: rate limits, overload, outages, lost connections."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from tvmerge.errors import QuotaError, TransientError
from tvmerge.judging.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0


class RetryingChat(ChatWrapper):
    """Sends again after a `TransientError`, within bounds of time.

    The wait doubles from half a second to a minute, each drawn between half and all of that; where the
    provider says how long to wait, that is the least.

    Args:
        inner: The model asked.
        patience: Seconds after the first failure in which new attempts are made. Time in line before that
            is no one's fault and does not count.
        sleep: Waits a number of seconds.
        clock: Gives the time in seconds.
        uniform: Draws a number between two; the jitter.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        patience: float = 600.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__(inner)
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._uniform = uniform

    async def send(self, request: ChatRequest) -> ChatReply:
        """The reply of the first attempt that gets one.

        Raises:
            TransientError: The last one, when patience is at its end.
            QuotaError: The provider asks to wait longer than patience would.
        """
        deadline = float("inf")

        def out_of_patience(state: RetryCallState) -> bool:
            nonlocal deadline
            deadline = min(deadline, self._clock() + self._patience)
            return self._clock() + state.upcoming_sleep > deadline

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            wait=self._wait,
            stop=out_of_patience,
            sleep=self._sleep,
            reraise=True,
        )
        reply: ChatReply = await retrying(self._attempt, request)
        return reply

    async def _attempt(self, request: ChatRequest) -> ChatReply:
        try:
            return await self._inner.send(request)
        except TransientError as error:
            # Waiting in vain would fail this judgment and every one after it; stopping loses nothing.
            if error.retry_after is not None and error.retry_after > self._patience:
                raise QuotaError(
                    f"the judge's provider asks to wait {error.retry_after:.0f} s ({error}); run again then"
                ) from error
            raise

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (state.attempt_number - 1))
        backoff = longest * self._uniform(0.5, 1.0)
        asked = error.retry_after if isinstance(error, TransientError) else None
        # A little more than asked for, so that all who were told the same do not return at once.
        return backoff if asked is None else asked + self._uniform(0.0, min(asked, longest) / 4)
