"""How requests to judges are sent: cache, accounting, limits and retries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvmerge._util.cache import ContentCache
from tvmerge.judging.batch.batching import Batching
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.journal import ReplyJournal
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.rate_limit_group import RateLimitGroup
from tvmerge.judging.client.request_counter import RequestCounter


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How requests to judges are sent; nothing here affects a rating.

    Attributes:
        cache: Stores paid replies, or None to store none.
        ledger: Records calls.
        journal: Has replies from when they arrive until they are in the cache; None for none.
        budget: The limits on cost and calls, or None.
        concurrency: Maximum requests in flight; None for the judge file's value, or 1 if that has none.
        rpm: Maximum requests per minute; None for the judge file's value.
        tpm: Maximum tokens per minute; None for the judge file's value.
        rpd: Maximum requests per day; None for the judge file's value.
        wait_for_quota: Wait when the day's requests are used up or the provider says when its quota is
            renewed, instead of stopping the run.
        patience: Seconds after a call's first failure during which it is retried.
        reasks: How often a request is repeated after a reply without a rating.
        rate_limit_group: Limits shared with other judges; None for separate ones.
        counter: In a dry run, counts the requests instead of sending them.
        note: Shows the user a note.
        pauses: Shows the user what the run is waiting for.
        batching: If given, requests are sent in batches instead of one by one.
    """

    cache: ContentCache | None = None
    ledger: Ledger | None = None
    journal: ReplyJournal | None = None
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
