"""A study as optuna-dashboard shows it, asked by its own interface.

Several modules: the study, its winner and its notes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.study.studies import drive, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.study.storage import close_storage, open_storage
from tvmerge.study.winner import Winner, told_of

TRIALS = 8


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the dashboard answers of a study of 8 trials, whose trial 3 won and whose trial 1 was the best."""
    dashboard = pytest.importorskip("optuna_dashboard")
    url = sqlite_url(tmp_path / "study.db")
    drive(lambda: open_at(url), TRIALS)
    study = open_at(url)
    study.name_objectives(["score on demo"])
    study.name_winner(Winner(3, 1, "better", "It beats all.", told_of(study.trials)))
    study.name_objectives(["another name"])
    study.close()
    storage = open_storage(url)
    yield ask(dashboard.wsgi(storage), "/api/studies/1")
    close_storage(storage)


def ask(app: Any, path: str) -> dict[str, Any]:
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": "after=0"}
    setup_testing_defaults(environ)
    said: list[str] = []
    body = b"".join(app(environ, lambda status, headers, *_: said.append(status)))
    assert said == ["200 OK"]
    return dict(json.loads(body))


def test_the_objective_has_the_name_that_it_was_given_first(shown: dict[str, Any]) -> None:
    assert shown["objective_names"] == ["score on demo"]


def test_scored_trials_have_notes_that_say_what_they_are(shown: dict[str, Any]) -> None:
    noted = {trial["number"]: trial["note"]["body"] for trial in shown["trials"]}
    assert noted[3].startswith("**tvmerge:** The winner of the held-out comparison. It beats all. Weight")
    assert "The best of the search." in noted[1]
    assert "given at the start" in noted[0]
    drawn = [t for t in shown["trials"] if t["state"] == "Complete" and t["number"] > 3]
    assert drawn
    assert [t["number"] for t in drawn if "drawn by the sampler" not in noted[t["number"]]] == []


def test_every_trial_has_a_note_as_soon_as_it_ends(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    url = sqlite_url(tmp_path / "study.db")
    drive(lambda: open_at(url), 5)
    storage = open_storage(url)
    trials = ask(dashboard.wsgi(storage), "/api/studies/1")["trials"]
    close_storage(storage)
    ended = [trial for trial in trials if trial["state"] != "Running"]
    assert len(ended) >= 5
    for trial in ended:
        body, state = trial["note"]["body"], trial["state"]
        said = {"Complete": "Score ", "Pruned": "Stopped by the race after ", "Fail": "Failed"}[state]
        assert body.startswith("**tvmerge:** Weight")
        assert said in body
        assert trial["note"]["version"] == 1


def test_a_note_of_the_user_stays_when_its_trial_ends(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    study = open_at(url)
    trial = study.ask()
    storage = open_storage(url)
    (row,) = storage.get_all_trials(1)
    mine: dict[str, Any] = {"note_ver": 4, "note_str:0": "mine"}
    for key, value in mine.items():
        storage.set_study_system_attr(1, f"dashboard:{row._trial_id}:{key}", value)
    study.tell(trial.number, 5.0, {"se": 0.25, "n": 4})
    attrs = storage.get_study_system_attrs(1)
    study.close()
    close_storage(storage)
    note = attrs[f"dashboard:{row._trial_id}:note_str:0"]
    assert note.startswith("**tvmerge:** ")
    assert note.endswith("Score 5.00 ± 0.25 (SE).\n\nmine")
    assert attrs[f"dashboard:{row._trial_id}:note_ver"] == 5


def test_the_winner_has_an_attribute(shown: dict[str, Any]) -> None:
    marked = [t["number"] for t in shown["trials"] for a in t["user_attrs"] if a["key"] == "winner"]
    assert marked == [3]


def test_stopped_trials_have_the_value_of_the_look_that_stopped_them(shown: dict[str, Any]) -> None:
    stopped = [t for t in shown["trials"] if t["state"] == "Pruned"]
    assert stopped
    assert shown["has_intermediate_values"]
    assert [[value["step"] for value in t["intermediate_values"]] for t in stopped] == [[3]] * len(stopped)
