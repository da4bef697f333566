"""The live view and the line that stands for itself, from the state of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tvmerge.records import Recipe, Trial
from tvmerge.report.terminal.pace import Moment, SearchPace
from tvmerge.report.terminal.state import Counts, RunState, Spent, Stage
from tvmerge.report.terminal.view import live_rows, summary, usage


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def searching(flights: int = 0) -> Iterator[RunState]:
    """A run in its search; `flights` candidates are waiting for an engine."""
    clock = Clock()
    state = RunState(clock=clock, started=90.0, best="best 8.28 ± 0.56 (trial 15)", best_number=15)
    state.baselines = ("weight 0 4.71 ± 0.57", "weight 1 6.61 ± 0.48")
    state.stages = [Stage("search", 960, 96, "answers", 100.0)]
    state.pace = SearchPace(960, 0, Moment(100.0), 0)
    state.counts = Counts(running=2, open=9, failed=1)
    state.spent = lambda: Spent(1240, 32, 0.423, True, None, 5.0)
    clock.now += 62
    with ExitStack() as begun:
        for number in range(flights):
            begun.enter_context(state.flights.flight(f"trial {number}", Recipe(), 4))
        yield state


def test_the_view_shows_stage_counts_best_baselines_candidates_and_spending() -> None:
    with searching(2) as state:
        rows = [row.text for row in live_rows(state, 120, 40)]
    assert rows == [
        "search    ━━────────────────── 96/960 answers  1:02, about 9 min left",
        "12 candidates: 2 running, 9 open, 1 failed",
        "best 8.28 ± 0.56 (trial 15) · weight 0 4.71 ± 0.57 · weight 1 6.61 ± 0.48",
        "  trial 0  waiting for an engine",
        "  trial 1  waiting for an engine",
        "1,240 judge calls · 32 from the cache · 0.42 of 5 USD",
    ]


def test_a_narrow_terminal_gets_short_lines_without_a_bar() -> None:
    with searching(1) as state:
        rows = [row.text for row in live_rows(state, 40, 40)]
    assert rows == [
        "search 96/960 answers",
        "  1:02, about 9 min left",
        "12 candidates:",
        "  2 running, 9 open, 1 failed",
        "best 8.28 ± 0.56 (trial 15)",
        "weight 0 4.71 ± 0.57",
        "weight 1 6.61 ± 0.48",
        "  trial 0  waiting for an engine",
        "1,240 judge calls · 32 from the cache",
        "0.42 of 5 USD",
    ]


def test_a_long_name_leaves_room_for_the_stage() -> None:
    state = RunState(clock=Clock())
    with state.flights.flight("weight 1 (the plain task vector)", Recipe(), 4):
        (row,) = live_rows(state, 40, 24)
    assert row.text == "  weight 1 (the p  waiting for an engine"


@pytest.mark.parametrize("height", [3, 10, 24])
def test_more_candidates_than_lines_are_counted(height: int) -> None:
    with searching(100) as state:
        rows = [row.text for row in live_rows(state, 120, height)]
    shown = [row for row in rows if row.startswith("  trial")]
    assert f"  and {100 - len(shown)} more" in rows
    assert len(rows) <= max(height, 7)


def test_a_bar_is_drawn_in_ascii_where_that_is_all() -> None:
    with searching() as state:
        state.stages[0].done = 960
        first, *_ = live_rows(state, 120, 40, ascii_bar=True)
    assert first.text.startswith(f"search    {'#' * 20} 960/960")


def test_a_run_that_has_ended_shows_no_more_candidates_and_no_waiting() -> None:
    with searching(1) as state:
        state.waiting, state.over = "waiting until 14:03:22", True
        assert not any("waiting" in row.text for row in live_rows(state, 120, 40))


def test_a_phase_shows_its_seconds_and_that_it_goes_on() -> None:
    clock = Clock()
    state = RunState(clock=clock, phase="importing torch", phase_started=100.0)
    drawn = set()
    for _ in range(8):
        (row,) = live_rows(state, 80, 24)
        drawn.add(row.text[0])
        clock.now += 0.25
    assert drawn == set("|/-\\")
    (row,) = live_rows(state, 80, 24)
    assert row.text[1:] == " importing torch  2 s"


def test_one_line_says_all_of_it() -> None:
    with searching(1) as state:
        state.last = "trial 15: 4 questions answered"
        line = summary(state, is_new=True, in_flight=True)
    assert line == (
        "search 96/960 answers  trial 15: 4 questions answered  best 8.28 ± 0.56 (trial 15)  "
        "weight 0 4.71 ± 0.57  weight 1 6.61 ± 0.48  12 candidates: 2 running, 9 open, 1 failed  "
        "trial 0 waiting for an engine  1,240 judge calls  32 from the cache  0.42 of 5 USD  about 9 min left"
    )


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        (Spent(), []),
        (Spent(hits=3), ["0 judge calls", "3 from the cache"]),
        (Spent(1, 0, 0.0), ["1 judge call"]),
        (Spent(1, 0, 0.0, True, 1000), ["1 of 1,000 judge calls"]),
        (Spent(7, 0, 0.5, False), ["7 judge calls", "price not known"]),
        (Spent(7, 0, 0.5), ["7 judge calls", "0.50 USD"]),
    ],
)
def test_what_judges_have_used_is_said_with_its_limits(spent: Spent, said: list[str]) -> None:
    assert list(usage(spent)) == said


def test_trials_are_counted_by_what_they_are() -> None:
    states = ["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING", "RUNNING", "RUNNING"]
    trials = [Trial(number, Recipe(), None, state) for number, state in enumerate(states)]
    trials.append(Trial(7, Recipe(), None, "RUNNING", {"failure": "overflow"}))
    counts = Counts.of(trials, {4, 7})
    assert counts == Counts(complete=2, running=1, open=2, pruned=1, failed=2)
    assert str(counts) == "2 done, 1 running, 2 open, 1 pruned, 2 failed"
    assert counts.all == 8


def test_trials_of_a_search_by_blocks_are_open_again_when_it_is_resumed() -> None:
    states = ["COMPLETE", "PRUNED", "PRUNED", "RUNNING", "FAIL"]
    trials = [Trial(number, Recipe(), None, state) for number, state in enumerate(states)]
    counts = Counts.of(trials, {2}, by_blocks=True)
    assert str(counts) == "1 running, 3 open, 1 failed"
