"""Shows the progress of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from tvmerge._util.printable import printable
from tvmerge.records import CUT_IN_THOUGHT, FAILURE, Estimate, Trial
from tvmerge.report.numbers import count, estimate, percent
from tvmerge.report.terminal.flights import Flights
from tvmerge.report.terminal.heartbeat import Heartbeat
from tvmerge.report.terminal.open_display import open_display
from tvmerge.report.terminal.pace import FinalistPace, SearchPace
from tvmerge.report.terminal.state import Counts, RunState, Spent, Stage
from tvmerge.report.terminal.ticker import Ticker
from tvmerge.report.terminal.told import best_score, is_milestone, number, outcome, trial_fields

if TYPE_CHECKING:
    from types import TracebackType

    from tvmerge.report.terminal.event_log import EventLog

_MANY = 0.1
"""Fraction of answers cut in thought above which a run warns."""

_FAILURES = 5
"""Failed trials after which no more reasons are shown."""

_TICK = 0.25
"""Seconds between two looks at what is due, which draw the live view."""


class Progress:
    """Shows a run's progress on standard error; a context manager that suppresses no exceptions.

    It shows a live view on a terminal, and elsewhere lines that each stand for themselves. With `tell`, the
    lines go to a function instead. Its methods are called in the order of a run: first the search, then the
    held-out questions.

    Args:
        quiet: Show nothing.
        thinking_limited: Whether candidates' thoughts have a separate limit already.
        stream: The stream, by default standard error.
        tell: Called with each line, from any thread; nothing is written to the stream then.
        log: Gets all events too, also if nothing is shown.
        clock: Returns the seconds of a monotonic clock.
        tick: Seconds between two looks at what is due, in a thread; None for never.

    Attributes:
        lost: Why nothing is shown any more, if that failed; empty otherwise. The run goes on.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        thinking_limited: bool = False,
        stream: TextIO | None = None,
        tell: Callable[[str], object] | None = None,
        log: EventLog | None = None,
        clock: Callable[[], float] = time.monotonic,
        tick: float | None = _TICK,
    ) -> None:
        now = clock()
        self._state = RunState(clock=clock, started=now, phase_started=now)
        shown_on: TextIO | None = sys.stderr if stream is None else stream
        self._display = open_display(self._state, shown_on, tell, self._display_failed, quiet=quiet)
        self.lost = ""
        self._log = log
        self._heartbeat = Heartbeat(self._state, self.event, self._display.note)
        self._ticker = Ticker(self.tick, tick)
        self._ahead = 0
        self._failed = 0
        self._reasons = 0
        self._warned = False
        limit = "lower" if thinking_limited else "set"
        self._more_room = f"raise --max-new-tokens, or {limit} --max-thinking-tokens"

    def __enter__(self) -> Progress:
        self._display.__enter__()
        self._ticker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.event("error", error=kind.__name__ if kind else "", message=printable(str(error)))
        try:
            self._ticker.__exit__(kind, error, trace)
        finally:
            self._display.__exit__(kind, error, trace)

    def watch(self, flights: Flights, spent: Callable[[], Spent], ahead: int) -> None:
        """Show what is in flight and what was spent from now on.

        Args:
            flights: The candidates in flight.
            spent: Returns what the judges have used; called often.
            ahead: Maximum number of answers in the comparison of the finalists, for the time left.
        """
        self._state.flights, self._state.spent, self._ahead = flights, spent, ahead

    def event(self, kind: str, **fields: Any) -> None:
        """Enter an event into the log; it is not shown."""
        if self._log is not None and (broken := self._log.write(kind, **fields)):
            self._display.note(broken)

    def phase(self, text: str) -> None:
        """Note what the run is doing now, before, between or after the stages that are counted."""
        state = self._state
        if text == state.phase:
            return
        self._end_stage()
        state.phase, state.phase_started = text, state.clock()
        self.event("phase", phase=text)
        self._display.phase()

    def note(self, text: str) -> None:
        """Show a permanent line."""
        shown = printable(text)
        self.event("note", text=shown)
        self._display.note(shown)

    def waiting(self, text: str) -> None:
        """Show what the run is waiting for, replacing the previous text; empty if it waits for nothing."""
        self._state.waiting = printable(text)
        self.event("waiting", text=self._state.waiting)
        self._display.waiting()

    def standing(self, counts: Counts, baselines: Mapping[str, Trial]) -> None:
        """Note how the search stands.

        Args:
            counts: How many candidates are in each state.
            baselines: The baselines that have a score so far, by name.
        """
        self._state.counts = counts
        self._state.baselines = tuple(
            f"{name} {best_score(trial)}" for name, trial in baselines.items() if trial.overall is not None
        )

    def search_started(self, total: int, done: int = 0) -> None:
        """Note that the search starts, or resumes with `done` of `total` trials told by an earlier run."""
        self._search_started(total, done)

    def trial_told(self, trial: Trial, best: Trial | None) -> None:
        """Note that a trial was told or failed.

        Args:
            trial: The trial.
            best: The best of all trials so far, including this one; None if none has a score.
        """
        stage = self._state.stages[-1]
        stage.done += 1
        self._failed += trial.state == "FAIL"
        self._show_told(
            trial,
            best,
            trial_fields(trial),
            last=self._last(trial),
            notable=is_milestone(stage.done - 1, stage.done, stage.total),
        )

    def blocks_started(self, total: int, done: int = 0) -> None:
        """The search begins, or continues, with `done` of its `total` answers told by an earlier run."""
        self._search_started(total, done, "answers")

    def block_told(self, trial: Trial, done: int, best: Trial | None) -> None:
        """A candidate's answers to a block of questions were told.

        Args:
            trial: Its trial.
            done: Answers told so far, of all candidates.
            best: The trial that is recommended now, with its estimate; None where none has a score.
        """
        stage = self._state.stages[-1]
        before, stage.done = stage.done, done
        failure = trial.attrs.get(FAILURE)
        fields = {"kind": "block", "trial": trial.number, "answers": done - before, "failure": failure}
        self._show_told(
            trial,
            best,
            fields,
            last=f"trial {trial.number}: {count(trial.attrs.get('questions', 0), 'question')} answered",
            notable=is_milestone(before, done, stage.total),
        )

    def judging(self, done: int, total: int) -> None:
        """Note how many answers are rated, where nothing else is done; called with 0 at the start."""
        if not done:
            self._begin("judging", total, 0, "answers")
        stage = self._state.stages[-1]
        before, stage.done = stage.done, done
        self._display.changed(notable=is_milestone(before, done, total), at_once=done in {0, total})

    def search_ended(self, counts: Counts) -> None:
        """Note that the search is over."""
        self._state.counts = counts
        self.event("search_ended", counts=counts.as_json())
        self.phase("choosing the finalists")

    def confirming(self, finalists: int, questions: int, answers: int = 0) -> None:
        """Note that the search is over and the finalists are compared.

        Args:
            finalists: Number of results to come.
            questions: Number of held-out questions; 0 if there are none.
            answers: Maximum number of answers.
        """
        self._compare("finalists", finalists, questions, answers)
        self.event("finalists_started", total=finalists, questions=questions)

    def rescoring(self, files: int, questions: int, answers: int) -> None:
        """Note that each of the winner's GGUF files answers held-out questions, with `answers` in all."""
        self._compare("GGUF files", files, questions, answers)
        self.event("gguf_started", total=files, questions=questions)

    def confirmed(self, label: str, found: Estimate) -> None:
        """Note that a finalist's answers, or those of a GGUF file, were rated."""
        stage = self._state.stages[-1]
        stage.done += 1
        self._state.last = f"{label}: {estimate(found)}"
        self.event("finalist", name=label, mean=number(found.mean), se=number(found.se), n=found.n)
        self._display.changed(notable=True, at_once=stage.done == stage.total)

    def _compare(self, name: str, results: int, questions: int, answers: int) -> None:
        self._begin(name, results, 0, "")
        self._state.pace = FinalistPace(answers, self._state.moment)
        self._state.last = count(questions, "held-out question") if questions else "no questions are held out"
        self._display.changed(notable=True, at_once=True)

    def _search_started(self, total: int, done: int, unit: str = "") -> None:
        self._begin("search", total, done, unit)
        state = self._state
        state.pace = SearchPace(total, done, state.moment, self._ahead)
        state.last = "resumed" if done else ""
        self.event("search_started", total=total, done=done, unit=unit or "trials")
        self._display.changed(notable=True, at_once=True)

    def _begin(self, name: str, total: int, done: int, unit: str) -> None:
        """Begin a stage, and end the one before."""
        self._end_stage()
        self._state.stages.append(Stage(name, total, done, unit, self._state.clock()))
        self._state.phase = ""

    def _end_stage(self) -> None:
        if self._state.stage is not None:
            self._state.stage.ended = self._state.clock()

    def _show_told(
        self, trial: Trial, best: Trial | None, fields: dict[str, Any], *, last: str, notable: bool
    ) -> None:
        if FAILURE in trial.attrs:
            self._note_failure(trial)
        self._warn_of_thoughts(trial)
        state = self._state
        is_new = best is not None and best.number != state.best_number
        state.best_number = None if best is None else best.number
        state.last = last
        state.best = "" if best is None else f"best {best_score(best)} (trial {best.number})"
        self.event(**fields, **state.as_json())
        is_last = state.stages[-1].done >= state.stages[-1].total
        self._display.changed(notable=notable or is_new, is_new=is_new, at_once=is_last)

    def _note_failure(self, trial: Trial) -> None:
        """Tell why a trial failed, unless many have."""
        self._reasons += 1
        if self._reasons <= _FAILURES:
            more = "; further failures are only counted" if self._reasons == _FAILURES else ""
            self.note(f"trial {trial.number} failed: {trial.attrs[FAILURE]}{more}")

    def _warn_of_thoughts(self, trial: Trial) -> None:
        """Warn once if candidates run out of tokens while thinking."""
        share = trial.attrs.get(CUT_IN_THOUGHT, 0.0)
        if share > _MANY and not self._warned:
            self._warned = True
            self.note(
                f"trial {trial.number}: {percent(share)} of the answers were cut in thought and count as "
                f"empty; {self._more_room}"
            )

    def _last(self, trial: Trial) -> str:
        failed = f", {self._failed} failed so far" if self._failed else ""
        return f"trial {trial.number}: {outcome(trial)}{failed}"

    def tick(self) -> None:
        """Show and log what is due."""
        self._display.tick()
        if self._log is not None:
            self._heartbeat.tick()

    def _display_failed(self, reason: str, *, silent: bool) -> None:
        """Note that the display has failed: in the log, where lines are shown, and at the end."""
        self.lost = reason if silent else ""
        self.event("note", text=reason)
        self._display.note(reason)
