"""Searches rated by a cheap judge, an expensive one, and both, at the smallest size.

No module: perf/anchor, which is no part of the package.
"""

from __future__ import annotations

import pytest

from perf.anchor import Prices, main


def test_a_budget_pays_as_many_answers_as_their_ratings_cost() -> None:
    prices = Prices(cheap=0.05, fraction=0.1)
    assert [prices.answers(way, 30) for way in ("cheap", "both", "expensive")] == [600, 200, 30]


def test_the_program_prints_a_line_for_each_problem(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--problems", "alike", "noisy", "--seeds", "2", "--budget", "8", "--price", "0.5"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["alike", "noisy"]
    assert all(line.count("±") == 3 for line in lines[-2:])
