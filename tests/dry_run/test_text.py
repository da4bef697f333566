"""A plan as people read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tvmerge.dry_run.calls import PlannedCalls, Spending
from tvmerge.dry_run.text import Comparison, PlannedBlock, RunPlan, TrialSize, closing_lines, plan_lines
from tvmerge.report.numbers import folded

SEARCH = PlannedCalls(
    "mine", "search", Spending(4080, 2_000_000, 1_000_000, 15.0), Spending(1632, 400_000, 90_000, 3.0)
)
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
    likely_answers=464,
    calls=(SEARCH,),
    prices={"mine": "5 USD"},
    costs=("cost: likely 3.00 USD",),
    likely="likely: answers of 10 tokens",
    times=("time: likely 2 h",),
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
        "answers to generate: likely 464, at most 1,076",
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


def test_costs_times_and_what_they_are_computed_with_follow_the_table() -> None:
    *lines, last = closing_lines(PLAN)
    assert lines == ["cost: likely 3.00 USD", "time: likely 2 h", "likely: answers of 10 tokens"]
    assert "asked for again up to 3 times" in last
    text = str(PLAN)
    assert text.index("judge calls") < text.index(lines[0])


def test_a_plan_without_calls_says_nothing_about_them() -> None:
    bare = replace(PLAN, calls=(), costs=(), times=(), likely="")
    assert list(closing_lines(bare)) == []
    assert "judge calls" not in str(bare)


def test_few_names_are_not_folded() -> None:
    assert folded(("embeddings", "norm")) == "embeddings, norm"
