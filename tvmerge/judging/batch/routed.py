"""Decides which requests are sent in batches."""

from __future__ import annotations

from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper


class RoutedChat(ChatWrapper):
    """Sends requests in batches, or one by one while `batching` says so.

    Args:
        batched: Sends in batches.
        live: Sends one by one, to the same provider.
        batching: Says which of the two to use.
    """

    def __init__(self, batched: ChatModel, live: ChatModel, batching: Batching) -> None:
        super().__init__(batched)
        self._live = live
        self._batching = batching

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the reply of the one in use."""
        return await (self._live if self._batching.is_live else self._inner).send(request)
