"""Who is still to answer what in a run: the candidates that are known by now, and how many that are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.records import Question, Recipe, Sampling, Trial
from tvmerge.run.holdout import choose_baselines, choose_finalists
from tvmerge.study.space import is_density

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates that answer the same questions.

    Attributes:
        questions: What they answer.
        sampling: How.
        known: Those whose weights are known.
        unknown: How many others there are, at most.
    """

    questions: tuple[Question, ...]
    sampling: Sampling
    known: tuple[Recipe, ...] = ()
    unknown: int = 0

    @property
    def number(self) -> int:
        """All of them."""
        return len(self.known) + self.unknown


@dataclass(frozen=True, slots=True)
class RemainingWork:
    """What is left of a run.

    Attributes:
        search: The trials.
        finalists: How many candidates the winner is chosen from.
        choosing: The finalists, on the half of the held-out questions that the winner is chosen on.
        reporting: The winner and its rivals, on the other half.
        searched: Rivals that are no trials, on the questions of the search.
    """

    search: Candidates
    finalists: int
    choosing: Candidates
    reporting: Candidates
    searched: Candidates


def remaining_work(ground: RunSpec, trials: Sequence[Trial]) -> RemainingWork:
    """What is left of a run whose study has these trials.

    Raises:
        StudyError: The search is over and no trial was scored.
    """
    search = _search(ground, trials)
    over = search.number == 0
    finalists = _finalists(ground, trials) if over else ()
    rivals, others = _rivals(ground, trials, over=over)
    number = len(finalists) if over else min(ground.config.confirm_candidates, ground.config.n_trials)
    choosing, reporting = ground.objective.halve(ground.holdout_questions, ground.config.optuna_seed)
    if number == 1:
        choosing, reporting = (), ground.holdout_questions
    # Where one candidate alone is scored there is nothing to choose, and all answer both halves.
    most = number if over else max(number, 1 + len(rivals) + others)
    again = ground.confirm_sampling
    outside = tuple(ground.space.uniform(w) for w in (0.0, 1.0) if not ground.space.holds(w))
    return RemainingWork(
        search=search,
        finalists=number,
        choosing=Candidates(choosing, again, finalists, most - len(finalists)),
        reporting=Candidates(reporting, again, rivals, 1 + others),
        searched=Candidates(ground.search_questions, ground.sampling, outside),
    )


def _search(ground: RunSpec, trials: Sequence[Trial]) -> Candidates:
    """The trials that are not told: those in flight, then those enqueued, then the unknown."""
    told = sum(trial.state != "RUNNING" for trial in trials)
    left = max(0, ground.config.n_trials - told)
    running = [trial.recipe for trial in trials if trial.state == "RUNNING"]
    known = (*running, *ground.enqueued[len(trials) :])[:left]
    return Candidates(ground.search_questions, ground.sampling, known, left - len(known))


def _finalists(ground: RunSpec, trials: Sequence[Trial]) -> tuple[Recipe, ...]:
    return tuple(trial.recipe for trial in choose_finalists(trials, ground.config.confirm_candidates))


def _rivals(ground: RunSpec, trials: Sequence[Trial], *, over: bool) -> tuple[tuple[Recipe, ...], int]:
    """What the winner is compared with: the recipes that are known, and how many are not.

    While the search continues, the best uniform weight is not known; it is one of the baselines where no
    other uniform weight is tried.
    """
    if over:
        models = {entrant.model: entrant.recipe for entrant in choose_baselines(ground.space, trials)}
        return tuple(models.values()), 0
    weights = [name for name in ground.space.names if not is_density(name)]
    more = len(weights) == 1 or any(weight not in (0, 1) for weight in ground.config.uniform_weights)
    return (ground.space.uniform(0.0), ground.space.uniform(1.0)), int(more)
