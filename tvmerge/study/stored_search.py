"""What searches of either kind have in common: a study in a storage, held by one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tvmerge.study.notes import write_note
from tvmerge.study.storage import close_storage, translated
from tvmerge.study.winner import IS_WINNER, WINNER, Winner

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from tvmerge.records import Trial
    from tvmerge.study.store.base import TrialStore


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
            text = f"the winner of the held-out comparison. {winner.sentence}" if wins else ""
            with translated(self._storage):
                self._store.mark(trial.number, {IS_WINNER: True if wins else None})
                identity = self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)
                write_note(self._storage, self._id, identity, text)
            marked = {**others, IS_WINNER: True} if wins else others
            self._trials[trial.number] = replace(trial, attrs=marked)

    def close(self) -> None:
        """Close the connections to the storage; what is known of the trials stays readable."""
        close_storage(self._storage)
