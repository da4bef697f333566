"""Describes what each judge has used, in a line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def usage_lines(usage: Sequence[Mapping[str, Any]], agreement: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield a line for each judge, and one each on the agreement of a panel and of repeated ratings.

    Args:
        usage: The rows of `RunRecord.usage`.
        agreement: `RunRecord.agreement`.
    """
    for row in usage:
        parts = [f"{row['calls']:,} calls"]
        if row["calls_in_batches"]:
            parts.append(f"{row['calls_in_batches']:,} of them in batches")
        parts.append(f"{row['cache_hits']:,} from the cache")
        parts.append(f"{row['input_tokens']:,} tokens in, {row['output_tokens']:,} out")
        if row["failed_attempts"]:
            parts.append(f"{row['failed_attempts']:,} failed attempts")
        parts.append("price not known" if row["cost_usd"] is None else f"{row['cost_usd']:.4f} USD")
        if row["latency_seconds"]:
            seconds = row["latency_seconds"]
            parts.append(f"{seconds['p50']:.2f} s per call (90%: {seconds['p90']:.2f} s)")
        yield f"judge {row['judge']}: {', '.join(parts)}"
    if agreement is not None and agreement["units"]:
        alpha = "not defined" if agreement["alpha"] is None else f"{agreement['alpha']:.2f}"
        yield (
            f"panel: two judges differ by {agreement['mean_difference']:.2f} points per turn on average, "
            f"Krippendorff's alpha {alpha}"
        )
    if agreement is not None and agreement["noise"] is not None:
        yield f"repeated ratings of a turn have a standard deviation of {agreement['noise']:.2f} points"
