"""Rows written and read in bulk are the rows Optuna itself writes and reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tvmerge.errors import StudyError
from tvmerge.study.storage import enter_study, open_storage
from tvmerge.study.store import open as stores
from tvmerge.study.store.base import TrialResult, TrialStore
from tvmerge.study.store.open import open_trial_store
from tvmerge.study.store.rdb import RdbTrialStore
from tvmerge.testing import TrialStoreContract
from tvmerge.testing.store_contract import running_trial

DISTRIBUTION = FloatDistribution(0.0, 2.0)
SCORES = st.floats(0, 10)
ATTRS = st.dictionaries(
    st.sampled_from(["se", "点", "questions"]), st.floats(0, 1) | st.none() | st.text(), max_size=2
)


RESULTS = st.one_of(
    st.builds(TrialResult, st.just("COMPLETE"), st.tuples(SCORES), ATTRS),
    st.builds(TrialResult, st.just("PRUNED"), st.tuples(SCORES), ATTRS, st.integers(1, 500)),
    st.builds(TrialResult, st.just("FAIL"), attrs=ATTRS),
    st.none(),
)
"""How a trial ends; None: it has not ended."""


NAMES = map(str, count())


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> RDBStorage:
    opened = open_storage(f"sqlite:///{tmp_path_factory.mktemp('journal') / 'study.db'}")
    assert isinstance(opened, RDBStorage)
    # A study beside those of the tests, so that a row of a wrong study would be seen.
    open_trial_store(opened, enter_study(opened, "other", {}, {})).add(running_trial(0))
    return opened


def write(storage: RDBStorage, results: Sequence[TrialResult | None]) -> int:
    study_id = enter_study(storage, next(NAMES), {}, {})
    store = open_trial_store(storage, study_id)
    for number, result in enumerate(results):
        store.add(running_trial(number))
        if result is not None:
            store.tell(number, result)
    return study_id


def content(row: FrozenTrial) -> tuple[Any, ...]:
    return (
        row.number,
        row.state,
        row.values,
        row.params,
        row.distributions,
        row.user_attrs,
        row.system_attrs,
        row.intermediate_values,
        row.datetime_complete is None,
    )


@given(results=st.lists(RESULTS, max_size=4))
@settings(max_examples=20, deadline=None)
def test_bulk_and_plain_write_and_read_the_same_rows(
    storage: RDBStorage, results: list[TrialResult | None]
) -> None:
    bulk = write(storage, results)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "SCHEMAS", frozenset())
        plain = write(storage, results)
        assert type(open_trial_store(storage, plain)).__name__ == "OptunaTrialStore"
    written = storage.get_all_trials(bulk)
    assert list(map(content, written)) == list(map(content, storage.get_all_trials(plain)))
    assert RdbTrialStore(storage, bulk).read() == written
    assert RdbTrialStore(storage, plain).read() == storage.get_all_trials(plain)
    assert [row.state.name for row in written] == ["RUNNING" if e is None else e.state for e in results]
    for row in written:
        assert row.datetime_start is not None
        assert abs(row.datetime_start - datetime.now()) < timedelta(hours=1)


@pytest.mark.parametrize("schemas", [stores.SCHEMAS, frozenset()], ids=["bulk", "plain"])
def test_what_is_noted_of_a_study_replaces_what_was_there(
    storage: RDBStorage, monkeypatch: pytest.MonkeyPatch, schemas: frozenset[str]
) -> None:
    monkeypatch.setattr(stores, "SCHEMAS", schemas)
    study_id, other = write(storage, [None, None]), write(storage, [])
    storage.set_study_system_attr(other, "文", "of another study")
    storage.set_study_system_attr(study_id, "kept", [1.5, None])
    store = open_trial_store(storage, study_id)
    store.note({"文": "first", "n": 1})
    store.note({"文": "second"})
    store.note({})
    assert storage.get_study_system_attrs(study_id) == {"kept": [1.5, None], "文": "second", "n": 1}
    assert storage.get_study_system_attrs(other) == {"文": "of another study"}
    assert store.ids() == {row.number: row._trial_id for row in storage.get_all_trials(study_id)}


class _Contract(TrialStoreContract):
    @pytest.fixture
    def store(self, storage: RDBStorage) -> TrialStore:
        return open_trial_store(storage, enter_study(storage, next(NAMES), {}, {}))


class TestRdbTrialStore(_Contract):
    """The contract of stores, for rows written in bulk."""


class TestOptunaTrialStore(_Contract):
    """The contract of stores, for rows written through Optuna's own methods."""

    @pytest.fixture(autouse=True)
    def _unknown_schema(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stores, "SCHEMAS", frozenset())

    def test_a_finished_trial_cannot_run_again(self, store: TrialStore) -> None:
        store.add(running_trial(0))
        store.tell(0, TrialResult("COMPLETE", (6.5,)))
        with pytest.raises(StudyError, match=r"trial 0 .* --warm-start"):
            store.reopen(0)
        assert store.read()[0].values == [6.5]


def test_a_stopped_trial_shows_its_estimate_to_tools_of_optuna(storage: RDBStorage) -> None:
    study_id = write(storage, [TrialResult("PRUNED", (6.5,), {"questions": 24}, step=24)])
    study = optuna.load_study(study_name=storage.get_study_name_from_id(study_id), storage=storage)
    (row,) = study.get_trials(states=(TrialState.PRUNED,))
    assert (row.value, row.intermediate_values, row.last_step) == (6.5, {24: 6.5}, 24)


def test_numbers_without_a_form_in_the_database_are_read_as_optuna_reads_them(storage: RDBStorage) -> None:
    study_id = write(storage, [None])
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, 0)
    for step, value in enumerate((float("inf"), float("-inf"), 1.5)):
        storage.set_trial_intermediate_value(trial_id, step, value)
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [float("inf")])
    assert RdbTrialStore(storage, study_id).read() == storage.get_all_trials(study_id)


def test_the_schema_of_the_installed_optuna_is_used_directly(storage: RDBStorage) -> None:
    assert storage.get_current_version() in stores.SCHEMAS


def test_a_trial_that_runs_again_has_no_scores_and_can_be_told_anew(storage: RDBStorage) -> None:
    study_id = enter_study(storage, next(NAMES), {}, {})
    store = open_trial_store(storage, study_id)
    for number in range(2):
        store.add(running_trial(number))
        store.tell(number, TrialResult("COMPLETE", (6.5,), {"se": 0.25}))
    store.reopen(0)
    again, other = store.read()
    assert (again.state, again.values, again.datetime_complete) == (TrialState.RUNNING, None, None)
    assert again.user_attrs["se"] == 0.25
    assert other.values == [6.5]
    store.tell(0, TrialResult("COMPLETE", (7.5,), {"se": 0.2}))
    assert [row.values for row in store.read()] == [[7.5], [6.5]]
