"""The user's limits on cost and calls: reserved before a call, settled with what was billed."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque

from tvmerge.errors import BudgetError, ConfigError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper
from tvmerge.judging.client.ledger import Ledger, Prices
from tvmerge.judging.client.tokens import length_limit, most_tokens


class Budget:
    """The budget of a run, shared by all its judges and kept across interruptions.

    A call is made only if the most it can cost is left. A call that does not fit waits while calls in flight
    may turn out cheaper than reserved; if there are none, the run ends. From then on no call is made, not
    even a cheaper one that would fit.

    Args:
        ledger: Records what is spent.
        max_cost: Maximum cost in USD, or None for no limit.
        max_calls: Maximum number of requests, including failed ones, or None for no limit.
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
        """Whether the cost is limited, so that prices must be known."""
        return self._max_cost is not None

    def most(self, request: ChatRequest, prices: Prices | None) -> float:
        """Return the most that a request can cost, in USD; 0 without prices.

        Raises:
            ConfigError: The cost is limited, and nothing limits that of the request.
        """
        if prices is None:
            return 0.0
        if self.limits_cost and prices.output > 0 and length_limit(request.body) is None:
            raise ConfigError(
                "requests to the judge have no limit on the length of a reply (max_tokens), so --max-cost "
                "cannot be enforced: set one under [parameters] in the judge's file, not in its "
                "`omit_parameters`, or limit the calls instead, with --max-judge-calls"
            )
        return prices.cost(most_tokens(request))

    async def admit(self, cost: float) -> None:
        """Reserve a call of at most `cost` USD until `release` is called.

        Raises:
            BudgetError: This call or an earlier one does not fit.
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
        """End a reservation: the call is in the ledger now, or was not made."""
        self._reserved.remove(cost)
        while self._waiting:
            settled = self._waiting.popleft()
            if not settled.done():
                settled.set_result(None)

    def owe(self, key: str, cost: float) -> None:
        """Note that a provider has a request with this key, of at most `cost` USD, not in the ledger yet."""
        self._owed[key].append(cost)

    def settle(self, key: str) -> None:
        """Note that such a request, if there was one, is in the ledger now."""
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
            lost = self._ledger.at_most
            unsure = f", ${lost:.4f} of it at most, for requests without a reply" if lost else ""
            spending = f"${spent:.4f} spent{unsure}, a call may cost ${cost:.4f}"
            larger = "raise --max-cost and run again to resume"
            return f"the budget of ${self._max_cost:g} is used up ({spending}); {larger}"
        return ""


class BudgetedChat(ChatWrapper):
    """Makes only calls that the budget allows; every attempt counts as a call, answered or not.

    Args:
        inner: The wrapped model, which enters its calls into the budget's ledger.
        budget: The budget.
        prices: The model's prices.
    """

    def __init__(self, inner: ChatModel, budget: Budget, prices: Prices | None) -> None:
        super().__init__(inner)
        self._budget = budget
        self._prices = prices

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply.

        Raises:
            BudgetError: The budget does not allow the call.
            ConfigError: The cost is limited, and nothing limits that of the call.
        """
        cost = self._budget.most(request, self._prices)
        await self._budget.admit(cost)
        try:
            return await self._inner.send(request)
        finally:
            self._budget.release(cost)
