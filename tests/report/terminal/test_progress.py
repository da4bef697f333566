"""Progress: a bar on a terminal, lines in a log, silence on demand; and the terminal is given back."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tvmerge.records import Estimate, Recipe, Trial
from tvmerge.report.terminal.progress import Progress

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
    with Progress(stream=stream, clock=clock) as progress:
        run_search(progress, clock, values, done)
    return stream.getvalue().splitlines()


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[io.TextIOWrapper, list[str]]]:
    """A real pseudo terminal to write to, and what came out of it once the block has ended."""
    pty = pytest.importorskip("pty", reason="pseudo terminals exist on POSIX systems only")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    ours, theirs = pty.openpty()
    seen: list[str] = []
    reader = threading.Thread(target=_read_all, args=(ours, seen))
    reader.start()
    try:
        with os.fdopen(theirs, "w", encoding="utf-8") as stream:
            yield stream, seen
    finally:
        reader.join(timeout=10)
        os.close(ours)


def _read_all(handle: int, seen: list[str]) -> None:
    chunks = []
    try:
        while chunk := os.read(handle, 65536):
            chunks.append(chunk)
    except OSError:  # how Linux says that the other end is closed
        pass
    seen.append(b"".join(chunks).decode("utf-8"))


def test_a_log_gets_a_line_for_each_tenth_and_each_new_best() -> None:
    # Falling scores: only the first is a new best.
    written = lines([9 - 0.01 * n for n in range(100)])
    assert len(written) == 1 + 1 + 10
    assert written[0] == "search 0/100"
    assert written[1].startswith(
        "search 1/100  trial 0: 9.00 ± 0.20  best 9.00 ± 0.20 (new)  about 16 min left"
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


def test_a_resumed_search_counts_on_and_paces_by_its_own_trials() -> None:
    written = lines([5.0] + [4.0] * 9, done=90)
    assert written[0] == "search 90/100  resumed"
    assert written[1].startswith("search 91/100  trial 90: 5.00")
    assert written[1].endswith("about 2 min left")


def test_finalists_are_named_with_their_scores() -> None:
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        progress.confirming(2, 24)
        progress.confirmed("weight 1", Estimate(6.1, 0.25, 24))
    first, second = stream.getvalue().splitlines()
    assert first == "finalists 0/2  24 held-out questions"
    assert second.startswith("finalists 1/2  weight 1: 6.10 ± 0.25")


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
def test_a_terminal_shows_what_is_waited_for_below_its_bar_until_it_is_over(
    monkeypatch: pytest.MonkeyPatch, *, over: bool
) -> None:
    with terminal(monkeypatch) as (stream, seen), Progress(stream=stream) as progress:
        progress.search_started(2)
        progress.waiting("waiting until 14:03:22")
        if over:
            progress.waiting("")
    last_drawn = seen[0][seen[0].rindex("search") :]
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


def test_a_terminal_gets_a_bar_with_score_and_best(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, seen):
        clock = Clock()
        with Progress(stream=stream, clock=clock) as progress:
            progress.note("a note with [brackets]")
            run_search(progress, clock, [5.0, 6.5, None])
    text = seen[0]
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
