"""Which requests go into batches."""

from __future__ import annotations

from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper


class RoutedChat(ChatWrapper):
    """Asks in batches, or one by one while that is wanted.

    Args:
        batched: Asks in batches.
        live: Asks one by one; the same provider.
        batching: Says what is wanted.
    """

    def __init__(self, batched: ChatModel, live: ChatModel, batching: Batching) -> None:
        super().__init__(batched)
        self._live = live
        self._batching = batching

    async def send(self, request: ChatRequest) -> ChatReply:
        """The reply of one of the two."""
        return await (self._live if self._batching.is_live else self._inner).send(request)
