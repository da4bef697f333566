"""Writes a study's trials, each in one transaction.

Optuna's storage writes a trial one parameter at a time, with a query for each; at hundreds of dimensions
that is most of what a trial costs outside of the models. Into a relational storage of the schema we know,
rows are written in bulk instead; into any other, through Optuna's own methods.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from tvmerge.errors import StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy import Connection, Row, Table

SCHEMAS = frozenset({"v3.2.0.a"})
"""Revisions of Optuna's relational schema whose tables are written directly."""


class Journal(Protocol):
    """Where trials are written; what is written is there when a call returns."""

    def add(self, row: FrozenTrial) -> None:
        """Write a running trial, its weights and attributes included."""

    def tell(self, number: int, state: str, value: float | None, attrs: Mapping[str, Any]) -> None:
        """Write how a running trial ended."""


def open_journal(storage: BaseStorage, study_id: int) -> Journal:
    """The fastest journal the storage allows."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage) and storage.get_current_version() in SCHEMAS:
        return _BulkJournal(storage, study_id)
    return _PlainJournal(storage, study_id)


class _PlainJournal:
    """Through the methods every Optuna storage has."""

    def __init__(self, storage: BaseStorage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id

    def add(self, row: FrozenTrial) -> None:
        self._storage.create_new_trial(self._study_id, template_trial=row)

    def tell(self, number: int, state: str, value: float | None, attrs: Mapping[str, Any]) -> None:
        from optuna.trial import TrialState

        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        for key, item in attrs.items():
            self._storage.set_trial_user_attr(trial_id, key, item)
        values = None if value is None else [value]
        self._storage.set_trial_state_values(trial_id, TrialState[state], values)


class _BulkJournal:
    """Straight into the tables of a relational storage."""

    def __init__(self, storage: RDBStorage, study_id: int) -> None:
        self._engine = storage.engine
        self._study_id = study_id
        self._tables: dict[str, Table] = {}
        self._distributions: dict[Any, str] = {}

    def add(self, row: FrozenTrial) -> None:
        from sqlalchemy import func, select

        with self._engine.begin() as connection:
            trials = self._table("trials")
            mine = trials.c.study_id == self._study_id
            there = connection.execute(select(func.count()).select_from(trials).where(mine)).scalar_one()
            if there != row.number:
                raise StudyError(f"another run writes to this study: trial {row.number} is there already")
            trial = {
                "number": row.number,
                "study_id": self._study_id,
                "state": row.state.name,
                "datetime_start": _utc(row.datetime_start),
            }
            done = connection.execute(trials.insert().values(trial))
            trial_id = cast("Row[Any]", done.inserted_primary_key)[0]
            self._insert(connection, "trial_params", self._params(trial_id, row))
            self._insert(connection, "trial_user_attributes", _attrs(trial_id, row.user_attrs))
            self._insert(connection, "trial_system_attributes", _attrs(trial_id, row.system_attrs))

    def tell(self, number: int, state: str, value: float | None, attrs: Mapping[str, Any]) -> None:
        trials = self._table("trials")
        with self._engine.begin() as connection:
            mine = (trials.c.study_id == self._study_id) & (trials.c.number == number)
            trial_id = connection.execute(trials.select().where(mine)).one().trial_id
            self._insert(connection, "trial_user_attributes", _attrs(trial_id, attrs))
            if value is not None:
                scored = {"trial_id": trial_id, "objective": 0, "value": value, "value_type": "FINITE"}
                self._insert(connection, "trial_values", [scored])
            ended = {"state": state, "datetime_complete": _utc(datetime.now())}
            connection.execute(trials.update().where(mine).values(ended))

    def _params(self, trial_id: int, row: FrozenTrial) -> Iterator[dict[str, Any]]:
        for name, value in row.params.items():
            distribution = row.distributions[name]
            yield {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": distribution.to_internal_repr(value),
                "distribution_json": self._as_json(distribution),
            }

    def _as_json(self, distribution: Any) -> str:
        from optuna.distributions import distribution_to_json

        if distribution not in self._distributions:
            self._distributions[distribution] = distribution_to_json(distribution)
        return self._distributions[distribution]

    def _insert(self, connection: Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        listed = list(rows)
        if listed:
            connection.execute(self._table(table).insert(), listed)

    def _table(self, name: str) -> Table:
        from sqlalchemy import MetaData, Table

        if name not in self._tables:
            self._tables[name] = Table(name, MetaData(), autoload_with=self._engine)
        return self._tables[name]


def _attrs(trial_id: int, attrs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in attrs.items():
        yield {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}


def _utc(moment: datetime | None) -> datetime | None:
    """Optuna stores naive UTC, and hands out naive local time."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
