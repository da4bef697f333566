"""Estimates how long a run will take from how fast it has been."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """What has been done at a moment of a run.

    Attributes:
        at: The moment, in seconds.
        rated: Number of answers rated by then.
        per_answer: The seconds an answer takes, as far as is known by then; None if unknown.
    """

    at: float
    rated: int = 0
    per_answer: float | None = None


class Pace(Protocol):
    """Estimates the time left in a run."""

    def remaining(self, done: int, now: Moment) -> float | None:
        """Return the seconds left when `done` units of the stage are done, or None if unknown."""


class SearchPace:
    """The pace of a search, with the comparison of the finalists that comes after it.

    A unit that is left takes as long as those so far.

    Args:
        total: Total number of units, which are trials or answers.
        done: Units done by an earlier run, which do not count for the pace.
        start: What had been done when the search started.
        ahead: Maximum number of answers of the comparison.
    """

    def __init__(self, total: int, done: int, start: Moment, ahead: int) -> None:
        self._total = total
        self._done = done
        self._start = start
        self._ahead = ahead

    def remaining(self, done: int, now: Moment) -> float | None:
        """Return the seconds left, or None before a unit is done."""
        own = done - self._done
        if own <= 0:
            return None
        return (now.at - self._start.at) / own * (self._total - done) + self._ahead * (now.per_answer or 0.0)


class FinalistPace:
    """The pace of the comparison of the finalists, by their answers.

    Args:
        answers: Maximum number of answers.
        start: What had been done when it started.
    """

    def __init__(self, answers: int, start: Moment) -> None:
        self._answers = answers
        self._start = start

    def remaining(self, done: int, now: Moment) -> float | None:
        """Return the seconds left, or None if unknown."""
        passed, rated = now.at - self._start.at, now.rated - self._start.rated
        if rated > 0:
            return passed / rated * max(0, self._answers - rated)
        if self._start.per_answer is None:
            return None
        return max(0.0, self._answers * self._start.per_answer - passed)
