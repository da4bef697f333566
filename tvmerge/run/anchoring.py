"""Whether the judge that rates everything and its anchor agree enough to pay for both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tvmerge.errors import ConfigError
from tvmerge.judging.client.chat import Usage
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import prices_of
from tvmerge.judging.spec import JudgeSpec
from tvmerge.scoring.double_sampling import correlation, least_correlation, relative_variance, upper_limit
from tvmerge.study.blocks.anchor import pairs_of
from tvmerge.study.blocks.study import Told
from tvmerge.study.blocks.table import Ask
from tvmerge.tasks.suite import TaskSuite

LEAST_PAIRS = 40
"""Answers rated by both judges before their agreement is tested; it is tested again at each doubling."""

ASSUMED_RATIO = 0.1
"""Cost of a cheap rating beside an expensive one, if a price is unknown."""

_USUAL = Usage(1000, 300)  # tokens of a call, until the ledger has one


@dataclass(frozen=True, slots=True)
class Agreed:
    """How far the two judges agree, and what that is worth.

    Attributes:
        pairs: Answers that both have rated.
        rho: The correlation of their ratings; nan if it is not defined.
        ratio: Cost of a rating of everything, divided by that of a rating of the sample.
        known: Whether this ratio comes from prices; else it is assumed.
        fraction: The fraction of answers that both rate.
    """

    pairs: int
    rho: float
    ratio: float
    known: bool
    fraction: float

    @property
    def pays(self) -> bool:
        """Whether two judges may pay, at the upper end of the correlation's 95% interval."""
        if math.isnan(self.rho):
            return True
        upper = upper_limit(self.rho, self.pairs)
        return upper > 0 and upper >= least_correlation(self.ratio, self.fraction)

    def __str__(self) -> str:
        """A sentence without a full stop."""
        found = "is not defined" if math.isnan(self.rho) else f"is {self.rho:.2f}"
        return f"the correlation of the judges' ratings of {self.pairs} answers {found}"


class AgreementCheck:
    """Stops a search whose two judges do not agree enough to pay for both.

    Args:
        suite: The judges; without an anchor nothing is checked.
        anyway: Whether to go on nevertheless.
    """

    def __init__(self, suite: TaskSuite, *, anyway: bool) -> None:
        self._anchor = suite.anchor
        self._specs, self._ledger = suite.specs, suite.ledger
        self._anyway = anyway

    def check(self, before: Sequence[Ask], ask: Ask, told: Told) -> None:
        """Check the agreement if the scores about to be told complete 40 pairs, 80, 160 and so on.

        Nothing is told before the check, so a run that is started again comes to the same check.

        Args:
            before: The asks so far.
            ask: The ask that is answered.
            told: What the study is about to be told of it.

        Raises:
            ConfigError: The judges do not agree enough; says what to do.
        """
        if self._anyway or self._anchor is None:
            return
        old = _pairs(before)
        new = [*old, *_pairs([replace(ask, scores=told.scores, anchor=told.anchor)])]
        if _looks(len(new)) == _looks(len(old)):
            return
        found = self._agreed(new, self._anchor.fraction)
        if not found.pays:
            raise ConfigError(_refusal(self._anchor.judge.name, found))

    def _agreed(self, pairs: Sequence[tuple[float, float]], fraction: float) -> Agreed:
        *cheap, expensive = (_cost(spec, self._ledger) for spec in self._specs)
        ratio, known = ASSUMED_RATIO, False
        if expensive is not None and None not in cheap:
            whole = math.fsum(cost for cost in cheap if cost is not None)
            if expensive or whole:
                ratio, known = whole / expensive if expensive else math.inf, True
        return Agreed(len(pairs), correlation(pairs), ratio, known, fraction)

    def remark(self, asks: Sequence[Ask]) -> str | None:
        """What the second judge was worth, for the end of a search; None without one."""
        if self._anchor is None:
            return None
        found = self._agreed(_pairs(asks), self._anchor.fraction)
        if math.isnan(found.rho) or math.isinf(found.ratio):
            return f"{found}"
        share = relative_variance(found.rho, found.ratio, found.fraction)
        return (
            f"{found}; at equal cost the variance of a score is {share:.2f} times that with "
            f"{self._anchor.judge.name} alone ({_price(found)})"
        )


def anchor_remarks(suite: TaskSuite, answers: int) -> Iterator[str]:
    """Return a remark on a search too short to compare its two judges; none for others.

    Args:
        suite: The judges.
        answers: How many answers the search asks for.
    """
    if suite.anchor is None or answers * suite.anchor.fraction >= LEAST_PAIRS:
        return
    yield (
        f"{suite.anchor.judge.name} will rate about {answers * suite.anchor.fraction:.0f} of the search's "
        f"{answers:,} answers; with fewer than {LEAST_PAIRS} its scale is known roughly, and whether it "
        "pays is not tested"
    )


def _pairs(asks: Sequence[Ask]) -> list[tuple[float, float]]:
    return [(pair.score, pair.anchor) for pair in pairs_of(asks)]


def _looks(pairs: int) -> int:
    """How often the agreement has been tested once there are so many pairs."""
    return (pairs // LEAST_PAIRS).bit_length()


def _cost(spec: JudgeSpec, ledger: Ledger) -> float | None:
    """USD per call: what was paid, or at the judge's prices for a usual call; None if these are unknown."""
    used = next((row for row in ledger.usage() if row.judge == spec.name), None)
    if used is not None and used.calls and used.cost is not None:
        return used.cost / used.calls
    prices = prices_of(spec)
    return None if prices is None else prices.cost(_USUAL)


def _refusal(name: str, found: Agreed) -> str:
    least = least_correlation(found.ratio, found.fraction)
    needed = f"{least:.2f} is needed" if least < 1 else "no correlation is enough"
    return (
        f"two judges do not pay here: {found} (upper 95% limit "
        f"{upper_limit(found.rho, found.pairs):.2f}), and {needed} at {_price(found)}; use --judge "
        f"{name} without --judge-anchor (with --fork NEW, which keeps the answers), or go on with "
        "--judge-anchor-anyway"
    )


def _price(found: Agreed) -> str:
    source = "" if found.known else ", which is assumed since a price is unknown"
    return f"a cost per rating of {found.ratio:.2g} to 1{source}"
