"""What the judges of a search charge for rating an answer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tvmerge.judging.client.ledger import Prices
from tvmerge.judging.client.pipeline import prices_of
from tvmerge.records import JUDGING_USD, Trial
from tvmerge.study.blocks.table import asks_of

if TYPE_CHECKING:
    from tvmerge.tasks.suite import TaskSuite


class JudgingPrice:
    """What a run's judges charge.

    Args:
        suite: The judges.
        batched: Whether requests are sent in batches.
    """

    def __init__(self, suite: TaskSuite, *, batched: bool) -> None:
        self._prices = [prices_of(spec, batched=batched) for spec in suite.specs]
        self._own = suite.rater is not None and not suite.specs

    @property
    def is_free(self) -> bool:
        """Whether no judge charges anything, as far as is known."""
        return not self._own and all(price == Prices(0.0, 0.0) for price in self._prices)

    @property
    def is_known(self) -> bool:
        """Whether all judges have a price, which may be 0."""
        return not self._own and None not in self._prices

    def usd(self, trials: Iterable[Trial]) -> float | None:
        """Return the mean price of judging an answer; None if it is not known, or not yet.

        Args:
            trials: The candidates of a search by blocks.
        """
        if self.is_free:
            return 0.0
        return usd_per_answer(trials) if self.is_known else None


def usd_per_answer(trials: Iterable[Trial]) -> float | None:
    """Return what judging an answer costs in USD on average; None while nothing is known to have cost.

    It is a function of the study alone, so that it depends neither on timing nor on what is in the cache.

    Args:
        trials: The candidates of a search by blocks.
    """
    priced = [trial for trial in trials if JUDGING_USD in trial.attrs]
    asks = [ask for trial in priced for ask in asks_of(trial) if ask.told and not ask.failed]
    answers = sum(ask.stop - ask.start for ask in asks)
    usd = math.fsum(trial.attrs[JUDGING_USD] for trial in priced)
    return usd / answers if answers and usd else None
