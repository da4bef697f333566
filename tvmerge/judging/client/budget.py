"""The user's own limits on cost and calls: reserved before a call, settled on what it was billed for."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque

from tvmerge.errors import BudgetError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper
from tvmerge.judging.client.ledger import Ledger, Prices
from tvmerge.judging.client.tokens import most_tokens


class Budget:
    """A run's money and calls, shared by all its judges, over all its interruptions.

    A call is made only when the most it can cost is still there. One that does not fit waits while calls
    in flight may yet turn out cheaper than reserved, and ends the run when there are none: from then on no
    call is made, not even a cheaper one that would fit.

    Args:
        ledger: What was spent so far, and what will be.
        max_cost: USD, or None for no such limit.
        max_calls: Requests sent, or None for no such limit; one that fails counts, too.
    """

    def __init__(
        self, ledger: Ledger, *, max_cost: float | None = None, max_calls: int | None = None
    ) -> None:
        self._ledger = ledger
        self._max_cost = max_cost
        self._max_calls = max_calls
        self._reserved: list[float] = []
        self._owed: defaultdict[str, list[float]] = defaultdict(list)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._over = ""

    @property
    def limits_cost(self) -> bool:
        """Prices must be known."""
        return self._max_cost is not None

    async def admit(self, cost: float) -> None:
        """Reserve a call of at most `cost` USD; `release` gives the reservation back.

        Raises:
            BudgetError: It does not fit, or an earlier one did not.
        """
        while reason := self._over or self._excess(cost):
            if not self._reserved:
                self._over = reason
            if self._over:
                raise BudgetError(reason)
            settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        self._reserved.append(cost)

    def release(self, cost: float) -> None:
        """Give a reservation back: the call is in the ledger by now, or it was not made."""
        self._reserved.remove(cost)
        while self._waiting:
            settled = self._waiting.popleft()
            if not settled.done():
                settled.set_result(None)

    def owe(self, key: str, cost: float) -> None:
        """Note that a request of this key, of at most `cost` USD, is with a provider and in no ledger yet."""
        self._owed[key].append(cost)

    def settle(self, key: str) -> None:
        """Note that such a request is in the ledger by now, if there was one."""
        if self._owed[key]:
            self._owed[key].pop()

    def _excess(self, cost: float) -> str:
        spent = self._ledger.cost
        calls = self._ledger.requests
        owed = [cost for costs in self._owed.values() for cost in costs]
        if self._max_calls is not None and calls + len(self._reserved) + len(owed) >= self._max_calls:
            larger = "raise --max-judge-calls and run again to resume"
            return f"the budget of {self._max_calls} judge calls is used up ({calls} made); {larger}"
        if self._max_cost is not None and spent + sum(self._reserved) + sum(owed) + cost > self._max_cost:
            spending = f"${spent:.4f} spent, a call may cost ${cost:.4f}"
            larger = "raise --max-cost and run again to resume"
            return f"the budget of ${self._max_cost:g} is used up ({spending}); {larger}"
        return ""


class BudgetedChat(ChatWrapper):
    """Makes only calls that the budget allows; every attempt is one, answered or not.

    Args:
        inner: The model asked; it enters its calls into the budget's ledger.
        budget: The budget.
        prices: What the model costs.
    """

    def __init__(self, inner: ChatModel, budget: Budget, prices: Prices | None) -> None:
        super().__init__(inner)
        self._budget = budget
        self._prices = prices

    async def send(self, request: ChatRequest) -> ChatReply:
        """The wrapped model's reply.

        Raises:
            BudgetError: The budget does not allow the call.
        """
        cost = self._prices.cost(most_tokens(request)) if self._prices else 0.0
        await self._budget.admit(cost)
        try:
            return await self._inner.send(request)
        finally:
            self._budget.release(cost)
