"""Asks again when a reply gives no rating, a bounded number of times."""

from __future__ import annotations

from tvmerge.errors import ProviderError, RequestError
from tvmerge.judging.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper


class UnusableError(ProviderError):
    """No reply was usable, however often it was asked for.

    Attributes:
        reply: The text of the last one.
        refused: Every time it was the provider that refused the text it was given.
    """

    def __init__(self, reason: str, *, reply: str, refused: bool) -> None:
        super().__init__(reason)
        self.reply = reply
        self.refused = refused


class ReaskingChat(ChatWrapper):
    """Returns complete replies of the form asked for, or none.

    Args:
        inner: The model asked.
        reasks: How often it is asked again.
    """

    def __init__(self, inner: ChatModel, *, reasks: int = 3) -> None:
        super().__init__(inner)
        self._reasks = reasks

    async def send(self, request: ChatRequest) -> ChatReply:
        """The first usable reply.

        Raises:
            UnusableError: There was none in all the tries.
        """
        refusals = 0
        text = ""
        reason = ""
        for _ in range(self._reasks + 1):
            try:
                reply = await self._inner.send(request)
            except RequestError as error:
                if not error.about_content:
                    raise
                refusals += 1
                reason = str(error)
                continue
            reason = request.fault_of(reply)
            if not reason:
                return reply
            refusals += reply.finish == "refused"
            text = reply.text or text
        raise UnusableError(reason, reply=text, refused=refusals == self._reasks + 1)
