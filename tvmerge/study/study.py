"""The study: asked in memory, journalled in Optuna's storage, exact after any interruption.

Trials are asked of an in-memory Optuna study, and each is written to the user's storage whole, parameters
and all, in one transaction. So no half-asked row can exist, a database costs one commit a trial instead of
one a parameter, and any storage that Optuna knows holds a table that any Optuna tool reads.

The window makes asynchrony deterministic: with `window` trials in flight, trial n is asked when exactly
the trials 0 .. n - window have been told, and trials are told in order of their numbers. What is asked
depends on the seed and on the scores, never on which score came first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tvmerge.errors import StudyError
from tvmerge.records import Recipe, Trial
from tvmerge.study.pareto import pareto_front
from tvmerge.study.sampler_view import ENQUEUED, INHERITED, SamplerView
from tvmerge.study.space import Space
from tvmerge.study.storage import close_storage, translated
from tvmerge.study.store.base import TrialResult
from tvmerge.study.store.open import open_trial_store
from tvmerge.study.trials import trial_of

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from tvmerge.study.sampler import SamplerFactory


class SearchStudy:
    """A resumable maximisation study over a `Space`.

    Args:
        storage: Where the study is journalled.
        study_id: The study's id in the storage.
        space: The weights searched.
        sampler: Makes the sampler of each trial.
        enqueued: Recipes to try first, as trials 0, 1, ...
        inherited: Recipes to try next as if the sampler had drawn them: those of a forked study, by the
            numbers they had in it.
        window: The most trials in flight.
        still_held: Raises `StudyError` where the study is not this run's any more; asked before each write.

    Attributes:
        objectives: How many scores per trial has.

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
        self._storage = storage
        self._still_held = still_held
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
            rows = self._store.read()
        self._view = SamplerView(rows, self.objectives)
        self._trials = [trial_of(row, space) for row in rows]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in order of number."""
        return tuple(self._trials)

    @property
    def asked(self) -> int:
        """How many trials have been asked."""
        return len(self._trials)

    @property
    def told(self) -> int:
        """How many trials have been told; they are the first ones."""
        return self.asked - len(self.running())

    @property
    def may_ask(self) -> bool:
        """Whether the window has room for one more trial in flight."""
        return len(self.running()) < self._window

    def running(self) -> tuple[Trial, ...]:
        """Trials asked and not told: in flight, or left so by a run that ended before its time."""
        return tuple(trial for trial in self._trials if trial.state == "RUNNING")

    def known_at(self, number: int) -> tuple[Trial, ...]:
        """The trials that were told when trial `number` was asked, whatever was told since."""
        due = max(0, number - self._window + 1)
        return tuple(self._trials[: min(due, self.told)])

    def ask(self) -> Trial:
        """The next candidate, already written to the storage when this returns.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
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
        """A running trial with weights that no sampler of this study drew."""
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
        """Record a trial's score, or one score per objective, or with None that it failed.

        Trials are told in order of number; the attributes are stored before the state changes, so that a
        trial that is told has them.

        Args:
            number: The trial.
            values: Its scores.
            attrs: What to record with them, as plain JSON data.
            state: PRUNED for a trial that was stopped early: samplers take the values, which estimate its
                scores from `attrs["questions"]` questions, for scores; it is never the best.

        Raises:
            StudyError: It is not this trial's turn, it has not as many scores as the study has objectives,
                the storage cannot be written, or another run took the study over.
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

    def front(self) -> tuple[Trial, ...]:
        """The scored trials that no other beats, in order of number: the Pareto front."""
        return pareto_front(self._trials)

    def close(self) -> None:
        """Close the connections to the storage; what is known of the trials stays readable."""
        close_storage(self._storage)


def distributions(space: Space) -> dict[str, Any]:
    """Optuna's distribution for each weight."""
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(*space.bounds(name)) for name in space.names}
