"""A store of trials that uses the methods of Optuna's storages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.errors import StudyError
from tvmerge.study.notes import note_prefix

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from tvmerge.study.store.base import Times, TrialResult


class OptunaTrialStore:
    """Stores trials through the methods that every Optuna storage has."""

    reopens = False

    def __init__(self, storage: BaseStorage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id

    def read(self) -> list[FrozenTrial]:
        """Return all trials, in order of number."""
        return sorted(self._storage.get_all_trials(self._study_id), key=lambda row: row.number)

    def add(self, row: FrozenTrial) -> None:
        """Write a running trial; raise `StudyError` if its number is taken."""
        try:
            self._storage.get_trial_id_from_study_id_trial_number(self._study_id, row.number)
        except KeyError:
            self._storage.create_new_trial(self._study_id, template_trial=row)
        else:
            raise StudyError(f"another run is writing to this study: trial {row.number} already exists")

    def record(self, number: int, attrs: Mapping[str, Any], steps: Mapping[int, float]) -> None:
        """Write attributes and intermediate values of a running trial."""
        trial_id = self._running(number)
        for step, value in steps.items():
            self._storage.set_trial_intermediate_value(trial_id, step, value)
        for key, item in attrs.items():
            self._storage.set_trial_user_attr(trial_id, key, item)

    def reopen(self, number: int, without: Collection[str] = ()) -> None:
        """Refuse: no method of an Optuna storage does that."""
        raise StudyError(
            f"trial {number} has ended, and this version of Optuna's storage cannot continue it; "
            "start a new study with --warm-start"
        )

    def mark(self, number: int, attrs: Mapping[str, Any]) -> None:
        """Do nothing: no method of an Optuna storage changes a trial that has ended."""

    def tell(self, number: int, result: TrialResult) -> None:
        """Write the result of a running trial; raise `StudyError` if it is already finished."""
        from optuna.trial import TrialState

        trial_id = self._running(number)
        for key, item in result.attrs.items():
            self._storage.set_trial_user_attr(trial_id, key, item)
        if result.step is not None:
            self._storage.set_trial_intermediate_value(trial_id, result.step, result.values[0])
        self._storage.set_trial_state_values(trial_id, TrialState[result.state], result.values or None)

    def times(self) -> dict[int, Times]:
        """Return when each trial was asked and when it ended, by number."""
        rows = self._storage.get_all_trials(self._study_id, deepcopy=False)
        return {row.number: (row.datetime_start, row.datetime_complete) for row in rows}

    def ids(self) -> dict[int, int]:
        """Return the ids of all trials in the storage, by their numbers."""
        rows = self._storage.get_all_trials(self._study_id, deepcopy=False)
        return {row.number: row._trial_id for row in rows}

    def note_of(self, number: int) -> tuple[int, dict[str, Any]]:
        """Return a trial's id in the storage, and the system attributes of the study that hold its note."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        attrs = self._storage.get_study_system_attrs(self._study_id)
        return trial_id, {key: item for key, item in attrs.items() if key.startswith(note_prefix(trial_id))}

    def note(self, attrs: Mapping[str, Any]) -> None:
        """Write system attributes of the study."""
        for key, item in attrs.items():
            self._storage.set_study_system_attr(self._study_id, key, item)

    def _running(self, number: int) -> int:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        if self._storage.get_trial(trial_id).state.is_finished():
            raise StudyError(f"another run is writing to this study: trial {number} is already finished")
        return trial_id
