"""The study as a sampler sees it: in memory, with the results of only those trials that it may use."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from tvmerge.records import Trial

ENQUEUED = "fixed"
"""Trial attribute of trials that were enqueued, not drawn by the sampler; stored under its first name."""

INHERITED = "inherited"
"""Trial attribute: the number that the trial had in the study this one was forked from."""

GENERATION = "NsgaSampler:generation"
"""System attribute in which NSGA-II stores a trial's generation; trials it did not draw are in the first."""


class SamplerView:
    """The study at one point of its sequence of trials, advanced trial by trial.

    The window decides which results trial n may depend on, whatever else is finished by now; a finished run
    that is extended, for example, has more results than its next trial may use. So each trial counts as
    running here until its result may be used.

    Args:
        rows: All trials so far in order of number, in any state.
        objectives: Number of objectives.
    """

    def __init__(self, rows: Iterable[FrozenTrial], objectives: int) -> None:
        from optuna.storages import InMemoryStorage
        from optuna.study import create_study

        self._storage = InMemoryStorage()
        self._study = create_study(storage=self._storage, directions=["maximize"] * objectives)
        self._id = self._storage.get_study_id_from_name(self._study.study_name)
        self._told = 0
        for row in rows:
            self.add(row)

    def add(self, row: FrozenTrial) -> None:
        """Add a trial as running."""
        from optuna.trial import TrialState

        running = copy.copy(row)
        running.state = TrialState.RUNNING
        running.values = None
        running.datetime_complete = None
        running.intermediate_values = {}
        running.system_attrs = {GENERATION: 0, **row.system_attrs}
        self._storage.create_new_trial(self._id, template_trial=running)

    def advance(self, told: Sequence[Trial]) -> None:
        """Advance to the results of `told`, the first trials of the study.

        A pruned trial counts as scored with the estimate of its score, which all samplers can use.
        """
        from optuna.trial import TrialState

        for trial in told[self._told :]:
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)
            state = TrialState.COMPLETE if trial.values else TrialState.FAIL
            self._storage.set_trial_state_values(trial_id, state, trial.values or None)
        self._told = max(self._told, len(told))

    def ask(self, sampler: BaseSampler, distributions: Mapping[str, Any]) -> FrozenTrial:
        """Return the next trial, drawn by `sampler` from the results known here."""
        self._study.sampler = sampler
        trial = self._study.ask(dict(distributions))
        return self._study.get_trials(deepcopy=False)[trial.number]
