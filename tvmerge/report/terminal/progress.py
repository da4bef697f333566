"""Shows the progress of a run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TextIO

from tvmerge.records import CUT_IN_THOUGHT, MEAN, Estimate, Trial
from tvmerge.report.numbers import count, estimate, percent, plus_minus, score, standard_error
from tvmerge.report.terminal.displays import Bar, Display, Lines, Silence, Step

if TYPE_CHECKING:
    from types import TracebackType

_MANY = 0.1
"""Fraction of answers cut in thought above which a run warns."""
_LINES = 10  # number of lines per stage in a log, besides new bests


class Progress:
    """Shows a run's progress on standard error; a context manager that suppresses no exceptions.

    It shows a live bar on a terminal. Elsewhere, it prints a line for about each tenth of the trials and for
    each new best. With `tell`, the lines go to a function instead. Its methods are called in the order of a
    run: first the search, then the held-out questions.

    Args:
        quiet: Show nothing.
        thinking_limited: Whether candidates' thoughts have a separate limit already.
        stream: The stream, by default standard error.
        tell: Called with each line; nothing is written to the stream then.
        clock: Returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        thinking_limited: bool = False,
        stream: TextIO | None = None,
        tell: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display = _display(sys.stderr if stream is None else stream, tell, quiet=quiet)
        self._clock = clock
        self._pace = _Pace(0, 0, 0.0)
        self._done = 0
        self._failed = 0
        self._warned = False
        self._best_number: int | None = None
        limit = "lower" if thinking_limited else "set"
        self._more_room = f"raise --max-new-tokens, or {limit} --max-thinking-tokens"

    def __enter__(self) -> Progress:
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, trace)

    def note(self, text: str) -> None:
        """Show a permanent line."""
        self._display.note(text)

    def waiting(self, text: str) -> None:
        """Show what the run is waiting for, replacing the previous text; empty if it waits for nothing."""
        self._display.waiting(text)

    def search_started(self, total: int, done: int = 0) -> None:
        """Note that the search starts, or resumes with `done` of `total` trials told by an earlier run."""
        self._search_started(total, done)

    def trial_told(self, trial: Trial, best: Trial | None) -> None:
        """Note that a trial was told or failed.

        Args:
            trial: The trial.
            best: The best of all trials so far, including this one; None if none has a score.
        """
        self._done += 1
        self._failed += trial.state == "FAIL"
        if "failure" in trial.attrs:
            self.note(f"trial {trial.number} failed: {trial.attrs['failure']}")
        self._warn_of_thoughts(trial)
        is_best = best is not None and best.number == trial.number
        self._display.step(
            Step(
                stage="search",
                done=self._done,
                total=self._pace.total,
                last=self._last(trial),
                best="" if best is None else _best(best, is_new=is_best),
                remaining=self._pace.remaining(self._done, self._clock()),
                notable=is_best or _is_milestone(self._done, self._pace.total),
            )
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
        before, self._done = self._done, done
        if "failure" in trial.attrs:
            self.note(f"trial {trial.number} failed: {trial.attrs['failure']}")
        self._warn_of_thoughts(trial)
        is_new = best is not None and best.number != self._best_number
        self._best_number = None if best is None else best.number
        total = max(1, self._pace.total)
        self._display.step(
            Step(
                stage="search",
                done=done,
                total=self._pace.total,
                last=f"trial {trial.number}: {count(trial.attrs.get('questions', 0), 'question')} answered",
                best="" if best is None else _best(best, is_new=is_new),
                remaining=self._pace.remaining(done, self._clock()),
                notable=done * _LINES // total > before * _LINES // total,
                unit="answers",
            )
        )

    def confirming(self, finalists: int, questions: int) -> None:
        """Note that the search is over and the finalists answer the held-out questions, if there are any."""
        self._start(finalists, 0)
        asked = count(questions, "held-out question") if questions else ""
        self._display.step(Step("finalists", 0, finalists, last=asked))

    def confirmed(self, label: str, found: Estimate) -> None:
        """Note that a finalist's answers were rated."""
        self._done += 1
        remaining = self._pace.remaining(self._done, self._clock())
        last = f"{label}: {estimate(found)}"
        self._display.step(Step("finalists", self._done, self._pace.total, last=last, remaining=remaining))

    def _search_started(self, total: int, done: int, unit: str = "") -> None:
        self._start(total, done)
        last = "resumed" if done else ""
        self._display.step(Step("search", done, total, last=last, unit=unit))

    def _warn_of_thoughts(self, trial: Trial) -> None:
        """Warn once if candidates run out of tokens while thinking."""
        share = trial.attrs.get(CUT_IN_THOUGHT, 0.0)
        if share > _MANY and not self._warned:
            self._warned = True
            self.note(
                f"trial {trial.number}: {percent(share)} of the answers were cut in thought and count as "
                f"empty; {self._more_room}"
            )

    def _start(self, total: int, done: int) -> None:
        self._pace = _Pace(total, done, self._clock())
        self._done = done

    def _last(self, trial: Trial) -> str:
        failed = f", {self._failed} failed so far" if self._failed else ""
        return f"trial {trial.number}: {_outcome(trial)}{failed}"


class _Pace:
    """The pace of a stage.

    Args:
        total: Total number of units.
        done: Units done before the clock started, which do not count for the pace.
        started: When it started, in seconds.
    """

    def __init__(self, total: int, done: int, started: float) -> None:
        self.total = total
        self._done_before = done
        self._started = started

    def remaining(self, done: int, now: float) -> float | None:
        """Return the seconds left at the pace so far, or None if unknown."""
        own = done - self._done_before
        return None if own <= 0 else (now - self._started) / own * (self.total - done)


def _outcome(trial: Trial) -> str:
    if trial.state == "FAIL":
        return "failed"
    if trial.state == "PRUNED":
        asked = count(trial.attrs["questions"], "question")
        return f"about {score(trial.value)}, stopped after {asked}"
    return plus_minus(trial.overall, standard_error(trial))


def _display(stream: TextIO, tell: Callable[[str], object] | None, *, quiet: bool) -> Display:
    if quiet:
        return Silence()
    if tell is not None:
        return Lines(tell)
    # A dumb terminal has no cursor control, and a log file is not a terminal even if colours are forced.
    if stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}:
        return Bar(stream)
    return Lines(partial(print, file=stream, flush=True))


def _best(best: Trial, *, is_new: bool) -> str:
    text = f"best {plus_minus(best.attrs.get(MEAN, best.overall), standard_error(best))}"
    return f"{text} (new)" if is_new else f"{text} (trial {best.number})"


def _is_milestone(done: int, total: int) -> bool:
    """Return whether this unit completes another tenth of the total."""
    return done * _LINES // max(1, total) > (done - 1) * _LINES // max(1, total)
