"""A plan as people read it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tvmerge.dry_run.text import (
    Comparison,
    PlannedBlock,
    PlannedCalls,
    RunPlan,
    TrialSize,
    calls_table,
    footnotes,
    plan_lines,
    total,
)
from tvmerge.report.numbers import folded

SEARCH = PlannedCalls("mine", "search", 4080, 2_000_000, 1_000_000, 15.0)
FINAL = PlannedCalls("mine", "final comparison", 20, 9_000, 5_000, 0.25)
PLAN = RunPlan(
    study="s",
    storage="sqlite:///runs/s/study.db",
    asked=0,
    told=0,
    left=30,
    run_folder=Path("runs/s"),
    model_folder=Path("runs/s/model"),
    weights=tuple(f"layers.{n}" for n in range(32)),
    low=0.0,
    high=2.0,
    trial=TrialSize(34, 68, 136),
    earliest_stop=TrialSize(20, 40, 80),
    comparison=Comparison(finalists=3, selection=7, compared=4, test=1, samples=2),
    answers=1076,
    calls=(SEARCH, FINAL),
    prices={"mine": "5 USD"},
    reasks=3,
    stored=(12, 24),
    memory=("memory of cpu: enough",),
    model_bytes=14_500_000_000,
    files=3,
    free_bytes=90_000_000,
    warnings=("the model does not fit",),
)


def test_a_plan_tells_what_a_run_takes() -> None:
    assert list(plan_lines(PLAN)) == [
        "study: s in sqlite:///runs/s/study.db, new, 30 trials left",
        "results: runs/s",
        "model: runs/s/model, 14.5 GB in 3 files; the disk has 90.0 MB free",
        "dimensions: 32 from 0 to 2: layers.0, layers.1, layers.2, layers.3, layers.4, layers.5, "
        "... 20 more ..., layers.26, layers.27, layers.28, layers.29, layers.30, layers.31",
        "a trial: 34 questions, 68 turns judged with 136 calls; a trial that racing stops ends after "
        "20 questions, 40 turns judged with 80 calls at the earliest",
        "final comparison: 3 candidates on 7 questions to choose the winner, then 4 candidates on "
        "1 held-out question, each answered 2 times",
        "answers to generate: at most 1,076",
        "stored already: 12 answers of the candidates known now, and judges' replies to them: 24; "
        "neither is generated or paid for again",
        "memory of cpu: enough",
        "judge mine: 5 USD",
        "warning: the model does not fit",
    ]


def test_a_plan_of_a_search_by_blocks_names_the_bound_it_may_stop_at() -> None:
    plan = replace(PLAN, block=PlannedBlock(4), stop_when="0.1 points per USD")
    assert (
        "stops earlier: when as many answers again are expected to gain less than 0.1 points per USD"
        in plan_lines(plan)
    )


def test_a_plan_tells_what_there_is_not() -> None:
    bare = replace(
        PLAN, asked=3, told=2, left=28, earliest_stop=None, comparison=None, stored=None, warnings=()
    )
    text = "\n".join(plan_lines(bare))
    for part in (
        "2 of 30 trials finished, 28 trials left",
        "none ends early",
        "none, because no questions are held out",
        "unknown, because no run has used these models yet",
    ):
        assert part in text


def test_calls_are_added_up_and_a_price_that_is_not_known_makes_the_sum_unknown() -> None:
    assert total(PLAN.calls) == PlannedCalls("all", "", 4100, 2_009_000, 1_005_000, 15.25)
    assert total((SEARCH, replace(FINAL, cost=None))).cost is None
    screen = io.StringIO()
    Console(file=screen, width=100).print(calls_table((SEARCH, replace(FINAL, cost=None))))
    rows = [line.split() for line in screen.getvalue().splitlines()]
    assert ["mine", "search", "4,080", "2,000,000", "1,000,000", "15.00"] in rows
    assert ["all", "4,100", "2,009,000", "1,005,000", "no", "price"] in rows


def test_what_is_not_counted_is_said() -> None:
    assert "asked for again up to 3 times" in footnotes(PLAN)


def test_few_names_are_not_folded() -> None:
    assert folded(("embeddings", "norm")) == "embeddings, norm"
