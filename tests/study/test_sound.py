"""Studies and results that other programs wrote to are refused in one line."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.study.studies import drive, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.errors import StudyError
from tvmerge.study.storage import read_study

LONG_BOUND = f"trial_params SET distribution_json = replace(distribution_json, '2.0', '{'9' * 400}')"
WINNER = {"trial": 1, "best_of_search": 1, "verdict": "better", "sentence": "x", "told": 3, "chosen_on": 0}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The database of the study `s` with 3 trials."""
    place = tmp_path_factory.mktemp("study") / "study.db"
    drive(lambda: open_at(sqlite_url(place)), 3)
    with sqlite3.connect(place) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return place.read_bytes()


@pytest.fixture
def place(content: bytes, tmp_path: Path) -> Path:
    (tmp_path / "study.db").write_bytes(content)
    return tmp_path / "study.db"


def put(place: Path, table: str, key: str, value: Any) -> None:
    owner = "study_id" if table.startswith("study") else "trial_id"
    with sqlite3.connect(place) as database:
        database.execute(f"DELETE FROM {table} WHERE {owner} = 1 AND key = ?", (key,))
        row = (1, key, value if isinstance(value, str) else json.dumps(value))
        database.execute(f"INSERT INTO {table} ({owner}, key, value_json) VALUES (?, ?, ?)", row)
    database.close()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tvmerge:winner", {**WINNER, "trial": "1"}),
        ("tvmerge:winner", {**WINNER, "more": 1}),
        ("tvmerge:winner", {**WINNER, "trial": 99}),
        ("tvmerge:winner", [1]),
        ("tvmerge:run", [1]),
        ("tvmerge:n_trials", '"3"'),
        ("tvmerge:block_sizes", [{"start": 0}]),
        ("tvmerge:block_sizes", 3),
        ("tvmerge:ask_times", [[4, 1.5]]),
        ("tvmerge:ask_times", 4),
        ("tvmerge:fingerprint", "[" * 10_000),
    ],
)
def test_an_attribute_of_another_type_is_refused(place: Path, key: str, value: Any) -> None:
    put(place, "study_user_attributes", key, value)
    with pytest.raises(StudyError, match=r"damaged|failed") as caught:
        read_study(sqlite_url(place), "s")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("se", '"x"'), ("n", 1.5), ("blocks", [[0, "a", 2, None]]), ("blocks", 3), ("mean", [])],
)
def test_an_attribute_of_a_trial_of_another_type_names_the_trial(place: Path, key: str, value: Any) -> None:
    put(place, "trial_user_attributes", key, value)
    with pytest.raises(StudyError, match=r"in trial 0, .*restore its database from a copy"):
        read_study(sqlite_url(place), "s")


@pytest.mark.parametrize(
    ("change", "said", "zone"),
    [
        ("trials SET datetime_start = '0001-01-01 00:00:00.000000'", "is damaged", "America/New_York"),
        ("trials SET datetime_start = '0001-01-01 00:00:00.000000'", "is damaged", "UTC"),
        ("trials SET datetime_complete = '9999-12-31 23:59:59.999999'", "is damaged", "Asia/Tokyo"),
        ("trials SET number = 4611686018427387904 WHERE number = 1", "which should have the number 1", "UTC"),
        (LONG_BOUND, "is damaged", "UTC"),
    ],
    ids=["first day in the west", "first day", "last day in the east", "number", "bounds"],
)
def test_what_no_trial_can_have_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, change: str, said: str, zone: str
) -> None:
    with sqlite3.connect(place) as database:
        assert database.execute(f"UPDATE {change}").rowcount
    database.close()
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with pytest.raises(StudyError, match=said):
            read_study(sqlite_url(place), "s")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_trial_that_lacks_a_weight_is_named(place: Path) -> None:
    with sqlite3.connect(place) as database:
        database.execute("DELETE FROM trial_params WHERE trial_id = 2")
    database.close()
    with pytest.raises(StudyError, match=r"trial 1 is damaged: it has no weight '\w+'; restore"):
        open_at(sqlite_url(place))


def test_what_tvmerge_wrote_is_read(place: Path) -> None:
    put(place, "study_user_attributes", "tvmerge:winner", WINNER)
    assert len(read_study(sqlite_url(place), "s").trials) == 3
