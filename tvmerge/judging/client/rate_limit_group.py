"""What all judges share that one provider counts together: the same server and the same key."""

from __future__ import annotations

from dataclasses import dataclass

from tvmerge.judging.client.concurrency import ConcurrencyLimiter
from tvmerge.judging.client.rate_limit import RateLimiter


@dataclass(frozen=True, slots=True)
class RateLimitGroup:
    """How much may be sent to a provider, whichever judge asks.

    Attributes:
        concurrency_limiter: Bounds the requests in flight.
        rate_limiter: Bounds requests and tokens over time.
    """

    concurrency_limiter: ConcurrencyLimiter
    rate_limiter: RateLimiter
