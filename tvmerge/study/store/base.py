"""A study's trials, each written in one transaction, all read in a few queries.

Optuna's storage writes a trial one parameter at a time, with a query for each; at hundreds of dimensions
that is most of what a trial costs outside of the models. In a relational storage of the schema we know,
rows are written and read in bulk instead; in any other, through Optuna's own methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tvmerge.errors import StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

SCHEMAS = frozenset({"v3.2.0.a"})
"""Revisions of Optuna's relational schema whose tables are used directly."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended.

    Attributes:
        state: Optuna's name of its state.
        values: Its scores, one an objective; empty where it failed.
        attrs: User attributes to record with them.
        step: Where it was stopped early, the number of questions its one score is an estimate from; tools
            of Optuna's show such a trial by its intermediate values.
    """

    state: str
    values: tuple[float, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None


class TrialStore(Protocol):
    """Where trials are written; what is written is there when a call returns."""

    def read(self) -> list[FrozenTrial]:
        """All trials, in order of number."""

    def add(self, row: FrozenTrial) -> None:
        """Write a running trial, its weights and attributes included.

        Raises:
            StudyError: There is a trial of that number.
        """

    def tell(self, number: int, ending: TrialResult) -> None:
        """Write how a running trial ended.

        Raises:
            StudyError: It does not run any more.
        """


def open_trial_store(storage: BaseStorage, study_id: int) -> TrialStore:
    """The fastest journal the storage allows."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage) and storage.get_current_version() in SCHEMAS:
        from tvmerge.study.store.rdb import RdbTrialStore

        return RdbTrialStore(storage, study_id)
    return _PlainJournal(storage, study_id)


class _PlainJournal:
    """Through the methods every Optuna storage has."""

    def __init__(self, storage: BaseStorage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id

    def read(self) -> list[FrozenTrial]:
        return sorted(self._storage.get_all_trials(self._study_id), key=lambda row: row.number)

    def add(self, row: FrozenTrial) -> None:
        try:
            self._storage.get_trial_id_from_study_id_trial_number(self._study_id, row.number)
        except KeyError:
            self._storage.create_new_trial(self._study_id, template_trial=row)
        else:
            raise StudyError(f"another run writes to this study: trial {row.number} is there already")

    def tell(self, number: int, ending: TrialResult) -> None:
        from optuna.trial import TrialState

        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        if self._storage.get_trial(trial_id).state.is_finished():
            raise StudyError(f"another run writes to this study: trial {number} was told already")
        for key, item in ending.attrs.items():
            self._storage.set_trial_user_attr(trial_id, key, item)
        if ending.step is not None:
            self._storage.set_trial_intermediate_value(trial_id, ending.step, ending.values[0])
        self._storage.set_trial_state_values(trial_id, TrialState[ending.state], ending.values or None)
