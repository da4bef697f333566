"""The budget of requests that are sent in batches."""

from __future__ import annotations

import asyncio

from tvmerge.judging.batch.chat import BatchChat
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper
from tvmerge.judging.client.ledger import Ledger, Prices


class BudgetedBatches(ChatWrapper):
    """Sends only requests that the budget allows; requests sent by an earlier run were allowed then.

    Args:
        inner: The wrapped model, including the ledger.
        batches: Knows what earlier runs have sent.
        budget: The budget.
        ledger: Knows which of these requests are already entered.
        prices: The price of a request in a batch, or None if unknown.
    """

    def __init__(
        self, inner: ChatModel, batches: BatchChat, budget: Budget, ledger: Ledger, prices: Prices | None
    ) -> None:
        super().__init__(inner)
        self._batches = batches
        self._budget = budget
        self._ledger = ledger
        self._prices = prices
        self._opened = False

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply.

        Raises:
            BudgetError: The budget does not allow the request.
            ConfigError: The cost is limited, and nothing limits that of the request.
        """
        await self._open()
        if self._batches.has(request):
            return await self._collect(request)
        cost = self._budget.most(request, self._prices)
        await self._budget.admit(cost)
        try:
            return await self._inner.send(request)
        except asyncio.CancelledError:
            if self._batches.has(request):
                self._budget.owe(request.key, cost)  # the provider still processes it
            raise
        finally:
            self._budget.release(cost)

    async def _collect(self, request: ChatRequest) -> ChatReply:
        try:
            reply = await self._inner.send(request)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._budget.settle(request.key)
            raise
        self._budget.settle(request.key)
        return reply

    async def _open(self) -> None:
        left = await self._batches.left()
        if not self._opened:
            self._opened = True
            for slot in left:
                if not self._ledger.has(slot.receipt):
                    self._budget.owe(slot.key, slot.cost)
