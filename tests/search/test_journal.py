"""Rows written in bulk are the rows Optuna itself writes."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from tvmerge.search import journal as journals
from tvmerge.search.journal import open_journal
from tvmerge.search.storage import enter_study, open_storage

DISTRIBUTION = FloatDistribution(0.0, 2.0)


def trial(number: int) -> FrozenTrial:
    names = ("embeddings", "層.0", "norm")
    row = create_trial(
        state=TrialState.RUNNING,
        params={name: 0.1 * number + 0.01 * i for i, name in enumerate(names)},
        distributions=dict.fromkeys(names, DISTRIBUTION),
        user_attrs={"fixed": True, "文": ["a", 1.5, None]},
        system_attrs={"seen": number},
    )
    row.number = number
    return row


def write(folder: Path) -> list[FrozenTrial]:
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    study_id = enter_study(storage, "s", {}, {})
    journal = open_journal(storage, study_id)
    for number in range(3):
        journal.add(trial(number))
    journal.tell(0, "COMPLETE", 7.25, {"se": 0.1})
    journal.tell(1, "FAIL", None, {"coverage": 0.2})
    return storage.get_all_trials(study_id)


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


def test_bulk_and_plain_write_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bulk = write(tmp_path / "bulk")
    monkeypatch.setattr(journals, "SCHEMAS", frozenset())
    plain = write(tmp_path / "plain")
    assert type(open_journal(open_storage(f"sqlite:///{tmp_path / 'x.db'}"), 1)).__name__ == "_PlainJournal"
    assert list(map(content, bulk)) == list(map(content, plain))
    assert bulk[0].values == [7.25]
    assert [row.state.name for row in bulk] == ["COMPLETE", "FAIL", "RUNNING"]
    for row in (*bulk, *plain):
        assert row.datetime_start is not None
        assert abs(row.datetime_start - datetime.now()) < timedelta(hours=1)


def test_the_schema_of_the_installed_optuna_is_written_in_bulk(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    assert isinstance(storage, RDBStorage)
    assert storage.get_current_version() in journals.SCHEMAS
