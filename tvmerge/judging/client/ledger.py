"""What judging took: calls, hits, tokens, money and time, by judge; on the disk as it happens."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tvmerge._util.files import append_text, end_last_line, jsonl_line, read_jsonl
from tvmerge.errors import AssetError, UserError
from tvmerge.judging.client.chat import Usage

_KEYS = frozenset({"judge", "at", "input", "output", "cost", "seconds"})


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens.

    Attributes:
        input: Of what is sent.
        output: Of what is replied, thinking included.
    """

    input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """USD for `usage`."""
        return (usage.input * self.input + usage.output * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class JudgeUsage:
    """What one judge took.

    Attributes:
        judge: Its name.
        calls: Calls that were answered, re-asks included.
        batched: How many of them came in batches.
        hits: Judgments that the cache answered.
        failures: Attempts that failed and were tried again or given up.
        input_tokens: Tokens sent.
        output_tokens: Tokens replied.
        cost: USD, or None where the price is not known.
        latency: Seconds a call took: the median, the 90th and the 99th percentile; empty without calls.
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
        """As it stands in `result.json`."""
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


@dataclass(slots=True)
class _Totals:
    calls: int = 0
    batched: int = 0
    hits: int = 0
    failures: int = 0
    input: int = 0
    output: int = 0
    cost: float = 0.0
    priced: bool = True
    seconds: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)


class Ledger:
    """Keeps the accounts of all judges of a run, over all its interruptions.

    Args:
        path: A file that gets a line for every request that was sent, for an answered call before its reply
            is used, for one that failed with `failed`. None keeps the accounts in memory only.
        wall: Gives the seconds since 1970.

    Raises:
        AssetError: The file holds something else.
    """

    def __init__(self, path: Path | None = None, *, wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._wall = wall
        self._totals: dict[str, _Totals] = {}
        self._receipts: set[str] = set()
        self._unwritten: list[str] = []
        if path is not None and path.exists():
            end_last_line(path)
            for number, row in read_jsonl(path):
                if not row.keys() >= _KEYS:
                    raise AssetError(f"{path}:{number}: not a line of a ledger; move the file away")
                self._enter(row)

    def called(
        self, judge: str, usage: Usage | None, cost: float | None, seconds: float, *, receipt: str = ""
    ) -> None:
        """Enter an answered call.

        Args:
            judge: The judge's name.
            usage: Tokens billed, or None where the provider did not say.
            cost: USD, or None where the price is not known.
            seconds: How long it took.
            receipt: What it is known by, where it came in a batch: it is entered once.
        """
        self._note(judge, usage or Usage(), cost, seconds, receipt=receipt)

    def hit(self, judge: str) -> None:
        """Enter a judgment that the cache answered."""
        self._totals_of(judge).hits += 1

    def failed(self, judge: str, seconds: float = 0.0, *, sent: bool = True, receipt: str = "") -> None:
        """Enter an attempt that failed.

        Args:
            judge: The judge's name.
            seconds: How long it took.
            sent: The provider may have had it, and counts it; else it takes nothing from the budget of calls.
            receipt: What it is known by, where it came in a batch: it is entered once.
        """
        if sent:
            self._note(judge, Usage(), 0.0, seconds, failed=True, receipt=receipt)
        else:
            self._totals_of(judge).failures += 1

    def has(self, receipt: str) -> bool:
        """Whether what came in a batch is entered."""
        return receipt in self._receipts

    @property
    def calls(self) -> int:
        """Answered calls of all judges."""
        return sum(total.calls for total in self._totals.values())

    @property
    def requests(self) -> int:
        """Requests that all judges sent: answered calls and failed attempts."""
        return sum(len(total.moments) for total in self._totals.values())

    @property
    def cost(self) -> float:
        """USD spent on all judges whose price is known."""
        return sum(total.cost for total in self._totals.values())

    def now(self) -> float:
        """Seconds since 1970."""
        return self._wall()

    def moments(self, judge: str, since: float) -> Sequence[float]:
        """When a judge was sent a request, in seconds since 1970, from `since` on."""
        return [moment for moment in self._totals_of(judge).moments if moment >= since]

    def usage(self) -> list[JudgeUsage]:
        """The accounts, in order of the judges' names."""
        return [_usage(name, total) for name, total in sorted(self._totals.items())]

    def _totals_of(self, judge: str) -> _Totals:
        return self._totals.setdefault(judge, _Totals())

    def _note(
        self,
        judge: str,
        usage: Usage,
        cost: float | None,
        seconds: float,
        *,
        failed: bool = False,
        receipt: str = "",
    ) -> None:
        if self.has(receipt):
            return
        row: dict[str, Any] = {
            "judge": judge,
            "at": round(self._wall(), 3),
            "input": usage.input,
            "output": usage.output,
            "cost": cost,
            "seconds": round(seconds, 3),
        }
        if failed:
            row["failed"] = True
        if receipt:
            row["receipt"] = receipt
        self._enter(row)
        if self._path is not None:
            self._unwritten.append(jsonl_line(row))
            # What was replied is worth more than its line: who asks next is told.
            with suppress(UserError):
                self.write()

    def write(self) -> None:
        """Write the lines that could not be written when they were entered.

        Raises:
            UserError: They still cannot be.
        """
        if self._path is None or not self._unwritten:
            return
        end = self._path.stat().st_size if self._path.exists() else 0
        try:
            append_text(self._path, "".join(self._unwritten))
        except OSError as error:
            with suppress(OSError):
                os.truncate(self._path, end)  # half a line would spoil the next one
            raise UserError(
                f"the ledger {self._path} cannot be written: {error.strerror}; free disk space, then "
                "run again"
            ) from error
        self._unwritten = []

    def _enter(self, row: dict[str, Any]) -> None:
        total = self._totals_of(row["judge"])
        total.moments.append(row["at"])
        receipt = row.get("receipt")
        self._receipts |= {receipt} if receipt else set()
        if row.get("failed"):
            total.failures += 1
            return
        total.calls += 1
        total.batched += bool(receipt)
        total.input += row["input"]
        total.output += row["output"]
        total.cost += row["cost"] or 0.0
        total.priced = total.priced and row["cost"] is not None
        total.seconds.append(row["seconds"])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all `values` do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _usage(name: str, total: _Totals) -> JudgeUsage:
    return JudgeUsage(
        judge=name,
        calls=total.calls,
        batched=total.batched,
        hits=total.hits,
        failures=total.failures,
        input_tokens=total.input,
        output_tokens=total.output,
        cost=total.cost if total.priced else None,
        latency=tuple(percentile(total.seconds, share) for share in (0.5, 0.9, 0.99) if total.seconds),
    )
