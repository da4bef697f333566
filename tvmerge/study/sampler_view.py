"""What a sampler sees of a study: an Optuna study in memory that is told each trial when it is due."""

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
"""System attribute in which NSGA-II notes a trial's generation; what it did not draw belongs to its first."""


class SamplerView:
    """The study as it stood at one moment, moved on from trial to trial.

    What trial n may depend on is decided by the window, not by what has been told meanwhile: a finished run
    that is made longer knows more than it may use. So a trial is told here when it is due; until then it
    counts as running.

    Args:
        rows: The trials asked so far, in order of number, whatever became of them.
        objectives: How many scores per trial has.
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
        """Take in a trial as running."""
        from optuna.trial import TrialState

        running = copy.copy(row)
        running.state = TrialState.RUNNING
        running.values = None
        running.datetime_complete = None
        running.intermediate_values = {}
        running.system_attrs = {GENERATION: 0, **row.system_attrs}
        self._storage.create_new_trial(self._id, template_trial=running)

    def advance(self, told: Sequence[Trial]) -> None:
        """Know how these trials ended, the first of the study.

        One that was stopped early counts as scored, with the estimate of its score: all samplers can use
        that, and none has to guess what "pruned" is worth.
        """
        from optuna.trial import TrialState

        for trial in told[self._told :]:
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)
            state = TrialState.COMPLETE if trial.values else TrialState.FAIL
            self._storage.set_trial_state_values(trial_id, state, trial.values or None)
        self._told = max(self._told, len(told))

    def ask(self, sampler: BaseSampler, distributions: Mapping[str, Any]) -> FrozenTrial:
        """The next trial, drawn by `sampler` from what is known."""
        self._study.sampler = sampler
        trial = self._study.ask(dict(distributions))
        return self._study.get_trials(deepcopy=False)[trial.number]
