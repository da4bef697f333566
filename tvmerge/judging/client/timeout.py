"""A timeout for whole attempts: a server that sends a byte now and then never exceeds a read timeout."""

from __future__ import annotations

import asyncio

from tvmerge.errors import TransientError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper


class TimeLimitedChat(ChatWrapper):
    """Gives an attempt up after a time.

    Args:
        inner: The model asked.
        timeout: Seconds, or None for no limit.
    """

    def __init__(self, inner: ChatModel, timeout: float | None) -> None:
        super().__init__(inner)
        self._timeout = timeout

    async def send(self, request: ChatRequest) -> ChatReply:
        """The wrapped model's reply.

        Raises:
            TransientError: It took too long.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._inner.send(request)
        except TimeoutError as error:
            raise TransientError(f"no reply within {self._timeout} s") from error
