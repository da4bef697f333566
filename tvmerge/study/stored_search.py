"""What searches of either kind have in common: a study in a storage, held by one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tvmerge.study.describe import describe
from tvmerge.study.notes import changed_notes, noted
from tvmerge.study.sampler_view import ENQUEUED
from tvmerge.study.storage import close_storage, translated
from tvmerge.study.trials import times_of
from tvmerge.study.winner import IS_WINNER, WINNER, Winner

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from tvmerge.records import Trial
    from tvmerge.report.course import TrialTimes
    from tvmerge.study.store.base import TrialStore


METRIC_NAMES = "study:metric_names"
"""System attribute in which Optuna stores the names of objectives (`Study.set_metric_names`)."""


class StoredSearch:
    """A study in a storage.

    Args:
        storage: Where it is stored.
        study_id: Its id in the storage.
        still_held: Raises `StudyError` if another run has taken over the study; called before each write.
    """

    _store: TrialStore
    _trials: list[Trial]

    def __init__(self, storage: BaseStorage, study_id: int, still_held: Callable[[], None]) -> None:
        self._storage = storage
        self._id = study_id
        self._still_held = still_held

    def record(self, key: str, value: object) -> None:
        """Record something about the study itself, as plain JSON data.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
        """
        self._still_held()
        with translated(self._storage):
            self._storage.set_study_user_attr(self._id, key, value)

    def name_winner(self, winner: Winner) -> None:
        """Record the winner in the study, and on its trial as an attribute and a note for optuna-dashboard.

        The mark of an earlier winner is removed.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
        """
        self.record(WINNER, winner.as_json())
        for trial in [*self._trials]:
            wins = trial.number == winner.trial
            if not wins and IS_WINNER not in trial.attrs:
                continue
            others = {key: value for key, value in trial.attrs.items() if key != IS_WINNER}
            with translated(self._storage):
                self._store.mark(trial.number, {IS_WINNER: True if wins else None})
            marked = {**others, IS_WINNER: True} if wins else others
            self._trials[trial.number] = replace(trial, attrs=marked)
        self.note_trials(winner)

    def note_trials(self, winner: Winner | None = None) -> None:
        """Say in notes for optuna-dashboard what the trials are that have ended or whose weights were given.

        A trial that has a note from before gets a new one, since it may have been the best then.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
        """
        self._still_held()
        with translated(self._storage):
            ids = self._store.ids()
            attrs = self._storage.get_study_system_attrs(self._id)
            before = noted(attrs)
            texts = {
                ids[trial.number]: describe(trial, winner)
                for trial in self._trials
                if trial.told or ENQUEUED in trial.attrs or ids[trial.number] in before
            }
            self._store.note(changed_notes(attrs, texts))

    def note_trial(self, number: int) -> None:
        """Say in a note for optuna-dashboard what a trial is that has ended, in one write.

        Raises:
            StudyError: The storage cannot be written.
        """
        with translated(self._storage):
            trial_id, attrs = self._store.note_of(number)
            text = describe(self._trials[number], None)
            self._store.note(changed_notes(attrs, {trial_id: text}))

    def times(self) -> dict[int, TrialTimes]:
        """Return when each trial was asked and ended, by number.

        Raises:
            StudyError: The storage cannot be read.
        """
        with translated(self._storage):
            return times_of(self._store.times())

    def name_objectives(self, names: Sequence[str]) -> None:
        """Name the objectives for the tools of Optuna, unless they have names.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
        """
        self._still_held()
        with translated(self._storage):
            if not self._storage.get_study_system_attrs(self._id).get(METRIC_NAMES):
                self._storage.set_study_system_attr(self._id, METRIC_NAMES, list(names))

    def close(self) -> None:
        """Close the connections to the storage; what is known of the trials stays readable."""
        close_storage(self._storage)
