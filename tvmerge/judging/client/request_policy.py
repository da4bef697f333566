"""How a judge is asked: what is kept and counted, and how fast and how patiently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvmerge._util.cache import ContentCache
from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.dry_run import RequestCounter
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.rate_limit_group import RateLimitGroup


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How a judge is asked; none of it decides a rating.

    Attributes:
        cache: Where paid replies are kept, or None to keep none.
        ledger: Where calls are entered.
        budget: The limits on cost and calls, or None.
        concurrency: Most requests in flight; None is as the judge file says, or 1 where that says nothing.
        rpm: Most requests per minute; None is as the judge file says.
        tpm: Most tokens per minute; None is as the judge file says.
        rpd: Most requests per day; None is as the judge file says.
        wait_for_quota: Wait when the day's requests are used up or the provider says when its quota is
            renewed, instead of stopping the run.
        patience: Seconds after a call's first failure in which it is tried again.
        reasks: How often a judge is asked again after a reply without a rating.
        rate_limit_group: Limits and places that are shared with other judges; None is a separate account.
        counter: Counts what would be sent, where nothing is to be sent.
        note: Tells the user something in passing.
        pauses: Tells the user what is waited for.
        batching: Requests are sent in batches; None is one by one.
    """

    cache: ContentCache | None = None
    ledger: Ledger | None = None
    budget: Budget | None = None
    concurrency: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    wait_for_quota: bool = False
    patience: float = 600.0
    reasks: int = 3
    rate_limit_group: RateLimitGroup | None = None
    counter: RequestCounter | None = None
    note: Callable[[str], None] = lambda _: None
    pauses: Pauses | None = None
    batching: Batching | None = None
