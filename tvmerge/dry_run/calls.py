"""The planned calls of judges: how many are likely, how many are possible, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import groupby
from operator import add
from typing import TYPE_CHECKING

from tvmerge.report.terminal.cells import cell

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Spending:
    """A number of calls, their tokens and their cost; added by field.

    Attributes:
        calls: Number of calls, without repeated calls after a reply without a rating.
        input_tokens: Number of input tokens.
        output_tokens: Number of output tokens.
        cost: Cost in USD; None if a price is unknown.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0

    def __add__(self, other: Spending) -> Spending:
        unknown = self.cost is None or other.cost is None
        return Spending(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if unknown else (self.cost or 0.0) + (other.cost or 0.0),
        )


@dataclass(frozen=True, slots=True)
class PlannedCalls:
    """The requests to one judge in one stage of a run.

    Attributes:
        judge: The judge's name.
        stage: The stage.
        most: Upper bound.
        likely: What is likely.
        dearest: The most that one of the calls costs, in USD; None if the price is unknown.
    """

    judge: str
    stage: str
    most: Spending = field(default_factory=Spending)
    likely: Spending = field(default_factory=Spending)
    dearest: float | None = 0.0


def most_of(calls: Iterable[PlannedCalls]) -> Spending:
    """Return the upper bound of all calls."""
    return reduce(add, (row.most for row in calls), Spending())


def likely_of(calls: Iterable[PlannedCalls]) -> Spending:
    """Return what all calls are likely to be."""
    return reduce(add, (row.likely for row in calls), Spending())


def calls_table(calls: Sequence[PlannedCalls]) -> Table:
    """Return a table of the calls of each judge in each stage, and their sum."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title="judge calls")
    table.add_column("judge")
    table.add_column("stage")
    for name in ("calls\nlikely", "calls\nat most", "USD\nlikely", "USD\nat most"):
        table.add_column(name, justify="right")
    for _, rows in groupby(calls, key=lambda row: row.judge):
        for row in rows:
            table.add_row(cell(row.judge), row.stage, *_cells(row.likely, row.most))
    if len(calls) > 1:
        table.add_section()
        table.add_row("all", "", *_cells(likely_of(calls), most_of(calls)))
    return table


def cost_lines(
    calls: Sequence[PlannedCalls], jpy_per_usd: float, max_cost: float | None = None
) -> Iterator[str]:
    """Yield the tokens and the cost of all calls in a line each.

    Args:
        calls: All calls.
        jpy_per_usd: Yen per US dollar.
        max_cost: The limit in USD; None if there is none.
    """
    low, high = likely_of(calls), most_of(calls)
    yield (
        f"tokens: likely {low.input_tokens:,} in and {low.output_tokens:,} out, "
        f"at most {high.input_tokens:,} in and {high.output_tokens:,} out"
    )
    if low.cost is None or high.cost is None:
        yield "cost: unknown, because a judge's file has no price (price_input, price_output)"
    elif high.cost:
        limit = "no limit is set (--max-cost)" if max_cost is None else f"the limit is {max_cost:g} USD"
        yield (
            f"cost: likely {low.cost:,.2f} USD ({low.cost * jpy_per_usd:,.0f} yen), at most {high.cost:,.2f} "
            f"USD ({high.cost * jpy_per_usd:,.0f} yen, at {jpy_per_usd:g} yen per USD); {limit}"
        )


def _cells(low: Spending, high: Spending) -> tuple[str, ...]:
    return f"{low.calls:,}", f"{high.calls:,}", _usd(low), _usd(high)


def _usd(spending: Spending) -> str:
    return "no price" if spending.cost is None else f"{spending.cost:,.2f}"
