"""What is on the wire will be billed, so it is waited for, even by a task that is cancelled."""

from __future__ import annotations

import asyncio

from tvmerge.judging.client.chat import ChatReply, ChatRequest, ChatWrapper


class ShieldedChat(ChatWrapper):
    """Lets an attempt that has begun arrive: the first cancellation waits for it, the second ends it.

    A reply that arrives after the first is returned, so that it can be stored; whoever has stored it calls
    `obey_cancellation`.

    Args:
        inner: The model asked.
    """

    async def send(self, request: ChatRequest) -> ChatReply:
        """The wrapped model's reply.

        Raises:
            CancelledError: The task was cancelled, and there is no reply to keep.
        """
        attempt = asyncio.create_task(self._inner.send(request))
        try:
            await asyncio.wait([attempt])
        except asyncio.CancelledError:
            await _arrival(attempt)
            if attempt.cancelled() or attempt.exception() is not None:
                raise
        return attempt.result()


def obey_cancellation() -> None:
    """End the running task if it was cancelled while it waited for the wire.

    Raises:
        CancelledError: It was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _arrival(attempt: asyncio.Task[ChatReply]) -> None:
    try:
        await asyncio.wait([attempt])
    except asyncio.CancelledError:
        attempt.cancel()
        await asyncio.wait([attempt])
        raise
