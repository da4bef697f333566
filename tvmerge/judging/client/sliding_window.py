"""A sliding window: what was spent within the last N seconds, exactly."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Spending:
    """An amount in a window.

    Attributes:
        amount: How much.
        begun: When it was granted.
        ends: When it leaves the window.
    """

    amount: float
    begun: float
    ends: float


class Window:
    """No span of `length` seconds ever holds more than `limit`, counted where the provider counts.

    A request reaches the provider some time after it was granted and before it is settled, so it stays in
    the window until `length` seconds after it was settled, or after `transit` seconds, by when it must have
    arrived. A log of grants is exact; a token bucket would let twice the limit through in the span around
    its first burst.

    Args:
        limit: The most that may be spent.
        length: Seconds.
        transit: The longest a request is thought to take to the provider; a thirtieth of `length` if None.
    """

    def __init__(self, limit: float, length: float = 60.0, transit: float | None = None) -> None:
        self.limit = limit
        self._length = length
        self._transit = length / 30 if transit is None else transit
        self._log: deque[Spending] = deque()
        self._spent = 0.0

    def delay(self, amount: float, now: float) -> float:
        """Seconds from `now` until `amount` fits; what exceeds the limit alone fits into an empty window."""
        self._forget(now)
        excess = self._spent + min(amount, self.limit) - self.limit
        if excess <= 0:
            return 0.0
        for spending in self._log:
            excess -= spending.amount
            if excess <= 0:
                return spending.ends - now
        return self._length

    def spend(self, amount: float, now: float) -> Spending:
        """Enter an amount that fits."""
        spending = Spending(amount, now, now + self._transit + self._length)
        self._log.append(spending)
        self._spent += amount
        return spending

    def settle(self, spending: Spending, amount: float, now: float) -> None:
        """Put what was really spent in the place of what was reserved; it is with the provider by `now`."""
        if spending.ends <= now:
            return
        self._spent += amount - spending.amount
        spending.amount = amount
        spending.ends = min(spending.ends, now + self._length)

    def _forget(self, now: float) -> None:
        # In the order of grants: one that was settled early waits for those before it, which is safe.
        while self._log and self._log[0].ends <= now:
            self._spent -= self._log.popleft().amount
