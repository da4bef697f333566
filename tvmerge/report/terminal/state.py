"""What the display of a run shows: the state of the run, written by it and read by the display."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from tvmerge.records import FAILURE, Trial
from tvmerge.report.terminal.flights import Flights
from tvmerge.report.terminal.pace import Moment, Pace


@dataclass(frozen=True, slots=True)
class Counts:
    """How many candidates are in each state.

    Attributes:
        complete: They answered everything and have a score.
        running: They are answering or being judged.
        open: They have answered a part, and may be asked more.
        pruned: They were stopped early.
        failed: They have no score.
    """

    complete: int = 0
    running: int = 0
    open: int = 0
    pruned: int = 0
    failed: int = 0

    @classmethod
    def of(cls, trials: Iterable[Trial], in_flight: Collection[int], *, by_blocks: bool = False) -> Counts:
        """Count the trials of a study.

        Args:
            trials: All trials.
            in_flight: The numbers of those that are answering or being judged.
            by_blocks: Whether they are of a search by blocks that goes on. If it was paused, its trials are
                stored as complete or pruned, and yet each may be asked more.
        """
        found = dict.fromkeys(("complete", "running", "open", "pruned", "failed"), 0)
        for trial in trials:
            state = _state(trial, in_flight)
            found["open" if by_blocks and state in {"complete", "pruned"} else state] += 1
        return cls(**found)

    @property
    def all(self) -> int:
        """The number of all candidates."""
        return self.complete + self.running + self.open + self.pruned + self.failed

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: n + getattr(other, name) for name, n in self.as_json().items()})

    def as_json(self) -> dict[str, int]:
        """Return the counts as plain JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        names = {"complete": "done"}
        parts = [f"{n:,} {names.get(key, key)}" for key, n in self.as_json().items() if n]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Spent:
    """What the judges have used so far.

    Attributes:
        calls: Number of requests sent.
        hits: Number of judgments from the cache.
        cost: Cost in USD of the requests whose price is known.
        priced: Whether all prices are known.
        max_calls: The most requests allowed, or None.
        max_cost: The highest cost allowed, or None.
    """

    calls: int = 0
    hits: int = 0
    cost: float = 0.0
    priced: bool = True
    max_calls: int | None = None
    max_cost: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the part that changes, as plain JSON data."""
        return {
            "judge_calls": self.calls,
            "cache_hits": self.hits,
            "cost_usd": round(self.cost, 6) if self.priced else None,
        }


@dataclass(slots=True)
class Stage:
    """A stage of a run that is counted.

    Attributes:
        name: `search`, `finalists` or `GGUF files`.
        total: Total number of units.
        done: Number of units done.
        unit: What is counted, if the stage does not say so.
        started: When it started, in seconds of the clock.
        ended: When it ended; None while it goes on.
    """

    name: str
    total: int
    done: int
    unit: str
    started: float
    ended: float | None = None


@dataclass(slots=True)
class RunState:
    """The state of a run.

    Attributes:
        clock: Returns the seconds of a monotonic clock.
        started: When the run started.
        phase: What it is doing, while no stage is counted; empty otherwise.
        phase_started: When that began.
        stages: The stages that have started, in order.
        last: The result of the last unit, as text.
        best: The best result so far, as text.
        best_number: The number of its trial.
        baselines: The baselines' results so far, as texts.
        counts: How many candidates are in each state; None before the search.
        waiting: What the run is waiting for, as text; empty if it waits for nothing.
        flights: The candidates in flight.
        spent: Returns what the judges have used; None before they are known.
        pace: Estimates the time left in the stage that is going on and after it.
        over: Whether the run has ended.
    """

    clock: Callable[[], float] = time.monotonic
    started: float = 0.0
    phase: str = ""
    phase_started: float = 0.0
    stages: list[Stage] = field(default_factory=list)
    last: str = ""
    best: str = ""
    best_number: int | None = None
    baselines: tuple[str, ...] = ()
    counts: Counts | None = None
    waiting: str = ""
    flights: Flights = field(default_factory=Flights)
    spent: Callable[[], Spent] | None = None
    pace: Pace | None = None
    over: bool = False

    @property
    def stage(self) -> Stage | None:
        """The stage that is going on."""
        return self.stages[-1] if self.stages and self.stages[-1].ended is None else None

    @property
    def moment(self) -> Moment:
        """What has been done so far."""
        return Moment(self.clock(), self.flights.rated, self.flights.seconds_per_answer)

    @property
    def remaining(self) -> float | None:
        """The seconds left until the finalists have been compared; None if unknown."""
        if self.stage is None or self.pace is None:
            return None
        return self.pace.remaining(self.stage.done, self.moment)

    def as_json(self) -> dict[str, Any]:
        """Return how far the run is, as plain JSON data."""
        stage, speed, left = self.stage, self.flights.tokens_per_second(), self.remaining
        return {
            "stage": self.phase if stage is None else stage.name,
            "done": None if stage is None else stage.done,
            "total": None if stage is None else stage.total,
            "counts": None if self.counts is None else self.counts.as_json(),
            "best": self.best_number,
            "seconds_left": None if left is None else round(left, 1),
            "tokens_per_second": None if speed is None else round(speed, 1),
            **({} if self.spent is None else self.spent().as_json()),
        }


def _state(trial: Trial, in_flight: Collection[int]) -> str:
    if trial.state == "FAIL" or FAILURE in trial.attrs:
        return "failed"
    if trial.number in in_flight:
        return "running"
    return {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state, "open")
