"""An exact sliding window over what was spent within the last N seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Spending:
    """An amount in a window.

    Attributes:
        amount: The amount.
        begun: When it was granted.
        ends: When it leaves the window.
    """

    amount: float
    begun: float
    ends: float


class Window:
    """A window that never lets more than `limit` reach the provider within any `length` seconds.

    A request reaches the provider between being granted and being settled, but no later than `transit`
    seconds after the grant. It leaves the window `length` seconds after the earlier of the two. The log of
    grants makes this exact; a token bucket would let through twice the limit around its first burst.

    Args:
        limit: Maximum amount.
        length: Length of the window in seconds.
        transit: Maximum seconds a request takes to reach the provider; None for a thirtieth of `length`.
    """

    def __init__(self, limit: float, length: float = 60.0, transit: float | None = None) -> None:
        self.limit = limit
        self._length = length
        self._transit = length / 30 if transit is None else transit
        self._log: deque[Spending] = deque()
        self._spent = 0.0

    def delay(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` fits; an amount above the limit fits into an empty window."""
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
        """Add an amount that fits."""
        spending = Spending(amount, now, now + self._transit + self._length)
        self._log.append(spending)
        self._spent += amount
        return spending

    def settle(self, spending: Spending, amount: float, now: float) -> None:
        """Replace the reserved amount by what was spent; the request has reached the provider by `now`."""
        if spending.ends <= now:
            return
        self._spent += amount - spending.amount
        spending.amount = amount
        spending.ends = min(spending.ends, now + self._length)

    def _forget(self, now: float) -> None:
        # In the order of grants: an entry settled early stays until those before it leave, which is safe.
        while self._log and self._log[0].ends <= now:
            self._spent -= self._log.popleft().amount
