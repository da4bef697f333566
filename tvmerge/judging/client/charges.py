"""What the judgments of an evaluation cost, whether their replies are paid for now or were before.

The ledger says what a run has paid. That is less if replies come from the cache, and it is not known by
evaluation. So replies are also entered where they are used, at what they cost when they were sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper
from tvmerge.judging.client.ledger import Prices
from tvmerge.judging.client.tokens import most_tokens


@dataclass(slots=True)
class Charges:
    """The charges of an evaluation.

    Attributes:
        usd: Cost in USD of the replies used so far.
    """

    usd: float = 0.0


_CURRENT: ContextVar[Charges | None] = ContextVar("charges", default=None)


@contextmanager
def charged() -> Iterator[Charges]:
    """Sum up what the replies cost that are used within, also by tasks that are started within."""
    charges = Charges()
    token = _CURRENT.set(charges)
    try:
        yield charges
    finally:
        _CURRENT.reset(token)


class ChargedChat(ChatWrapper):
    """Enters the cost of every reply that is used into the charges of the evaluation that uses it.

    A reply counts with the one that it corrects. Replies that were of no use are left out: they are not
    stored, and a search must not depend on what is.

    Args:
        inner: The wrapped model.
        prices: Its prices.
    """

    def __init__(self, inner: ChatModel, prices: Prices) -> None:
        super().__init__(inner)
        self._prices = prices

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply."""
        reply = await self._inner.send(request)
        if (charges := _CURRENT.get()) is not None:
            charges.usd += self._prices.cost(reply.usage or most_tokens(request))
        return reply
