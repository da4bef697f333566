"""How a run went on: its best score, its judge calls and their cost, moment by moment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tvmerge.records import MEAN, Trial

PAUSE = 3600.0
"""Seconds without a call or a trial from which on nothing was at work, as between two sessions."""

_MOST = 400
"""Maximum number of moments that are kept, besides those with a new best."""


@dataclass(frozen=True, slots=True)
class TrialTimes:
    """When a trial was asked and when it ended, in seconds since 1970; None where it is not stored."""

    begun: float | None
    ended: float | None


@dataclass(frozen=True, slots=True)
class PaidCall:
    """A request to a judge that was answered or failed.

    Attributes:
        at: When, in seconds since 1970.
        cost: Its cost in USD; None if the price is not known.
    """

    at: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a run.

    Attributes:
        seconds: Seconds of work since the first trial or call; pauses do not count.
        calls: Number of calls so far.
        cost: Their cost in USD.
        best: The score of the best candidate so far; None before the first. In a search by blocks, it is
            the final estimate of the best candidate that had been asked by then.
    """

    seconds: float
    calls: int
    cost: float
    best: float | None


@dataclass(frozen=True, slots=True)
class Course:
    """How a run went on, over all its sessions.

    Attributes:
        moments: Its moments in order, thinned out if there are many.
        pauses: How many times nothing happened for more than `PAUSE` seconds, as between two sessions.
        paused: Seconds of these pauses, which are left out.
        priced: Whether the price of every call is known.
    """

    moments: tuple[Moment, ...]
    pauses: int = 0
    paused: float = 0.0
    priced: bool = True


@dataclass(frozen=True, slots=True)
class _Event:
    at: float
    call: PaidCall | None = None
    trial: Trial | None = None


def course_of(
    trials: Sequence[Trial], times: Mapping[int, TrialTimes], calls: Sequence[PaidCall]
) -> Course | None:
    """Return how a run went on, or None if no trial and no call has a time.

    The clock is that of the machine that stored a time. A gap of more than `PAUSE` is a pause.

    Args:
        trials: The trials of the study.
        times: Their times, by number.
        calls: The calls of all judges.
    """
    by_blocks = any(MEAN in trial.attrs for trial in trials)
    events = sorted(
        (*(_Event(call.at, call=call) for call in calls), *_scored(trials, times, by_blocks=by_blocks)),
        key=lambda event: event.at,
    )
    if not events:
        return None
    gaps = [later.at - event.at for event, later in pairwise(events)]
    paused = [gap for gap in gaps if gap > PAUSE]
    moments = _thinned(list(_moments(events, gaps)))
    return Course(tuple(moments), len(paused), sum(paused), all(call.cost is not None for call in calls))


def _scored(trials: Iterable[Trial], times: Mapping[int, TrialTimes], *, by_blocks: bool) -> Iterator[_Event]:
    """Yield when each trial was known: in a search by blocks when it was asked, else when it had ended."""
    for trial in trials:
        found = times.get(trial.number, TrialTimes(None, None))
        if (found.begun if by_blocks else found.ended) is None:
            continue
        if found.begun is not None:
            yield _Event(found.begun, trial=trial if by_blocks else None)
        if found.ended is not None and not by_blocks:
            yield _Event(found.ended, trial=trial)


def _moments(events: Sequence[_Event], gaps: Sequence[float]) -> Iterator[Moment]:
    now, leader = Moment(0.0, 0, 0.0, None), -math.inf
    for event, gap in zip(events, (0.0, *gaps), strict=True):
        if gap <= PAUSE:
            now = replace(now, seconds=now.seconds + gap)
        if event.call is not None:
            now = replace(now, calls=now.calls + 1, cost=now.cost + (event.call.cost or 0.0))
        if event.trial is not None and (rank := _rank(event.trial)) > leader:
            leader = rank
            now = replace(now, best=event.trial.attrs.get(MEAN, event.trial.overall))
        yield now


def _rank(trial: Trial) -> float:
    """Return what decides which candidate is the best; -inf for one that cannot be."""
    counts = trial.scored or MEAN in trial.attrs
    if not counts or trial.overall is None or not math.isfinite(trial.overall):
        return -math.inf
    return trial.overall


def _thinned(moments: Sequence[Moment]) -> Iterator[Moment]:
    """Yield every so many moments, the first and the last, and those with a new best."""
    step = max(1, -(-len(moments) // _MOST))
    for number, moment in enumerate(moments):
        new = number == 0 or moment.best != moments[number - 1].best
        if new or number % step == 0 or number == len(moments) - 1:
            yield moment
