"""Progress: a live view on a terminal, lines in a log, silence on demand; the terminal is given back."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.terminals import terminal
from tvmerge.records import Estimate, Recipe, Trial
from tvmerge.report.terminal.event_log import EventLog
from tvmerge.report.terminal.progress import Progress
from tvmerge.report.terminal.state import Counts

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def trial(number: int, value: float | None) -> Trial:
    state = "FAIL" if value is None else "COMPLETE"
    return Trial(number, Recipe({"norm": 1.0}), value, state, {} if value is None else {"se": 0.2})


def run_search(progress: Progress, clock: Clock, values: Sequence[float | None], done: int = 0) -> None:
    """Tell a trial for each value, ten seconds apart."""
    best: Trial | None = None
    progress.search_started(done + len(values), done)
    for number, value in enumerate(values, start=done):
        clock.now += 10
        told = trial(number, value)
        if value is not None and (best is None or best.value is None or value > best.value):
            best = told
        progress.trial_told(told, best)


def lines(values: Sequence[float | None], done: int = 0) -> list[str]:
    stream, clock = io.StringIO(), Clock()
    with Progress(stream=stream, clock=clock, tick=None) as progress:
        run_search(progress, clock, values, done)
    return stream.getvalue().splitlines()


def test_a_log_gets_a_line_for_each_tenth_and_each_new_best() -> None:
    # Falling scores: only the first is a new best.
    written = lines([9 - 0.01 * n for n in range(100)])
    assert len(written) == 1 + 1 + 10
    assert written[0] == "search 0/100"
    assert written[1] == (
        "search 1/100  trial 0: 9.00 ± 0.20  new best 9.00 ± 0.20 (trial 0)  about 16 min left"
    )
    assert [line.split()[1] for line in written[2:]] == [f"{n}/100" for n in range(10, 101, 10)]
    assert "(trial 0)" in written[2]


def test_every_new_best_gets_a_line() -> None:
    assert len(lines([1 + 0.01 * n for n in range(50)])) == 1 + 50


def test_the_last_trial_gets_a_line_without_time_left() -> None:
    written = lines([5.0, 4.0, 4.0])
    assert written[-1] == "search 3/3  trial 2: 4.00 ± 0.20  best 5.00 ± 0.20 (trial 0)"


def test_failed_trials_are_told_and_counted() -> None:
    written = lines([None, 5.0, None])
    assert written[1].startswith("search 1/3  trial 0: failed, 1 failed so far")
    assert "best" not in written[1]
    assert "trial 2: failed, 2 failed so far" in written[-1]


def test_why_a_trial_failed_stays_on_the_screen() -> None:
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        progress.search_started(50)
        progress.trial_told(Trial(0, Recipe(), state="FAIL", attrs={"failure": "0% gave a rating"}), None)
    assert "trial 0 failed: 0% gave a rating\n" in stream.getvalue()


def test_many_failures_are_counted_and_not_told_one_by_one() -> None:
    stream = io.StringIO()
    with Progress(stream=stream, tick=None) as progress:
        progress.search_started(50)
        for number in range(50):
            progress.trial_told(Trial(number, Recipe(), state="FAIL", attrs={"failure": "overflow"}), None)
    told = [line for line in stream.getvalue().splitlines() if "overflow" in line]
    assert len(told) == 5
    assert told[-1] == "trial 4 failed: overflow; further failures are only counted"
    assert "trial 49: failed, 50 failed so far" in stream.getvalue()


def test_a_resumed_search_counts_on_and_paces_by_its_own_trials() -> None:
    written = lines([5.0] + [4.0] * 9, done=90)
    assert written[0] == "search 90/100  resumed"
    assert written[1].startswith("search 91/100  trial 90: 5.00")
    assert written[1].endswith("about 2 min left")


def test_finalists_are_named_with_their_scores() -> None:
    stream = io.StringIO()
    with Progress(stream=stream, tick=None) as progress:
        progress.confirming(2, 24)
        progress.confirmed("weight 1", Estimate(6.1, 0.25, 24))
    assert stream.getvalue().splitlines() == [
        "finalists 0/2  24 held-out questions",
        "finalists 1/2  weight 1: 6.10 ± 0.25",
    ]


def test_ratings_alone_are_counted_in_tenths() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(stream=stream, clock=clock, tick=None) as progress:
        for done in range(201):
            clock.now += 1
            progress.judging(done, 200)
    counts = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert counts == [f"{done}/200" for done in (0, *range(20, 201, 20))]


def test_notes_are_written_as_they_are() -> None:
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        progress.note("[bold]two tensors skipped[/bold]")
    assert stream.getvalue() == "[bold]two tensors skipped[/bold]\n"


def test_a_log_gets_a_line_for_what_is_waited_for_and_none_when_it_is_over() -> None:
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        progress.waiting("waiting until 14:03:22: no request is left")
        progress.waiting("")
    assert stream.getvalue() == "waiting until 14:03:22: no request is left\n"


@pytest.mark.parametrize("over", [False, True])
def test_a_terminal_shows_what_is_waited_for_below_its_view_until_it_is_over(
    monkeypatch: pytest.MonkeyPatch, *, over: bool
) -> None:
    with terminal(monkeypatch) as (stream, seen), Progress(stream=stream) as progress:
        progress.search_started(2)
        progress.waiting("waiting until 14:03:22")
        if over:
            progress.waiting("")
        progress.note("a note, which draws the view again")
    last_drawn = seen[0].split("a note, which draws the view again")[1].split("search")[1]
    assert ("waiting until 14:03:22" in last_drawn) is not over


def test_quiet_writes_nothing() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(quiet=True, stream=stream, clock=clock) as progress:
        progress.note("a note")
        run_search(progress, clock, [5.0, None])
    assert stream.getvalue() == ""


def test_standard_error_is_the_stream_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.note("here")
    assert capsys.readouterr() == ("", "here\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("quiet", [True, False])
def test_errors_and_interrupts_pass_through(error: type[BaseException], quiet: bool) -> None:
    with pytest.raises(error), Progress(quiet=quiet, stream=io.StringIO()):
        raise error


def test_a_terminal_gets_a_view_with_counts_score_and_best(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, seen):
        clock = Clock()
        with Progress(stream=stream, clock=clock) as progress:
            progress.note("a note with [brackets]")
            run_search(progress, clock, [5.0, 6.5, None])
            known = [trial(0, 5.0), trial(1, 6.5), trial(2, None), trial(3, 1.0)]
            progress.standing(Counts.of(known, {3}), {"weight 1": trial(0, 5.0)})
    text = seen[0]
    assert "4 candidates: 2 done, 1 running, 1 failed" in text
    assert "weight 1 5.00 ± 0.20" in text
    assert "a note with [brackets]" in text
    assert "3/3" in text
    assert "trial 2: failed, 1 failed so far" in text
    assert "best 6.50 ± 0.20 (trial 1)" in text


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_the_terminal_gets_its_cursor_back(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None
) -> None:
    before = sys.stdout, sys.stderr
    with (
        terminal(monkeypatch) as (stream, seen),
        suppress(KeyboardInterrupt, ValueError),
        Progress(stream=stream) as progress,
    ):
        progress.search_started(10)
        if error is not None:
            raise error
    assert HIDE_CURSOR in seen[0]
    assert seen[0].rindex(SHOW_CURSOR) > seen[0].rindex(HIDE_CURSOR)
    assert (sys.stdout, sys.stderr) == before


def test_a_log_that_fails_in_a_way_nobody_expected_is_told_once_and_ends_no_run(tmp_path: Path) -> None:
    class FailingLog(EventLog):
        """A log that cannot take what is entered again and again."""

        def write(self, kind: str, **fields: Any) -> str:
            if kind == "progress":
                raise RuntimeError("nothing catches this")
            return ""

    clock, stream = Clock(), io.StringIO()
    with Progress(stream=stream, log=FailingLog(tmp_path / "log"), clock=clock, tick=None) as progress:
        progress.search_started(4)
        for _ in range(3):
            clock.now += 11
            progress.tick()
        progress.trial_told(trial(0, 5.0), trial(0, 5.0))
    (told,) = [line for line in stream.getvalue().splitlines() if "not logged any more" in line]
    assert "RuntimeError: nothing catches this (test_progress.py, line " in told
    assert "search 1/4" in stream.getvalue()


def test_results_printed_meanwhile_stay_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with terminal(monkeypatch) as (stream, seen), Progress(stream=stream) as progress:
        progress.search_started(10)
        sys.stdout.write("a result\n")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in seen[0]


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, seen):
        monkeypatch.setenv("TERM", "dumb")
        with Progress(stream=stream) as progress:
            progress.search_started(10)
    assert seen[0].strip() == "search 0/10"


def test_plain_lines_do_not_load_rich() -> None:
    code = (
        "import io, sys\n"
        "from tvmerge.report.terminal.progress import Progress\n"
        "with Progress(stream=io.StringIO()) as p: p.note('x')\n"
        "assert not {'rich', 'torch', 'jinja2', 'optuna'} & set(sys.modules)\n"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=root).returncode == 0


def test_what_it_does_before_the_search_is_told_with_the_seconds_it_has_taken() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(stream=stream, clock=clock, tick=None) as progress:
        progress.phase("importing torch")
        progress.tick()
        for _ in range(5):
            clock.now += 1
            progress.tick()
        progress.search_started(4)
    assert stream.getvalue().splitlines() == [
        "importing torch (2 s so far)",
        "importing torch (4 s so far)",
        "search 0/4",
    ]


def test_a_terminal_shows_what_is_over_before_the_next_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    phases = [f"phase {number}" for number in range(20)]
    with terminal(monkeypatch) as (stream, seen), Progress(stream=stream) as progress:
        for phase in phases:
            progress.phase(phase)
    assert all(phase in seen[0] for phase in phases)


def test_control_characters_never_reach_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Trial(
        0, Recipe(), state="FAIL", attrs={"failure": "judge said \x1b]0;title\x07\x1b[2Jno\u202e\x9b1m"}
    )
    with terminal(monkeypatch) as (stream, seen), Progress(stream=stream) as progress:
        progress.search_started(2)
        progress.trial_told(failed, None)
        progress.waiting("until \x1b[31mred")
    assert "trial 0 failed: judge said no1m" in seen[0]
    assert "\x1b]0" not in seen[0]
    assert "\x1b[2J" not in seen[0]
    assert "\x1b[31mred" not in seen[0]


def test_a_quiet_run_is_logged_all_the_same(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "log"
    with (
        suppress(ValueError),
        Progress(quiet=True, log=EventLog(path), clock=clock, tick=None) as progress,
    ):
        progress.phase("importing torch")
        run_search(progress, clock, [5.0, None, 7.0])
        clock.now += 11
        progress.tick()
        progress.search_ended(Counts(complete=2, failed=1))
        progress.confirming(1, 24)
        progress.confirmed("weight 1", Estimate(6.1, float("nan"), 1))
        raise ValueError("the disk\nis full")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kinds = ["phase", "search_started", *["trial"] * 3, "progress", "search_ended", "phase"]
    assert [row["kind"] for row in rows if row["kind"] != "note"] == [
        *kinds,
        *("finalists_started", "finalist", "error"),
    ]
    trials = [row for row in rows if row["kind"] == "trial"]
    assert [row["score"] for row in trials] == [5.0, None, 7.0]
    assert [row["best"] for row in trials] == [0, 0, 2]
    assert [row["done"] for row in trials] == [1, 2, 3]
    assert [row["seconds_left"] for row in trials] == [20.0, 10.0, 0.0]
    assert rows[-1]["message"] == "the disk is full"


@pytest.mark.parametrize(("limited", "advice"), [(False, "set"), (True, "lower")])
def test_answers_cut_in_thought_are_told_once_with_what_helps(limited: bool, advice: str) -> None:
    stream = io.StringIO()
    with Progress(stream=stream, thinking_limited=limited) as progress:
        progress.search_started(3)
        for number, share in enumerate((0.0, 0.5, 0.75)):
            told = Trial(number, Recipe({"norm": 1.0}), 5.0, "COMPLETE", {"cut_in_thought": share})
            progress.trial_told(told, None)
    warned = [line for line in stream.getvalue().splitlines() if "cut in thought" in line]
    assert warned == [
        "trial 1: 50% of the answers were cut in thought and count as empty; "
        f"raise --max-new-tokens, or {advice} --max-thinking-tokens"
    ]
