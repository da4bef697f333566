"""The study: asked in memory, stored in Optuna's storage, and resumed exactly after any interruption.

Trials are asked of an in-memory Optuna study, and each is written to the user's storage in one transaction
with all of its parameters. So no trial is stored in part, a database needs one commit per trial instead of
one per parameter, and all tools of Optuna can read the study.

The window makes asynchronous trials deterministic: with a window of w, trial n is asked when exactly the
trials 0 to n - w have been told, and trials are told in order of their numbers. So the weights of a trial
depend on the seed and the scores, never on the order in which scores arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tvmerge.errors import StudyError
from tvmerge.records import Recipe, Trial
from tvmerge.study.pareto import pareto_front
from tvmerge.study.ranking import best_of
from tvmerge.study.sampler_view import ENQUEUED, INHERITED, SamplerView
from tvmerge.study.space import Space
from tvmerge.study.storage import translated
from tvmerge.study.store.base import TrialResult
from tvmerge.study.store.open import open_trial_store
from tvmerge.study.stored_search import StoredSearch
from tvmerge.study.trials import trial_of

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from tvmerge.study.sampler import SamplerFactory


class SearchStudy(StoredSearch):
    """A resumable maximisation study over a `Space`.

    Args:
        storage: The storage of the study.
        study_id: The study's id in the storage.
        space: The search space.
        sampler: Makes the sampler of each trial.
        enqueued: Recipes to try first, as trials 0, 1, ...
        inherited: Recipes to try next as if the sampler had drawn them: those of a forked study, by their
            numbers there.
        window: Maximum number of trials in flight.
        still_held: Raises `StudyError` if another run has taken over the study; called before each write.

    Attributes:
        objectives: Number of objectives.

    Raises:
        StudyError: The storage cannot be read.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study_id: int,
        space: Space,
        sampler: SamplerFactory,
        *,
        enqueued: Sequence[Recipe] = (),
        inherited: Mapping[int, Recipe] = MappingProxyType({}),
        window: int = 1,
        still_held: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(storage, study_id, still_held)
        self._sampler = sampler
        self._enqueued: list[tuple[Recipe, dict[str, Any]]] = [
            (recipe, {ENQUEUED: True}) for recipe in enqueued
        ]
        self._enqueued += [(recipe, {INHERITED: number}) for number, recipe in inherited.items()]
        self._window = window
        self._space = space
        self._distributions = distributions(space)
        with translated(storage):
            self.objectives = len(storage.get_study_directions(study_id))
            self._store = open_trial_store(storage, study_id)
            self._rows = self._store.read()
        self._trials = [trial_of(row, space) for row in self._rows]
        self._told = sum(trial.state != "RUNNING" for trial in self._trials)
        self._leaders: list[int | None] = [None]
        for trial in self._trials[: self._told]:
            self._lead(trial)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in order of number."""
        return tuple(self._trials)

    @property
    def asked(self) -> int:
        """The number of trials that have been asked."""
        return len(self._trials)

    @property
    def told(self) -> int:
        """The number of trials that have been told, which are the first ones."""
        return self._told

    @property
    def may_ask(self) -> bool:
        """Whether the window has room for another trial in flight."""
        return self.asked - self.told < self._window

    def running(self) -> tuple[Trial, ...]:
        """Return the trials that were asked but not told: in flight, or left by an interrupted run."""
        return tuple(self._trials[self._told :])

    @property
    def best(self) -> Trial | None:
        """The scored trial with the highest score, the earliest of equal ones."""
        return self._leader_of(self._told)

    def known_at(self, number: int) -> tuple[Trial, ...]:
        """Return the trials that had been told when trial `number` was asked."""
        return tuple(self._trials[: self._due(number)])

    def best_known_at(self, number: int) -> Trial | None:
        """Return the best of the trials that had been told when trial `number` was asked."""
        return self._leader_of(self._due(number))

    def ask(self) -> Trial:
        """Return the next candidate, after writing it to the storage.

        Raises:
            StudyError: The storage cannot be written, or another run has taken over the study.
        """
        self._still_held()
        number = self.asked
        if number < len(self._enqueued):
            row = self._undrawn(number)
            self._view.add(row)
        else:
            self._view.advance(self.known_at(number))
            row = self._view.ask(self._sampler(number), self._distributions)
        with translated(self._storage):
            self._store.add(row)
        self._trials.append(trial_of(row, self._space))
        return self._trials[number]

    def _undrawn(self, number: int) -> FrozenTrial:
        """Return a running trial with weights that were not drawn by this study's sampler."""
        from optuna.trial import TrialState, create_trial

        recipe, attrs = self._enqueued[number]
        row = create_trial(
            state=TrialState.RUNNING,
            params=dict(recipe.weights),
            distributions=dict(self._distributions),
            user_attrs=attrs,
        )
        row.number = number
        return row

    def tell(
        self,
        number: int,
        values: float | Sequence[float] | None,
        attrs: Mapping[str, Any],
        *,
        state: Literal["COMPLETE", "PRUNED"] = "COMPLETE",
    ) -> None:
        """Record a trial's score, one score per objective, or None if it failed.

        Trials are told in order of number. The attributes are stored before the state, so that every finished
        trial has them.

        Args:
            number: The trial's number.
            values: Its scores.
            attrs: User attributes to store, as JSON data.
            state: PRUNED for a trial that was stopped early. Samplers use its values, estimated from
                `attrs["questions"]` questions, as scores, but it is never the best trial.

        Raises:
            StudyError: A lower trial has not been told, the number of scores is not that of the objectives,
                the storage cannot be written, or another run has taken over the study.
        """
        if number != self.told:
            raise StudyError(f"trial {number} cannot be told before trial {self.told}")
        scores = (float(values),) if isinstance(values, int | float) else tuple(values or ())
        if scores and len(scores) != self.objectives:
            raise StudyError(f"trial {number} has {len(scores)} scores for {self.objectives} objectives")
        step = int(attrs["questions"]) if scores and state == "PRUNED" else None
        result = TrialResult(state if scores else "FAIL", scores, attrs, step)
        self._still_held()
        with translated(self._storage):
            self._store.tell(number, result)
        asked = self._trials[number]
        self._trials[number] = replace(
            asked,
            value=scores[0] if scores else None,
            state=result.state,
            attrs={**asked.attrs, **attrs},
            values=scores,
        )
        self._told += 1
        self._lead(self._trials[number])
        self.note_trial(number)

    @cached_property
    def _view(self) -> SamplerView:
        """The study as samplers see it; a finished search is resumed without."""
        rows, self._rows = self._rows, []
        return SamplerView(rows, self.objectives)

    def _due(self, number: int) -> int:
        """Return how many trials had been told when trial `number` was asked."""
        return min(max(0, number - self._window + 1), self._told)

    def _leader_of(self, told: int) -> Trial | None:
        """Return the best of the first `told` trials."""
        number = self._leaders[told]
        return None if number is None else self._trials[number]

    def _lead(self, trial: Trial) -> None:
        """Note the best trial up to one that was told, so that a long study is not searched for it again."""
        known = [found for found in (self._leader_of(len(self._leaders) - 1), trial) if found is not None]
        best = best_of(known)
        self._leaders.append(None if best is None else best.number)

    def front(self) -> tuple[Trial, ...]:
        """Return the Pareto front of the scored trials, in order of number."""
        return pareto_front(self._trials)


def distributions(space: Space) -> dict[str, Any]:
    """Return Optuna's distribution of each weight."""
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(*space.bounds(name)) for name in space.names}
