"""What the candidates in flight are doing, for the display of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tvmerge._util.trace import Trace
from tvmerge.records import Answer, Recipe

_BEFORE_ANSWERS = {"start": "loading the model", "merge": "merging"}
"""What a candidate does, by the name of its engine's work in the trace."""


@dataclass(eq=False, slots=True)
class Flight:
    """A candidate that answers questions and is rated.

    Attributes:
        label: Its name, such as `trial 7`.
        recipe: Its weights.
        expected: How many answers it gives, if it is not stopped before.
        answered: How many it has given.
        rated: How many of them the judge has rated.
    """

    label: str
    recipe: Recipe
    expected: int
    answered: int = 0
    rated: int = 0


class Flights:
    """The candidates in flight, written by the event loop and read by the display's thread.

    Args:
        trace: Knows what the engines are doing.
        clock: Returns the seconds of a monotonic clock.

    Attributes:
        rated: How many answers have been rated, of all candidates.
    """

    def __init__(self, trace: Trace | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._trace = trace or Trace()
        self._clock = clock
        self._flights: dict[int, Flight] = {}
        self._tokens = 0
        self._largest = 0
        self._rated_of_largest = 0
        self._seconds_of_largest = 0.0
        self.rated = 0

    @contextmanager
    def flight(self, label: str, recipe: Recipe, expected: int) -> Iterator[Flight]:
        """Show a candidate during the block."""
        begun, start = Flight(label, recipe, expected), self._clock()
        self._flights[id(begun)] = begun
        beside = len(self._flights)
        try:
            yield begun
        finally:
            del self._flights[id(begun)]
            self._ended(begun, (self._clock() - start) / beside)

    def answered(self, flight: Flight, answers: Sequence[Answer]) -> None:
        """Note that a candidate has given answers."""
        flight.answered += len(answers)
        self._tokens += sum(answer.tokens for answer in answers)

    def was_rated(self, flight: Flight) -> None:
        """Note that one of a candidate's answers was rated."""
        flight.rated += 1
        self.rated += 1

    def stages(self) -> list[tuple[str, str]]:
        """Return the name and the stage of each candidate in flight, in the order in which they began."""
        work = {id(begun.of): begun.name for begun in self._trace.working()}
        flights = list(self._flights.values())
        return [(flight.label, _stage(flight, work.get(id(flight.recipe), ""))) for flight in flights]

    def as_json(self) -> list[dict[str, str]]:
        """Return the candidates in flight with their stages, as plain JSON data."""
        return [{"name": name, "stage": stage} for name, stage in self.stages()]

    @property
    def seconds_per_answer(self) -> float | None:
        """The seconds that an answer takes, with its share of the merge and its rating; None if unknown.

        Those in flight at once share the time. Only candidates that were asked the most at once count: few
        questions at a time leave an engine half empty.
        """
        return self._seconds_of_largest / self._rated_of_largest if self._rated_of_largest else None

    def tokens_per_second(self) -> float | None:
        """Return the tokens that all engines together generate per second of answering; None if not known."""
        seconds = self._trace.seconds("answer")
        if not self._tokens or seconds <= 0:
            return None
        return self._tokens * self._trace.tracks() / seconds

    def _ended(self, flight: Flight, seconds: float) -> None:
        if flight.expected > self._largest:
            self._largest, self._rated_of_largest, self._seconds_of_largest = flight.expected, 0, 0.0
        if flight.expected == self._largest:
            self._rated_of_largest += flight.rated
            self._seconds_of_largest += seconds


def _stage(flight: Flight, work: str) -> str:
    judged = f", judged {flight.rated}" if flight.rated else ""
    if flight.answered >= flight.expected:
        return f"judging {flight.rated}/{flight.expected}"
    if work in _BEFORE_ANSWERS:
        return _BEFORE_ANSWERS[work]
    if not work and not flight.answered:
        return "waiting for an engine"
    return f"answering {flight.answered}/{flight.expected}{judged}"
