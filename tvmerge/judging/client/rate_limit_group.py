"""The limits shared by judges that a provider counts together: same server, same key."""

from __future__ import annotations

from dataclasses import dataclass

from tvmerge.judging.client.concurrency import ConcurrencyLimiter
from tvmerge.judging.client.rate_limit import RateLimiter


@dataclass(frozen=True, slots=True)
class RateLimitGroup:
    """Limits on requests to a provider, shared by several judges.

    Attributes:
        concurrency_limiter: Limits the requests in flight.
        rate_limiter: Limits requests and tokens over time.
    """

    concurrency_limiter: ConcurrencyLimiter
    rate_limiter: RateLimiter
