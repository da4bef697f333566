"""How a search stands, for its display: the baselines, what the judges have used, what is ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from tvmerge.records import Trial
from tvmerge.report.numbers import weight
from tvmerge.report.terminal.state import Counts, Spent
from tvmerge.study.ranking import ranked_with_stopped
from tvmerge.study.space import uniform_weight

if TYPE_CHECKING:
    from tvmerge.judging.client.ledger import Ledger
    from tvmerge.run.build import Run

BASELINES = 3
"""Maximum number of baselines: weight 0, weight 1 and the best uniform weight."""


def baselines_among(ranked: Iterable[Trial]) -> dict[str, Trial]:
    """Return weight 0, weight 1 and the best uniform weight, by name, as far as they have a score.

    Args:
        ranked: Trials with a score, the best first.
    """
    uniform = [(uniform_weight(trial.recipe), trial) for trial in ranked]
    known = [(value, trial) for value, trial in uniform if value is not None]
    found = {f"weight {value:g}": trial for value, trial in known if value in {0.0, 1.0}}
    best = next(((value, trial) for value, trial in known if value not in {0.0, 1.0}), None)
    named = {} if best is None else {f"uniform {weight(best[0])}": best[1]}
    return {**dict(sorted(found.items())), **named}


class SearchStanding:
    """How a search of whole trials stands, noted trial by trial, so that a long search takes no longer.

    Args:
        told: The trials that have been told.

    Attributes:
        baselines: Those that have a score, as from `baselines_among`.
    """

    def __init__(self, told: Iterable[Trial]) -> None:
        self._counts = Counts()
        self.baselines: Mapping[str, Trial] = {}
        for trial in told:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Note a trial that was told."""
        self._counts += Counts.of([trial], ())
        if uniform_weight(trial.recipe) is not None:
            self.baselines = baselines_among(ranked_with_stopped([*self.baselines.values(), trial]))

    def counts(self, running: int) -> Counts:
        """Return how many trials are in each state.

        Args:
            running: The number of those that have not been told.
        """
        return self._counts + Counts(running=running)


def spent_by(run: Run) -> Callable[[], Spent]:
    """Return what tells how much the judges of a run have used."""
    return spent_in(run.suite.ledger, run.config.max_judge_calls, run.config.max_cost)


def spent_in(ledger: Ledger, max_calls: int | None, max_cost: float | None) -> Callable[[], Spent]:
    """Return what tells how much is in a ledger, with the limits of calls and of their cost in USD."""

    def spent() -> Spent:
        return Spent(
            calls=ledger.requests,
            hits=ledger.hits,
            cost=ledger.cost,
            priced=ledger.priced,
            max_calls=max_calls,
            max_cost=max_cost,
        )

    return spent


def answers_ahead(run: Run, finalists: int, baselines: int = BASELINES) -> int:
    """Return the maximum number of answers in the comparison of the finalists.

    Args:
        run: The run.
        finalists: Maximum number of finalists.
        baselines: Maximum number of baselines.
    """
    holdout, seed = run.holdout_questions, run.config.optuna_seed
    if not holdout:
        return 0
    selection, test = run.objective.halve(holdout, seed) if finalists > 1 else ((), holdout)
    asked = finalists * len(selection) + (1 + baselines) * len(test)
    return asked * run.confirm_sampling.samples
