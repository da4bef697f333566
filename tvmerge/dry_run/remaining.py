"""The remaining work of a run: the known candidates, and the number of unknown ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.records import Question, Recipe, Sampling, Trial
from tvmerge.study.blocks.initial import LINE
from tvmerge.study.blocks.table import asks_of, is_under_way
from tvmerge.study.finalists import choose_baselines, choose_finalists
from tvmerge.study.make import asks_blocks, most_candidates
from tvmerge.study.space import is_density

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates that answer the same questions.

    Attributes:
        questions: The questions they answer.
        sampling: The sampling parameters.
        known: The recipes that are known.
        unknown: Maximum number of further candidates.
    """

    questions: tuple[Question, ...]
    sampling: Sampling
    known: tuple[Recipe, ...] = ()
    unknown: int = 0

    @property
    def number(self) -> int:
        """The number of all candidates."""
        return len(self.known) + self.unknown


@dataclass(frozen=True, slots=True)
class RemainingWork:
    """The remaining work of a run.

    Attributes:
        search: The trials.
        finalists: Number of candidates that the winner is chosen from.
        selection: The finalists, on the selection split of the held-out questions.
        test: The winner and the baselines, on the test split.
        searched: Contenders that have not answered all search questions but are compared on them.
    """

    search: Candidates
    finalists: int
    selection: Candidates
    test: Candidates
    searched: Candidates


def remaining_work(run_spec: RunSpec, trials: Sequence[Trial]) -> RemainingWork:
    """Return the remaining work of a run whose study has these trials.

    Raises:
        StudyError: The search has ended and no trial was scored.
    """
    search = _search(run_spec, trials)
    over = search.number == 0 and not is_under_way(trials)
    finalists = _finalists(run_spec, trials) if over else ()
    baselines, others = _baselines(run_spec, trials, over=over)
    candidates = most_candidates(run_spec.known_study.config, len(run_spec.search_questions))
    number = len(finalists) if over else min(run_spec.config.confirm_candidates, candidates)
    selection, test = run_spec.objective.halve(run_spec.holdout_questions, run_spec.config.optuna_seed)
    winner: tuple[Recipe, ...] = ()
    if number == 1 or not selection:
        number, finalists = 1, finalists[:1]
        selection, test = (), run_spec.holdout_questions
        winner = tuple(recipe for recipe in finalists if recipe not in baselines)
    # With a single scored candidate there is nothing to choose, and all answer both splits.
    most = number if over else max(number, 1 + len(baselines) + others)
    again = run_spec.confirm_sampling
    return RemainingWork(
        search=search,
        finalists=number,
        selection=Candidates(selection, again, finalists, most - len(finalists)),
        test=Candidates(test, again, (*baselines, *winner), others + (not finalists or bool(selection))),
        searched=_searched(run_spec, trials, baselines, others),
    )


def _searched(
    run_spec: RunSpec, trials: Sequence[Trial], baselines: tuple[Recipe, ...], others: int
) -> Candidates:
    """Return the contenders that answer search questions after the search.

    Those are baselines that will not be trials. If nothing is held out, they are compared on the search
    questions, which candidates of a search by blocks, and those that a race stopped, have not all answered.
    """
    if asks_blocks(run_spec.config.optuna_sampler) and not run_spec.holdout_questions:
        return Candidates(run_spec.search_questions, run_spec.sampling, baselines, 1 + others)
    stopped = [t.recipe for t in trials if t.state == "PRUNED" and t.recipe in baselines]
    known = (*_never_tried(run_spec, trials), *(() if run_spec.holdout_questions else stopped))
    return Candidates(run_spec.search_questions, run_spec.sampling, known)


def _never_tried(run_spec: RunSpec, trials: Sequence[Trial]) -> tuple[Recipe, ...]:
    """Return the baselines outside the range, and those that come after the last trial."""
    space, tried = run_spec.space, run_spec.enqueued
    if not asks_blocks(run_spec.config.optuna_sampler):
        tried = [*(trial.recipe for trial in trials), *tried[len(trials) : run_spec.config.n_trials]]
    return tuple(recipe for recipe in map(space.uniform, (0.0, 1.0)) if recipe not in tried)


def _search(run_spec: RunSpec, trials: Sequence[Trial]) -> Candidates:
    """Return the unfinished trials: those in flight, then those enqueued, then the unknown ones.

    In a search by blocks, as many unknown ones as would answer as many questions as are left.
    """
    if asks_blocks(run_spec.config.optuna_sampler):
        answers = sum(ask.stop - ask.start for trial in trials for ask in asks_of(trial) if ask.told)
        left = max(0, run_spec.config.n_trials - answers // len(run_spec.search_questions))
        return Candidates(run_spec.search_questions, run_spec.sampling, (), left)
    told = sum(trial.state != "RUNNING" for trial in trials)
    left = max(0, run_spec.config.n_trials - told)
    running = [trial.recipe for trial in trials if trial.state == "RUNNING"]
    known = (*running, *run_spec.enqueued[len(trials) :])[:left]
    return Candidates(run_spec.search_questions, run_spec.sampling, known, left - len(known))


def _finalists(run_spec: RunSpec, trials: Sequence[Trial]) -> tuple[Recipe, ...]:
    return tuple(trial.recipe for trial in choose_finalists(trials, run_spec.config.confirm_candidates))


def _baselines(run_spec: RunSpec, trials: Sequence[Trial], *, over: bool) -> tuple[tuple[Recipe, ...], int]:
    """Return the known baselines and the number of unknown ones.

    The best uniform weight is unknown until the search ends, unless no other uniform weights are tried.
    """
    if over:
        models = {baseline.model: baseline.recipe for baseline in choose_baselines(run_spec.space, trials)}
        return tuple(models.values()), 0
    weights = [name for name in run_spec.space.names if not is_density(name)]
    line = LINE if asks_blocks(run_spec.config.optuna_sampler) else ()
    uniform = (*run_spec.config.uniform_weights, *line)
    more = len(weights) == 1 or any(w not in (0, 1) and run_spec.space.holds(w) for w in uniform)
    return (run_spec.space.uniform(0.0), run_spec.space.uniform(1.0)), int(more)
