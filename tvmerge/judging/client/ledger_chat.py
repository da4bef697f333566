"""Enters requests to a judge into the ledger, whether answered or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from tvmerge.errors import TvmergeError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper, Usage
from tvmerge.judging.client.ledger import Ledger, Prices
from tvmerge.judging.client.tokens import most_tokens


class LedgerChat(ChatWrapper):
    """Enters every attempt into a ledger.

    Args:
        inner: The wrapped model.
        ledger: The ledger.
        judge: The judge's name.
        prices: Its prices, or None if unknown.
        left: Whether a cancelled request stays with the provider, to be entered when it is made again.
        arrived: Called with a request, its reply and the line that is entered for it then.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        inner: ChatModel,
        ledger: Ledger,
        judge: str,
        *,
        prices: Prices | None = None,
        left: bool = False,
        arrived: Callable[[ChatRequest, ChatReply, Mapping[str, Any]], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._ledger = ledger
        self._judge = judge
        self._prices = prices
        self._left = left
        self._arrived = arrived
        self._clock = clock

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply.

        Raises:
            UserError: Earlier requests could not be entered, so no more are sent.
        """
        self._ledger.write()
        begun = self._clock()
        try:
            reply = await self._inner.send(request)
        except TvmergeError as error:
            seconds = self._clock() - begun
            if error.paid or (error.unanswered and not self._left):
                self._may_be_billed(request, seconds, receipt=error.receipt)
            else:
                self._ledger.failed(self._judge, seconds, sent=error.sent, receipt=error.receipt)
            raise
        except asyncio.CancelledError:
            if not self._left:
                # Cancelled while in flight: the provider has it.
                self._may_be_billed(request, self._clock() - begun)
            raise
        seconds = self._clock() - begun
        cost = self._cost(request, reply.usage)
        line = self._ledger.line(self._judge, reply.usage, cost, seconds, receipt=reply.receipt)
        self._arrived(request, reply, line)
        self._ledger.record(line)
        return reply

    async def close(self) -> None:
        """Close the wrapped model, then write what could not be written to the ledger before.

        Raises:
            UserError: It still cannot be written.
        """
        try:
            await super().close()
        finally:
            self._ledger.write()

    def _may_be_billed(self, request: ChatRequest, seconds: float, *, receipt: str = "") -> None:
        """Enter an attempt without a usable answer at the most that it can cost."""
        cost, most = self._cost(request, None), most_tokens(request)
        self._ledger.failed(self._judge, seconds, cost=cost, receipt=receipt, at_most=most)

    def _cost(self, request: ChatRequest, usage: Usage | None) -> float | None:
        """Return the cost of a call; without a reported usage, that of the most expensive one."""
        return self._prices.cost(usage or most_tokens(request)) if self._prices else None
