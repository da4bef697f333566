"""What one judge has used: calls, judgments from the cache, tokens, cost and time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JudgeUsage:
    """What one judge has used.

    Attributes:
        judge: Its name.
        calls: Number of answered calls, including repeated ones.
        batched: How many of them were answered in batches.
        hits: Number of judgments from the cache.
        failures: Number of failed attempts, whether retried or not.
        input_tokens: Number of input tokens.
        output_tokens: Number of output tokens.
        cost: Cost in USD, or None if the price is unknown.
        latency: Median, 90th and 99th percentile of a call's seconds; empty without calls.
    """

    judge: str
    calls: int
    batched: int
    hits: int
    failures: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    latency: tuple[float, ...]

    def as_json(self) -> dict[str, object]:
        """Return the form stored in `result.json`."""
        names = ("p50", "p90", "p99")
        return {
            "judge": self.judge,
            "calls": self.calls,
            "calls_in_batches": self.batched,
            "cache_hits": self.hits,
            "failed_attempts": self.failures,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": None if self.cost is None else round(self.cost, 6),
            "latency_seconds": dict(zip(names, (round(value, 3) for value in self.latency), strict=False)),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all `values` do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
