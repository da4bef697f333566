"""The place of a request in a batch, and what earlier runs left of batches."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field

from tvmerge.judging.batch.api import Result


@dataclass(slots=True, eq=False)
class Slot:
    """A request's place in a batch.

    Attributes:
        key: The request's key.
        cost: The most it can cost in USD.
        line: The request as it is sent; empty if an earlier run sent it.
        result: A future of its result.
        number: Its row in the store; 0 if it has none yet.
        receipt: Identifies its result in the ledger; empty while it has no row.
    """

    key: str
    cost: float
    line: str = ""
    result: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    number: int = 0
    receipt: str = ""

    @property
    def size(self) -> int:
        """Size of the line in bytes."""
        return len(self.line.encode()) + 1


@dataclass(slots=True, eq=False)
class Leftovers:
    """Requests that earlier runs sent, shared by the judges of a run that ask the same model.

    Attributes:
        opening: Held while they are looked up.
        resumed: Whether that is done, which one judge does for all.
        slots: Their slots by the requests' keys, without those that were asked for again.
    """

    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    resumed: bool = False
    slots: dict[str, deque[Slot]] = field(default_factory=lambda: defaultdict(deque))
