"""Creates the limits of judges, shared by those that a provider counts together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tvmerge.judging.client.concurrency import ConcurrencyLimiter
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.rate_limit import DAY, RateLimiter
from tvmerge.judging.client.rate_limit_group import RateLimitGroup
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.providers import PROVIDERS
from tvmerge.judging.spec import JudgeSpec

CONCURRENCY = 1
"""Default of the maximum requests in flight: safe for the smallest account."""

IN_BATCHES = 1_000_000
"""Maximum requests in flight if they are sent in batches: practically unlimited."""


def open_rate_limit_group(
    specs: Sequence[JudgeSpec], policy: RequestPolicy, ledger: Ledger
) -> RateLimitGroup:
    """Return the rate-limit group of judges; the strictest of their files' limits apply.

    Args:
        specs: The judges, one at least.
        policy: The user's settings, which override the files.
        ledger: Knows the requests of the last day.
    """
    rpd = policy.rpd or _least(spec.rpd for spec in specs)
    since = ledger.now() - DAY
    return RateLimitGroup(
        concurrency_limiter=ConcurrencyLimiter(min(_places(spec, policy) for spec in specs)),
        rate_limiter=RateLimiter(
            rpm=policy.rpm or _least(spec.rpm for spec in specs),
            tpm=policy.tpm or _least(spec.tpm for spec in specs),
            rpd=rpd,
            earlier=[at for spec in specs for at in ledger.moments(spec.name, since)] if rpd else (),
            wait_for_quota=policy.wait_for_quota,
            patience=policy.patience,
            pauses=policy.pauses,
        ),
    )


def open_rate_limit_groups(
    specs: Sequence[JudgeSpec], policy: RequestPolicy, ledger: Ledger
) -> Mapping[str, RateLimitGroup]:
    """Return the groups of a panel by the judges' names; a judge that is not on a server has its own."""
    together: dict[tuple[str, ...], list[JudgeSpec]] = defaultdict(list)
    for spec in specs:
        together[(spec.endpoint, spec.api_key_env) if spec.on_server else (spec.name,)].append(spec)
    opened = ((group, open_rate_limit_group(group, policy, ledger)) for group in together.values())
    return {spec.name: rate_limit_group for group, rate_limit_group in opened for spec in group}


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _places(spec: JudgeSpec, policy: RequestPolicy) -> int:
    if policy.batching is not None:
        return IN_BATCHES
    places = policy.concurrency or spec.concurrency or CONCURRENCY
    return max(places, spec.batch_size) if PROVIDERS.load(spec.provider).joins_requests else places
