"""Tests of what every trial store must do; subclass them to test a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tvmerge.errors import StudyError
from tvmerge.study.store.base import TrialResult, TrialStore

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def running_trial(number: int) -> FrozenTrial:
    """Return a running trial with names and attributes that are hard to store."""
    from optuna.distributions import FloatDistribution
    from optuna.trial import TrialState, create_trial

    names = ("embeddings", "層.0", "norm")
    row = create_trial(
        state=TrialState.RUNNING,
        params={name: 0.1 * number + 0.01 * place for place, name in enumerate(names)},
        distributions=dict.fromkeys(names, FloatDistribution(0.0, 2.0)),
        user_attrs={"fixed": True, "文": ["a", 1.5, None]},
        system_attrs={"seen": number},
    )
    row.number = number
    return row


class TrialStoreContract:
    """The contract of trial stores.

    Subclasses define the fixture `store`, which has no trial yet and one objective.
    """

    def test_a_trial_that_was_added_runs(self, store: TrialStore) -> None:
        assert store.read() == []
        added = running_trial(0)
        store.add(added)
        (row,) = store.read()
        assert (row.number, row.state.name, row.params) == (0, "RUNNING", added.params)
        assert (row.user_attrs, row.system_attrs) == (added.user_attrs, added.system_attrs)
        assert row.distributions == added.distributions

    def test_trials_are_read_in_order_with_how_they_ended(self, store: TrialStore) -> None:
        for number in range(4):
            store.add(running_trial(number))
        store.tell(0, TrialResult("COMPLETE", (6.5,), {"se": 0.25}))
        store.tell(1, TrialResult("PRUNED", (4.5,), {"questions": 24}, step=24))
        store.tell(2, TrialResult("FAIL", attrs={"failure": "no rating"}))
        rows = store.read()
        assert [(row.number, row.state.name, row.values) for row in rows] == [
            (0, "COMPLETE", [6.5]),
            (1, "PRUNED", [4.5]),
            (2, "FAIL", None),
            (3, "RUNNING", None),
        ]
        assert rows[0].user_attrs["se"] == 0.25
        assert rows[0].user_attrs["fixed"] is True
        assert rows[1].intermediate_values == {24: 4.5}
        assert rows[2].user_attrs["failure"] == "no rating"

    def test_a_running_trial_takes_attributes_and_intermediate_values(self, store: TrialStore) -> None:
        for number in range(2):
            store.add(running_trial(number))
        store.record(0, {"文": "first", "new": 1}, {4: 6.5})
        store.record(0, {"文": "second"}, {4: 7.0, 9: 5.0})
        first, other = store.read()
        assert (first.state.name, first.intermediate_values) == ("RUNNING", {4: 7.0, 9: 5.0})
        assert first.user_attrs == {"fixed": True, "文": "second", "new": 1}
        assert (other.user_attrs, other.intermediate_values) == (running_trial(1).user_attrs, {})

    def test_a_trial_is_told_over_what_was_recorded(self, store: TrialStore) -> None:
        store.add(running_trial(0))
        store.record(0, {"se": 0.5}, {24: 6.0})
        store.tell(0, TrialResult("PRUNED", (6.5,), {"se": 0.25}, step=24))
        (row,) = store.read()
        assert (row.user_attrs["se"], row.intermediate_values) == (0.25, {24: 6.5})

    def test_trials_have_the_times_of_their_rows(self, store: TrialStore) -> None:
        for number in range(3):
            store.add(running_trial(number))
        store.tell(0, TrialResult("COMPLETE", (6.5,)))
        store.tell(1, TrialResult("FAIL"))
        rows = store.read()
        assert store.times() == {row.number: (row.datetime_start, row.datetime_complete) for row in rows}
        assert [ended is None for _, ended in store.times().values()] == [False, False, True]

    def test_nothing_is_recorded_of_a_finished_trial(self, store: TrialStore) -> None:
        store.add(running_trial(0))
        store.tell(0, TrialResult("COMPLETE", (6.5,)))
        with pytest.raises(StudyError, match="trial 0 is already finished"):
            store.record(0, {"late": True}, {4: 1.0})
        (row,) = store.read()
        assert ("late" in row.user_attrs, row.intermediate_values) == (False, {})

    def test_no_trial_is_added_twice(self, store: TrialStore) -> None:
        store.add(running_trial(0))
        with pytest.raises(StudyError, match="trial 0 already exists"):
            store.add(running_trial(0))
        assert len(store.read()) == 1

    def test_no_trial_is_told_twice(self, store: TrialStore) -> None:
        store.add(running_trial(0))
        store.tell(0, TrialResult("COMPLETE", (6.5,)))
        with pytest.raises(StudyError, match="trial 0 is already finished"):
            store.tell(0, TrialResult("COMPLETE", (9.5,), {"late": True}))
        (row,) = store.read()
        assert (row.values, "late" in row.user_attrs) == ([6.5], False)
