"""How far a run has come that has not ended."""

from __future__ import annotations

from dataclasses import dataclass

from tvmerge.report.language import tr
from tvmerge.report.numbers import count, plus_minus


@dataclass(frozen=True, slots=True)
class Unfinished:
    """How far a run has come that has not ended.

    Attributes:
        unit: What is counted: `answer` in a search by blocks, else `trial`.
        done: How many have been told.
        total: How many the run works towards; None if unknown.
        held: Whether a run is working on it.
        rough: Whether scores are the plain means of few answers.
        leader: The trial with the best score so far.
        mean: Its score.
        se: Its standard error; None if unknown.
    """

    unit: str
    done: int
    total: int | None
    held: bool
    rough: bool
    leader: int
    mean: float | None
    se: float | None

    @property
    def sentence(self) -> str:
        """How far it has come, in sentences that claim no gain."""
        done = count(self.done, self.unit)
        if self.total is not None:
            done = tr("{done} of {total}", done=self.done, total=count(self.total, self.unit))
        working = tr("a run is working on it") if self.held else tr("no run is working on it now")
        basis = tr("plain means of few answers") if self.rough else tr("scores it was chosen by")
        return tr(
            "This run has not ended: {done}, and {working}. So far trial {n} leads with {score}. These are "
            "{basis}, so this says nothing yet about a gain: the comparison on held-out questions comes at "
            "the end of the run.",
            done=done,
            working=working,
            n=self.leader,
            score=plus_minus(self.mean, self.se),
            basis=basis,
        )
