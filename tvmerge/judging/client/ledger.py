"""Records calls, cache hits, tokens, cost and time by judge, on disk as they occur."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tvmerge._util.files import (
    append_text,
    end_last_line,
    jsonl_line,
    read_growing_jsonl,
    read_jsonl,
    write_fault,
)
from tvmerge.errors import UserError
from tvmerge.judging.client.chat import Usage
from tvmerge.judging.client.judge_usage import JudgeUsage, percentile
from tvmerge.judging.client.ledger_lines import checked_line, ledger_line, new_call


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens.

    Attributes:
        input: Price of input tokens.
        output: Price of output tokens, including thinking.
    """

    input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Return the cost of `usage` in USD."""
        return (usage.input * self.input + usage.output * self.output) / 1e6


@dataclass(slots=True)
class _Totals:
    calls: int = 0
    batched: int = 0
    in_batches: int = 0
    hits: int = 0
    failures: int = 0
    input: int = 0
    output: int = 0
    cost: float = 0.0
    at_most: float = 0.0
    unpriced: int = 0
    to_price: Usage = field(default_factory=Usage)
    seconds: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)


class Ledger:
    """Records the usage of all judges of a run, across its interruptions.

    Args:
        path: A file that gets a line for every request: before the reply is used if it was answered, marked
            `failed` if it failed. None keeps the records in memory only.
        wall: Returns the seconds since 1970.

    Raises:
        AssetError: The file is not a ledger.
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
                self.enter(checked_line(row, path, number))

    def line(
        self, judge: str, usage: Usage | None, cost: float | None, seconds: float, *, receipt: str = ""
    ) -> dict[str, Any]:
        """Return the line of an answered call, which `record` enters.

        Args:
            judge: The judge's name.
            usage: Tokens billed, or None if the provider did not say.
            cost: Cost in USD, or None if the price is unknown.
            seconds: How long it took.
            receipt: Identifies a reply that came in a batch, which is entered only once.
        """
        call = "" if receipt else new_call()
        return ledger_line(judge, self._wall(), usage or Usage(), cost, seconds, receipt=receipt, call=call)

    def hit(self, judge: str) -> None:
        """Enter a judgment that came from the cache."""
        self._totals_of(judge).hits += 1

    def failed(
        self,
        judge: str,
        seconds: float = 0.0,
        *,
        cost: float | None = 0.0,
        sent: bool = True,
        receipt: str = "",
        at_most: Usage | None = None,
    ) -> None:
        """Enter an attempt that failed.

        Args:
            judge: The judge's name.
            seconds: How long it took.
            cost: Cost in USD if it is billed all the same, or None if the price is unknown.
            sent: Whether the provider may have received it. If not, it does not count as a call.
            receipt: Identifies a reply that came in a batch, which is entered only once.
            at_most: The most tokens that it can have taken, if the provider may bill it, at `cost`.
        """
        if sent:
            marks: dict[str, str | bool] = {"at_most": at_most is not None, "receipt": receipt}
            most = at_most or Usage()
            self.record(ledger_line(judge, self._wall(), most, cost, seconds, failed=True, **marks))
        else:
            self._totals_of(judge).failures += 1

    def has(self, receipt: str) -> bool:
        """Return whether the reply with this receipt is entered."""
        return receipt in self._receipts

    @property
    def calls(self) -> int:
        """Number of answered calls of all judges."""
        return sum(total.calls for total in list(self._totals.values()))

    @property
    def requests(self) -> int:
        """Number of requests that all judges sent: answered calls and failed attempts."""
        return sum(len(total.moments) + total.in_batches for total in list(self._totals.values()))

    @property
    def hits(self) -> int:
        """Number of judgments of all judges that came from the cache."""
        return sum(total.hits for total in list(self._totals.values()))

    @property
    def priced(self) -> bool:
        """Whether the price of every call is known."""
        return all(not total.unpriced for total in list(self._totals.values()))

    @property
    def cost(self) -> float:
        """Cost in USD of all judges whose price is known."""
        return sum(total.cost for total in list(self._totals.values()))

    @property
    def at_most(self) -> float:
        """Part of `cost` for requests that failed and may have been billed, at most so much."""
        return sum(total.at_most for total in list(self._totals.values()))

    def price(self, judge: str, prices: Prices) -> None:
        """Count a judge's calls that were entered while it had no price, by their tokens."""
        total = self._totals_of(judge)
        total.cost += prices.cost(total.to_price)
        total.unpriced, total.to_price = 0, Usage()

    def now(self) -> float:
        """Return the seconds since 1970."""
        return self._wall()

    def moments(self, judge: str, since: float) -> Sequence[float]:
        """Return when a judge was sent single requests since `since`, in seconds since 1970."""
        return [moment for moment in self._totals_of(judge).moments if moment >= since]

    def usage(self) -> list[JudgeUsage]:
        """Return the usage of each judge, sorted by name."""
        return [_usage(name, total) for name, total in sorted(self._totals.items())]

    def _totals_of(self, judge: str) -> _Totals:
        return self._totals.setdefault(judge, _Totals())

    def record(self, line: dict[str, Any]) -> None:
        """Enter a line and write it; one with a receipt that was entered before counts no more."""
        if self.has(line.get("receipt", "")):
            return
        self.enter(line)
        if self._path is not None:
            self._unwritten.append(jsonl_line(line))
            # The reply is worth more than its line in the ledger; the next request raises the error.
            with suppress(UserError):
                self.write()

    def record_missing(self, lines: Sequence[dict[str, Any]]) -> None:
        """Enter the lines that a killed run did not get to, known by their `call`.

        Raises:
            UserError: They cannot be written.
        """
        if not lines or self._path is None:
            return
        rows = read_jsonl(self._path) if self._path.exists() else ()
        entered = {row.get("call") for _, row in rows}
        for line in lines:
            if line.get("call") not in entered:
                self.record(line)
        self.write()

    def write(self) -> None:
        """Write the lines that could not be written when they were entered.

        Raises:
            UserError: They still cannot be written.
        """
        if self._path is None or not self._unwritten:
            return
        try:
            append_text(self._path, "".join(self._unwritten))
        except OSError as error:
            raise UserError(
                f"the ledger {self._path} {write_fault(error)}; free disk space, then run again"
            ) from error
        self._unwritten = []

    def enter(self, row: dict[str, Any]) -> None:
        """Count a line of a ledger's file."""
        total = self._totals_of(row["judge"])
        if receipt := row.get("receipt"):
            self._receipts.add(receipt)
            total.in_batches += 1
        else:
            total.moments.append(row["at"])
        total.cost += row["cost"] or 0.0
        total.at_most += (row["cost"] or 0.0) if row.get("at_most") else 0.0
        if row["cost"] is None:
            total.unpriced += 1
            total.to_price += Usage(round(row["input"]), round(row["output"]))
        if row.get("failed"):
            total.failures += 1
            return
        total.calls += 1
        total.batched += bool(receipt)
        total.input += row["input"]
        total.output += row["output"]
        total.seconds.append(row["seconds"])


def read_ledger(path: Path) -> Ledger:
    """Return the records in a file, which need not exist and stays as it is; a run may be writing it.

    Raises:
        AssetError: The file is not a ledger.
    """
    ledger = Ledger()
    for number, row in read_growing_jsonl(path) if path.exists() else ():
        ledger.enter(checked_line(row, path, number))
    return ledger


def read_usage(path: Path) -> dict[str, tuple[int, Usage]]:
    """Return each judge's number of answered calls and their mean tokens; see `read_ledger`."""
    return {
        row.judge: (
            row.calls,
            Usage(round(row.input_tokens / row.calls), round(row.output_tokens / row.calls)),
        )
        for row in read_ledger(path).usage()
        if row.calls
    }


def _usage(name: str, total: _Totals) -> JudgeUsage:
    return JudgeUsage(
        judge=name,
        calls=total.calls,
        batched=total.batched,
        hits=total.hits,
        failures=total.failures,
        input_tokens=total.input,
        output_tokens=total.output,
        cost=None if total.unpriced else total.cost,
        latency=tuple(percentile(total.seconds, share) for share in (0.5, 0.9, 0.99) if total.seconds),
    )
