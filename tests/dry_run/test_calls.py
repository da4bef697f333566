"""The planned calls of judges as a table and in lines."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from tvmerge.dry_run.calls import PlannedCalls, Spending, calls_table, cost_lines, likely_of, most_of

SEARCH = PlannedCalls(
    "mine", "search", Spending(4080, 2_000_000, 1_000_000, 15.0), Spending(1632, 400_000, 90_000, 3.0)
)
FINAL = PlannedCalls(
    "mine", "final comparison", Spending(20, 9_000, 5_000, 0.25), Spending(20, 900, 500, 0.1)
)
UNPRICED = replace(FINAL, most=Spending(20, 9_000, 5_000, None), likely=Spending(20, 900, 500, None))


def test_calls_are_added_up_and_a_price_that_is_not_known_makes_the_sum_unknown() -> None:
    assert most_of((SEARCH, FINAL)) == Spending(4100, 2_009_000, 1_005_000, 15.25)
    assert likely_of((SEARCH, FINAL)) == Spending(1652, 400_900, 90_500, 3.1)
    assert most_of((SEARCH, UNPRICED)).cost is None
    assert most_of(()) == Spending()


def test_what_is_likely_stands_beside_what_is_possible() -> None:
    screen = io.StringIO()
    Console(file=screen, width=100).print(calls_table((SEARCH, UNPRICED)))
    rows = [line.split() for line in screen.getvalue().splitlines()]
    assert ["mine", "search", "1,632", "4,080", "3.00", "15.00"] in rows
    assert ["all", "1,652", "4,100", "no", "price", "no", "price"] in rows


def test_the_table_fits_into_80_columns() -> None:
    screen = io.StringIO()
    large = Spending(204_000, 2_000_000_000, 1_000_000_000, 18_661.5)
    Console(file=screen, width=80).print(
        calls_table((PlannedCalls("gpt-6.1-terra", "search", large, large), FINAL))
    )
    rows = [line.split() for line in screen.getvalue().splitlines()]
    assert ["gpt-6.1-terra", "search", "204,000", "204,000", "18,661.50", "18,661.50"] in rows
    assert ["mine", "final", "comparison", "20", "20", "0.10", "0.25"] in rows


def test_costs_are_told_in_dollars_and_yen_with_the_limit() -> None:
    tokens, cost = cost_lines((SEARCH, FINAL), 150)
    assert "likely 400,900 in and 90,500 out, at most 2,009,000 in and 1,005,000 out" in tokens
    assert cost == (
        "cost: likely 3.10 USD (465 yen), at most 15.25 USD (2,288 yen, at 150 yen per USD); no limit is set "
        "(--max-cost)"
    )
    assert "the limit is 5 USD" in list(cost_lines((SEARCH,), 150, max_cost=5.0))[1]


def test_a_cost_that_is_not_known_is_said_and_one_of_nothing_is_not() -> None:
    assert "unknown" in list(cost_lines((SEARCH, UNPRICED), 150))[1]
    free = PlannedCalls("local", "search", Spending(3, 4, 5, 0.0), Spending(3, 2, 1, 0.0))
    assert len(list(cost_lines((free,), 150))) == 1
