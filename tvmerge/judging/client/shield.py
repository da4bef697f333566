"""Waits for requests in flight even if the task is cancelled, since they will be billed."""

from __future__ import annotations

import asyncio

from tvmerge.judging.client.chat import ChatReply, ChatRequest, ChatWrapper


class ShieldedChat(ChatWrapper):
    """Finishes an attempt that has begun: the first cancellation waits for it, the second ends it.

    A reply that arrives after the first cancellation is returned, so that it can be stored; after storing it,
    call `obey_cancellation`.

    Args:
        inner: The wrapped model.
    """

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply.

        Raises:
            CancelledError: The task was cancelled, and there is no reply to store.
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
    """End the running task if it was cancelled while a request was in flight.

    Raises:
        CancelledError: The task was cancelled.
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
