"""A timeout for whole attempts, since a server that sends a byte now and then never hits a read timeout."""

from __future__ import annotations

import asyncio

from tvmerge.errors import TransientError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper


class TimeLimitedChat(ChatWrapper):
    """Limits the time of an attempt.

    Args:
        inner: The wrapped model.
        timeout: Seconds, or None for no limit.
    """

    def __init__(self, inner: ChatModel, timeout: float | None) -> None:
        super().__init__(inner)
        self._timeout = timeout

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply.

        Raises:
            TransientError: It took too long.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._inner.send(request)
        except TimeoutError as error:
            late = TransientError(f"no reply within {self._timeout} s")
            late.unanswered = True
            raise late from error
