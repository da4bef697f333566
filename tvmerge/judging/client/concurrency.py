"""Limits the requests in flight to what the provider accepts, and never above the user's limit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from tvmerge.errors import OutageError, QuotaError, UserError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper, InvalidRequestError
from tvmerge.judging.client.shield import obey_cancellation


class ConcurrencyLimiter:
    """A semaphore with a varying number of places, first come, first served.

    Additive increase, multiplicative decrease, as in TCP: a full round of successes adds one place, a sign
    of overload removes a fifth of the places, at most once per cool-down so that one burst of refusals counts
    once.

    Args:
        most: The maximum and initial number of places.
        cooldown: Seconds between two decreases.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, most: int, *, cooldown: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._cooldown = cooldown
        self._clock = clock
        self._places = float(most)
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._decreased = -float("inf")
        self._closed_by: Exception | None = None

    @property
    def places(self) -> int:
        """The current number of places."""
        return int(self._places)

    @property
    def closed_by(self) -> Exception | None:
        """The error that everyone who asks for a place gets; None while it is open."""
        return self._closed_by

    def succeeded(self) -> None:
        """Note a success."""
        self._places = min(self._most, self._places + 1 / self._places)
        self._let_in()

    def overloaded(self) -> None:
        """Note a sign of overload."""
        if self._clock() - self._decreased >= self._cooldown:
            self._decreased = self._clock()
            self._places = max(1.0, self._places * 0.8)

    def close(self, error: Exception) -> None:
        """Raise `error` for everyone who waits for a place now or later."""
        self._closed_by = error
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error)

    async def __aenter__(self) -> None:
        if self._closed_by is not None:
            raise self._closed_by
        if self._held < self.places and not self._waiting:
            self._held += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled() or turn.exception() is not None:
                self._let_in()
            else:
                self._leave()
            raise

    async def __aexit__(self, *exception: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._held -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._held < self.places:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._held += 1
                turn.set_result(None)


class ConcurrencyLimitedChat(ChatWrapper):
    """Limits how many requests are in flight.

    Args:
        inner: The wrapped model.
        limiter: The gate, shared by all who ask the same provider.
    """

    def __init__(self, inner: ChatModel, limiter: ConcurrencyLimiter) -> None:
        super().__init__(inner)
        self._limiter = limiter
        self._answered = False

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply.

        Raises:
            UserError, QuotaError, OutageError: Continuing is pointless; all waiting and later requests get
                the same error without being sent.
            InvalidRequestError: The same, if it certainly concerns all requests; else the caller decides.
        """
        async with self._limiter:
            try:
                reply = await self._inner.send(request)
            except (UserError, QuotaError, OutageError) as error:
                self._limiter.close(error)
                raise
            except InvalidRequestError as error:
                # A refused reminder or higher limit says nothing about requests that open a conversation.
                opens = request.after is None and request.narrow is None
                if opens and error.certain and not self._answered:
                    self._limiter.close(error)
                raise
            self._answered = True
            obey_cancellation()
            return reply
