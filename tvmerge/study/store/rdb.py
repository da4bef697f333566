"""A store of trials that accesses the tables of Optuna's relational storage.

A trial is written in one transaction, and a study is read with one query per table. The rows are the same as
those of Optuna.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from tvmerge.errors import StudyError
from tvmerge.study.notes import note_prefix
from tvmerge.study.store.local_time import from_utc, to_utc
from tvmerge.study.store.rdb_rows import attr_rows, number_of, step_rows, value_rows

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy import Connection, Row, Table

    from tvmerge.study.store.base import Times, TrialResult

_OF_A_TRIAL = (
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
)
"""The tables with rows of trials."""


class RdbTrialStore:
    """Stores trials in the tables of `storage`, whose revision is in `open.SCHEMAS`."""

    reopens = True

    def __init__(self, storage: RDBStorage, study_id: int) -> None:
        self._engine = storage.engine
        self._study_id = study_id
        self._tables: dict[str, Table] = {}
        self._as_json: dict[BaseDistribution, str] = {}
        self._from_json: dict[str, BaseDistribution] = {}

    def read(self) -> list[FrozenTrial]:
        """Return all trials in order of number, from a consistent snapshot of the database."""
        trials = self._table("trials")
        mine = trials.select().where(trials.c.study_id == self._study_id).order_by(trials.c.number)
        with self._engine.connect() as connection:
            rows = connection.execute(mine).all()
            parts = {name: self._parts(connection, name) for name in _OF_A_TRIAL}
        return [self._frozen(row, {name: of[row.trial_id] for name, of in parts.items()}) for row in rows]

    def _parts(self, connection: Connection, name: str) -> Mapping[int, list[Row[Any]]]:
        """Return a table's rows of this study by trial, in the order they were written."""
        trials, table = self._table("trials"), self._table(name)
        (key,) = table.primary_key
        query = table.select().join(trials, trials.c.trial_id == table.c.trial_id)
        found = defaultdict(list)
        rows = connection.execute(query.where(trials.c.study_id == self._study_id).order_by(key))
        for row in rows.all():  # one by one would take twice as long
            found[row.trial_id].append(row)
        return found

    def _frozen(self, row: Row[Any], parts: Mapping[str, list[Row[Any]]]) -> FrozenTrial:
        from optuna.trial import FrozenTrial, TrialState

        distributions = {p.param_name: self._distribution(p.distribution_json) for p in parts["trial_params"]}
        values = sorted(parts["trial_values"], key=lambda v: v.objective)
        return FrozenTrial(
            number=row.number,
            state=TrialState[row.state],
            value=None,
            values=[number_of(v.value, v.value_type) for v in values] or None,
            datetime_start=from_utc(row.datetime_start),
            datetime_complete=from_utc(row.datetime_complete),
            params={
                p.param_name: distributions[p.param_name].to_external_repr(p.param_value)
                for p in parts["trial_params"]
            },
            distributions=distributions,
            user_attrs={a.key: json.loads(a.value_json) for a in parts["trial_user_attributes"]},
            system_attrs={a.key: json.loads(a.value_json) for a in parts["trial_system_attributes"]},
            intermediate_values={
                v.step: number_of(v.intermediate_value, v.intermediate_value_type)
                for v in parts["trial_intermediate_values"]
            },
            trial_id=row.trial_id,
        )

    def _distribution(self, text: str) -> BaseDistribution:
        """Parse a distribution, caching it, since hundreds of weights share one."""
        from optuna.distributions import json_to_distribution

        if text not in self._from_json:
            self._from_json[text] = json_to_distribution(text)
        return self._from_json[text]

    def add(self, row: FrozenTrial) -> None:
        """Write a running trial with its weights and attributes.

        Raises:
            StudyError: Another run has written to the study.
        """
        from sqlalchemy import func, select

        trials, studies = self._table("trials"), self._table("studies")
        with self._engine.begin() as connection:
            # Updating the study's row first makes writers wait for each other in every database, so that the
            # count of trials is still valid when the trial is written.
            turn = studies.update().where(studies.c.study_id == self._study_id)
            connection.execute(turn.values(study_name=studies.c.study_name))
            mine = trials.c.study_id == self._study_id
            there = connection.execute(select(func.count()).select_from(trials).where(mine)).scalar_one()
            if there != row.number:
                raise StudyError(f"another run is writing to this study: trial {row.number} already exists")
            trial = {
                "number": row.number,
                "study_id": self._study_id,
                "state": row.state.name,
                "datetime_start": to_utc(row.datetime_start),
            }
            done = connection.execute(trials.insert().values(trial))
            trial_id = cast("Row[Any]", done.inserted_primary_key)[0]
            self._insert(connection, "trial_params", self._params(trial_id, row))
            self._insert(connection, "trial_user_attributes", attr_rows(trial_id, row.user_attrs))
            self._insert(connection, "trial_system_attributes", attr_rows(trial_id, row.system_attrs))

    def record(self, number: int, attrs: Mapping[str, Any], steps: Mapping[int, float]) -> None:
        """Write attributes and intermediate values of a running trial, in place of any of the same name.

        Raises:
            StudyError: Somebody else told it.
        """
        with self._engine.begin() as connection:
            trial_id = self._update(connection, number, "RUNNING", {"state": "RUNNING"})
            self._delete(connection, "trial_user_attributes", trial_id, "key", attrs)
            self._delete(connection, "trial_intermediate_values", trial_id, "step", steps)
            self._insert(connection, "trial_user_attributes", attr_rows(trial_id, attrs))
            self._insert(connection, "trial_intermediate_values", step_rows(trial_id, steps))

    def reopen(self, number: int, without: Collection[str] = ()) -> None:
        """Let a trial that has ended run again, without its scores and the attributes `without`."""
        values = self._table("trial_values")
        with self._engine.begin() as connection:
            running = {"state": "RUNNING", "datetime_complete": None}
            trial_id = self._update(connection, number, None, running)
            connection.execute(values.delete().where(values.c.trial_id == trial_id))
            self._delete(connection, "trial_user_attributes", trial_id, "key", without)

    def mark(self, number: int, attrs: Mapping[str, Any]) -> None:
        """Write attributes of a trial that may have ended; None removes one."""
        trials = self._table("trials")
        mine = (trials.c.study_id == self._study_id) & (trials.c.number == number)
        kept = {key: value for key, value in attrs.items() if value is not None}
        with self._engine.begin() as connection:
            trial_id = int(connection.execute(trials.select().where(mine)).one().trial_id)
            self._delete(connection, "trial_user_attributes", trial_id, "key", attrs)
            self._insert(connection, "trial_user_attributes", attr_rows(trial_id, kept))

    def tell(self, number: int, result: TrialResult) -> None:
        """Write the result of a running trial.

        Raises:
            StudyError: Another run has finished it.
        """
        with self._engine.begin() as connection:
            ended = {"state": result.state, "datetime_complete": to_utc(datetime.now())}
            trial_id = self._update(connection, number, "RUNNING", ended)
            self._delete(connection, "trial_user_attributes", trial_id, "key", result.attrs)
            self._insert(connection, "trial_user_attributes", attr_rows(trial_id, result.attrs))
            self._insert(connection, "trial_values", value_rows(trial_id, result))
            steps = {} if result.step is None else {result.step: result.values[0]}
            self._delete(connection, "trial_intermediate_values", trial_id, "step", steps)
            self._insert(connection, "trial_intermediate_values", step_rows(trial_id, steps))

    def times(self) -> dict[int, Times]:
        """Return when each trial was asked and when it ended, by number."""
        from sqlalchemy import select

        trials = self._table("trials")
        columns = (trials.c.number, trials.c.datetime_start, trials.c.datetime_complete)
        with self._engine.connect() as connection:
            rows = connection.execute(select(*columns).where(trials.c.study_id == self._study_id)).all()
        return {number: (from_utc(begun), from_utc(ended)) for number, begun, ended in rows}

    def ids(self) -> dict[int, int]:
        """Return the ids of all trials in the database, by their numbers."""
        from sqlalchemy import select

        trials = self._table("trials")
        mine = select(trials.c.number, trials.c.trial_id).where(trials.c.study_id == self._study_id)
        with self._engine.connect() as connection:
            return {row.number: row.trial_id for row in connection.execute(mine)}

    def note_of(self, number: int) -> tuple[int, dict[str, Any]]:
        """Return a trial's id in the storage, and the system attributes of the study that hold its note."""
        from sqlalchemy import select

        trials, system = self._table("trials"), self._table("study_system_attributes")
        mine = (trials.c.study_id == self._study_id) & (trials.c.number == number)
        with self._engine.connect() as connection:
            trial_id = int(connection.execute(select(trials.c.trial_id).where(mine)).one().trial_id)
            first = note_prefix(trial_id)
            # A range, which the index finds without a look at the notes of other trials.
            here = (system.c.key >= first) & (system.c.key < f"{first}~")
            rows = connection.execute(system.select().where((system.c.study_id == self._study_id) & here))
            return trial_id, {row.key: json.loads(row.value_json) for row in rows}

    def note(self, attrs: Mapping[str, Any]) -> None:
        """Write system attributes of the study in one transaction, in place of any of the same name."""
        from sqlalchemy import bindparam

        if not attrs:
            return
        table = self._table("study_system_attributes")
        old = (table.c.study_id == self._study_id) & (table.c.key == bindparam("name"))
        rows = [{"study_id": self._study_id, "key": k, "value_json": json.dumps(v)} for k, v in attrs.items()]
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(old), [{"name": key} for key in attrs])
            connection.execute(table.insert(), rows)

    def _update(
        self, connection: Connection, number: int, state: str | None, values: Mapping[str, Any]
    ) -> int:
        """Change a trial's own row, if it is in that state; its id.

        Raises:
            StudyError: It is in another state.
        """
        trials = self._table("trials")
        mine = (trials.c.study_id == self._study_id) & (trials.c.number == number)
        there = mine if state is None else mine & (trials.c.state == state)
        if connection.execute(trials.update().where(there).values(values)).rowcount != 1:
            raise StudyError(f"another run is writing to this study: trial {number} is already finished")
        return int(connection.execute(trials.select().where(mine)).one().trial_id)

    def _delete(
        self, connection: Connection, name: str, trial_id: int, column: str, keys: Iterable[Any]
    ) -> None:
        """Remove a trial's rows that are about to be written anew."""
        table = self._table(name)
        old = (table.c.trial_id == trial_id) & table.c[column].in_(list(keys))
        connection.execute(table.delete().where(old))

    def _params(self, trial_id: int, row: FrozenTrial) -> Iterator[dict[str, Any]]:
        for name, value in row.params.items():
            distribution = row.distributions[name]
            yield {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": distribution.to_internal_repr(value),
                "distribution_json": self._json(distribution),
            }

    def _json(self, distribution: BaseDistribution) -> str:
        from optuna.distributions import distribution_to_json

        if distribution not in self._as_json:
            self._as_json[distribution] = distribution_to_json(distribution)
        return self._as_json[distribution]

    def _insert(self, connection: Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        listed = list(rows)
        if listed:
            connection.execute(self._table(table).insert(), listed)

    def _table(self, name: str) -> Table:
        from sqlalchemy import Double, Float, MetaData, Table

        if name not in self._tables:
            table = Table(name, MetaData(), autoload_with=self._engine)
            for column in table.columns:
                if isinstance(column.type, Float):
                    column.type = Double()  # MySQL would return decimals with ten digits
            self._tables[name] = table
        return self._tables[name]
