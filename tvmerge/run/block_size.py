"""Measures what candidates and answers cost, from which follows how many questions a candidate is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge._util.trace import ENGINE, Trace
from tvmerge.protocols import AskAndTell
from tvmerge.run.judging_price import JudgingPrice
from tvmerge.study.blocks.size import ASK_TIMES, ASSUMED, Costs
from tvmerge.study.blocks.table import Ask

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec
    from tvmerge.study.blocks.study import BlockStudy
    from tvmerge.tasks.base import Note


@dataclass(frozen=True, slots=True)
class _Moment:
    """When an ask was told, how many questions it was to have, and how many merges there were by then."""

    size: int
    at: float
    merges: int


class AskClock:
    """Measures how long the asks of a run take, each with all that it needs: search, merge, answers, ratings.

    It is the time from one ask that is told to the next, so asks in flight at once share it.

    Args:
        merges: Returns how many candidates have been merged so far. Asks whose answers were stored need none,
            and do not count.
        clock: Returns the time in seconds.
        before: What earlier runs have measured; see `as_json`.
    """

    def __init__(
        self,
        merges: Callable[[], int],
        clock: Callable[[], float] = time.perf_counter,
        before: Sequence[Sequence[float]] = (),
    ) -> None:
        self._merges = merges
        self._clock = clock
        self._last: _Moment | None = None
        self._measured = {int(size): (seconds, int(merges)) for size, seconds, merges in before}

    def told(self, ask: Ask, size: int) -> None:
        """Note that an ask was told.

        Args:
            ask: The ask.
            size: How many questions asks have at that time. The last block of a benchmark can have some more,
                and what is left of a block some fewer; with half of them or fewer the ask does not count.
        """
        before = self._last
        self._last = now = _Moment(size, self._clock(), self._merges())
        if before is not None and before.size == size and 2 * (ask.stop - ask.start) > size:
            seconds, merges = self._measured.get(size, (0.0, 0))
            self._measured[size] = (seconds + now.at - before.at, merges + now.merges - before.merges)

    def seconds(self) -> dict[int, float]:
        """Return the mean time of an ask by how many questions it was to have.

        The first ask of each size is left out: engines start, and prepare for the size of a batch.
        """
        return {size: seconds / merges for size, (seconds, merges) in self._measured.items() if merges}

    def as_json(self) -> list[list[float]]:
        """Return the study attribute `ASK_TIMES`."""
        return [[size, round(seconds, 6), merges] for size, (seconds, merges) in self._measured.items()]


class SizingStudy:
    """A study that chooses how many questions an ask has, as soon as what is asked first has shown the costs.

    Args:
        study: The study.
        price: What the judges charge.
        clock: Measures the asks.
        usd_per_hour: The price of the devices.
        most: The most questions that are sensible.
        note: Called with the choice.
    """

    def __init__(
        self,
        study: BlockStudy,
        price: JudgingPrice,
        clock: AskClock,
        *,
        usd_per_hour: float,
        most: int,
        note: Note,
    ) -> None:
        self._study = study
        self._price = price
        self._clock = clock
        self._usd_per_hour = usd_per_hour
        self._most = most
        self._note = note

    @property
    def asked(self) -> int:
        """How many questions were asked."""
        return self._study.asked

    @property
    def told(self) -> int:
        """How many of them have been told."""
        return self._study.told

    @property
    def may_ask(self) -> bool:
        """Whether the window has room for one more ask."""
        return self._study.may_ask

    def running(self) -> Sequence[Ask]:
        """Return what was asked but not told."""
        return self._study.running()

    def ask(self) -> Ask:
        """Return the next ask, after its size has been chosen if that is due."""
        if self._study.sizes.is_due(len(self._study.asks)):
            usd = self._price.usd(self._study.trials)
            costs = Costs(usd, self._clock.seconds(), self._usd_per_hour, priced=self._price.is_known)
            found = self._study.choose_size(costs, self._most)
            if found.final:
                self._note(str(found))
        return self._study.ask()

    def measure(self, ask: Ask) -> None:
        """Note that an ask was told, and store what was measured, if a size is still to be chosen."""
        if self._study.sizes.open:
            self._clock.told(ask, self._study.sizes.at(ask.number) or ASSUMED)
            self._study.record(ASK_TIMES, self._clock.as_json())


def merges_of(trace: Trace) -> int:
    """Return how many candidates were merged."""
    return sum(span.name == "merge" and span.track.startswith(ENGINE) for span in trace.spans)


def most_questions(run: RunSpec) -> int:
    """Return how many questions an engine answers at once, all of the search if it may."""
    questions = run.search_questions
    longest = max(sum(map(len, question.turns)) for question in questions)
    turns = max(len(question.turns) for question in questions)
    most = run.placement.batch_size(longest + turns * run.config.max_new_tokens)
    return min(len(questions), most or len(questions))


if TYPE_CHECKING:
    _study: type[AskAndTell[Ask]] = SizingStudy
