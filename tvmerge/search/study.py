"""The study: asked in memory, journalled in Optuna's storage, exact after any interruption.

Trials are asked of an in-memory Optuna study, and each is written to the user's storage whole, parameters
and all, in one transaction. So no half-asked row can exist, a database costs one commit a trial instead of
one a parameter, and any storage that Optuna knows holds a table that any Optuna tool reads.

The window makes asynchrony deterministic: with `window` trials in flight, trial n is asked when exactly
the trials 0 .. n - window have been told, and trials are told in order of their numbers. What is asked
depends on the seed and on the scores, never on which score came first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tvmerge.errors import StudyError
from tvmerge.records import Recipe, Trial
from tvmerge.search.journal import open_journal
from tvmerge.search.space import Space
from tvmerge.search.storage import translated

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from tvmerge.search.samplers import SamplerFactory

FIXED = "fixed"
"""Trial attribute of trials whose weights were given, not drawn by the sampler."""


class SearchStudy:
    """A resumable maximisation study over a `Space`.

    Args:
        storage: Where the study is journalled.
        study_id: The study's id in the storage.
        space: The weights searched.
        sampler: Makes the sampler of each trial.
        fixed: Recipes to try first, as trials 0, 1, ...
        window: The most trials in flight.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study_id: int,
        space: Space,
        sampler: SamplerFactory,
        *,
        fixed: Sequence[Recipe] = (),
        window: int = 1,
    ) -> None:
        from optuna.storages import InMemoryStorage
        from optuna.study import create_study

        self._storage = storage
        self._space = space
        self._sampler = sampler
        self._fixed = tuple(fixed)
        self._window = window
        self._distributions = distributions(space)
        memory = InMemoryStorage()
        self._memory = create_study(storage=memory, direction="maximize")
        self._mirror = open_journal(memory, memory.get_study_id_from_name(self._memory.study_name))
        with translated(storage):
            rows = storage.get_all_trials(study_id)
            self._journal = open_journal(storage, study_id)
        self._memory.add_trials(sorted(rows, key=lambda row: row.number))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in order of number."""
        return tuple(as_trial(row, self._space) for row in self._rows())

    @property
    def asked(self) -> int:
        """How many trials have been asked."""
        return len(self._rows())

    @property
    def told(self) -> int:
        """How many trials have been told; they are the first ones."""
        return sum(trial.state != "RUNNING" for trial in self.trials)

    @property
    def may_ask(self) -> bool:
        """Whether the window has room for one more trial in flight."""
        return self.asked - self.told < self._window

    def running(self) -> tuple[Trial, ...]:
        """Trials asked and not told: in flight, or left so by a run that ended before its time."""
        return tuple(trial for trial in self.trials if trial.state == "RUNNING")

    def ask(self) -> Trial:
        """The next candidate, already written to the storage when this returns.

        Raises:
            StudyError: The storage cannot be written.
        """
        number = self.asked
        if number < len(self._fixed):
            self._memory.add_trial(self._given(self._fixed[number]))
        else:
            self._memory.add_trial(self._drawn(number))
        row = self._rows()[number]
        with translated(self._storage):
            self._journal.add(row)
        return as_trial(row, self._space)

    def _drawn(self, number: int) -> FrozenTrial:
        """Trial `number` as the sampler draws it, from what a run that never stopped would know then.

        A finished run that is made longer has told more trials than the window lets trial `number` see;
        they count as running here.
        """
        view = self._view(number - self._window)
        view.sampler = self._sampler(number)
        view.ask(self._distributions)
        return view.get_trials(deepcopy=False)[number]

    def _view(self, last: int) -> Study:
        """The study as it is when trial `last` is the last one told."""
        if self.told <= last + 1:
            rows = self._rows()
        else:
            rows = [row if row.number <= last else _untold(row) for row in self._rows()]
        from optuna.storages import InMemoryStorage
        from optuna.study import create_study

        view = create_study(storage=InMemoryStorage(), direction="maximize")
        view.add_trials(rows)
        return view

    def _given(self, recipe: Recipe) -> FrozenTrial:
        """A running trial with weights that no sampler drew."""
        from optuna.trial import TrialState, create_trial

        return create_trial(
            state=TrialState.RUNNING,
            params=dict(recipe.weights),
            distributions=dict(self._distributions),
            user_attrs={FIXED: True},
        )

    def tell(self, number: int, value: float | None, attrs: Mapping[str, Any]) -> None:
        """Record a trial's score, or with None that it failed.

        Trials are told in order of number; the attributes are stored before the state changes, so that a
        trial that is told has them.

        Raises:
            StudyError: It is not this trial's turn, or the storage cannot be written.
        """
        from optuna.trial import TrialState

        if number != self.told:
            raise StudyError(f"trial {number} cannot be told before trial {self.told}")
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        with translated(self._storage):
            self._journal.tell(number, state.name, value, attrs)
        self._mirror.tell(number, state.name, value, attrs)

    def _rows(self) -> list[FrozenTrial]:
        return self._memory.get_trials(deepcopy=False)

    def best(self) -> Trial | None:
        """The trial with the highest score, the earliest of equals."""
        complete = [trial for trial in self.trials if trial.value is not None]
        return max(complete, key=lambda t: (t.value, -t.number)) if complete else None


def distributions(space: Space) -> dict[str, Any]:
    """Optuna's distribution for each weight."""
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(*space.bounds(name)) for name in space.names}


def _untold(row: FrozenTrial) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.RUNNING,
        params=row.params,
        distributions=row.distributions,
        user_attrs=row.user_attrs,
        system_attrs=row.system_attrs,
    )


def as_trial(row: FrozenTrial, space: Space) -> Trial:
    """A trial of Optuna's as a `Trial`."""
    return Trial(
        number=row.number,
        recipe=space.recipe(row.params),
        value=row.values[0] if row.values else None,
        state=row.state.name,
        attrs=dict(row.user_attrs),
    )
