"""Who was asked what: the table that a search by blocks of questions is a function of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmerge.records import FAILURE, MEAN, Trial
from tvmerge.study.blocks.model import Ratings

if TYPE_CHECKING:
    from tvmerge.study.blocks.metric import Floats

BLOCKS = "blocks"
"""Trial attribute: its asks as rows (number, first question, behind the last, scores), in order.

The scores are null before the ask is told, and empty where the candidate cannot be scored. With an anchor, a
row that is told ends with the anchor's scores, null for questions that it did not rate.
"""

ESTIMATE = (MEAN, "se", "n")
"""Trial attributes: the mean and the standard deviation of its estimated score, and its number of ratings."""

Scores = tuple[float | None, ...]
"""What each question of a block adds to the score; None where no judgment gave a rating."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A block of questions that a candidate was asked.

    Attributes:
        number: Its place among all asks, from 0.
        trial: Number of the candidate's trial.
        start: Place of its first question in the order of the search.
        stop: Place behind its last question.
        scores: One a question; none where the candidate cannot be scored; None before it is told.
        anchor: The anchor's scores, one a question, None where it did not rate; None without an anchor.
    """

    number: int
    trial: int
    start: int
    stop: int
    scores: Scores | None = None
    anchor: Scores | None = None

    @property
    def told(self) -> bool:
        """Whether it is known what became of it."""
        return self.scores is not None

    @property
    def failed(self) -> bool:
        """Whether the candidate turned out to be no usable model."""
        return self.scores == ()

    @property
    def row(self) -> list[Any]:
        """Its row in the attribute `BLOCKS`."""
        scores = None if self.scores is None else list(self.scores)
        anchor = [] if self.anchor is None else [list(self.anchor)]
        return [self.number, self.start, self.stop, scores, *anchor]


@dataclass(frozen=True)
class Table:
    """The asks that a decision may depend on.

    Attributes:
        weights: The candidates' weights by trial number, each scaled to [0, 2], shape (m, d).
        known: The asks whose scores may be used.
        pending: The asks in flight.
        questions: How many questions the search has.
        block: How many questions the next ask has; None if the sampler's settings or its default say so.
    """

    weights: Floats
    known: Sequence[Ask]
    pending: Sequence[Ask]
    questions: int
    block: int | None = None

    @property
    def anchored(self) -> bool:
        """Whether an anchor rates some of the answers."""
        return any(ask.anchor is not None for ask in self.known)

    @property
    def failed(self) -> frozenset[int]:
        """The candidates that are known to be unusable."""
        return frozenset(ask.trial for ask in self.known if ask.failed)

    def asked(self, trial: int) -> frozenset[int]:
        """The places of the questions that a candidate was asked."""
        asks = (ask for ask in (*self.known, *self.pending) if ask.trial == trial)
        return frozenset(place for ask in asks for place in range(ask.start, ask.stop))

    def ratings(self, point: float, first: int | None = None) -> tuple[Ratings, list[int], Floats]:
        """The scores for the model, of the candidates that are usable.

        Args:
            point: What a ninth of the scale is in scores.
            first: Use only so many of the known asks; None uses all, and those in flight.

        Returns:
            The ratings, the trial number of each of its rows, and where ratings are pending.
        """
        import numpy as np

        known = self.known[:first]
        pending = self.pending if first is None else ()
        failed = frozenset(ask.trial for ask in known if ask.failed)
        trials = sorted({ask.trial for ask in (*known, *pending)} - failed)
        row = {trial: index for index, trial in enumerate(trials)}
        scores = np.zeros((len(trials), self.questions))
        counts, waiting = np.zeros_like(scores), np.zeros_like(scores)
        for ask in known:
            if ask.trial in row and ask.scores is not None:
                for place, score in enumerate(ask.scores, start=ask.start):
                    if score is not None:
                        scores[row[ask.trial], place] = score / point
                        counts[row[ask.trial], place] = 1
        for ask in pending:
            if ask.trial in row:
                waiting[row[ask.trial], ask.start : ask.stop] = 1
        return Ratings(self.weights[trials], scores, counts), trials, waiting


def is_under_way(trials: Iterable[Trial]) -> bool:
    """Whether a search by blocks has neither ended nor been paused, so that no trial is known to be the best.

    A trial that was asked again has no score, and those of the others are from before.
    """
    return any(not trial.told and any(ask.told for ask in asks_of(trial)) for trial in trials)


def asks_of(trial: Trial) -> list[Ask]:
    """What a candidate was asked, in order; nothing in a study that asks whole trials."""
    return [
        Ask(
            number,
            trial.number,
            start,
            stop,
            None if scores is None else tuple(scores),
            *map(tuple, anchor),
        )
        for number, start, stop, scores, *anchor in trial.attrs.get(BLOCKS, ())
    ]


def open_attrs(trial: Trial) -> dict[str, Any]:
    """The attributes of a trial without those it got at its end, which no longer hold if it runs again."""
    failed = any(ask.failed for ask in asks_of(trial))
    ending = ESTIMATE if failed else (*ESTIMATE, FAILURE)
    return {key: value for key, value in trial.attrs.items() if key not in ending}
