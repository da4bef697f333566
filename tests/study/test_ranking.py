"""The best trial is the one with the best weighted mean, in every place that says so."""

from __future__ import annotations

from pathlib import Path

from tests.study.studies import SPACE, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.records import OVERALL
from tvmerge.study.ranking import ranked
from tvmerge.study.storage import read_study
from tvmerge.study.warm_start import SourceStudy, choose_trials

TOLD: list[tuple[tuple[float, float] | None, float | None]] = [
    ((9.0, 0.10), 0.50),
    ((5.0, 0.90), 0.70),
    (None, None),
    ((8.0, 0.60), 0.70),
    ((1.0, 0.95), 0.53),
]
"""Scores on a scale of ten and on one of one, and their weighted mean: their sums rank 0, 3, 1, 4."""


def test_the_best_of_several_objectives_has_the_best_weighted_mean(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    study = open_at(url, "TPE of two", enqueued=())
    for number, (values, overall) in enumerate(TOLD):
        study.ask()
        study.tell(number, values, {} if overall is None else {OVERALL: overall})
    stored = read_study(url, "s")
    assert [trial.number for trial in ranked(stored.trials)] == [1, 3, 4, 0]
    assert [trial.number for trial in ranked(study.trials)] == [1, 3, 4, 0]
    assert stored.choose("best-search").trial.number == 1
    warm = SourceStudy("warm-start", url, "s", 3)
    assert choose_trials(warm, SPACE, (), lambda _: None) == [1, 3, 4]


def test_of_one_objective_the_value_ranks_and_what_was_stopped_does_not(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    study = open_at(url)
    for number, value in enumerate([5.0, 7.0, 9.0, 7.0]):
        study.ask()
        study.tell(number, value, {"questions": 1}, state="PRUNED" if number == 2 else "COMPLETE")
    stored = read_study(url, "s")
    assert [trial.number for trial in ranked(stored.trials)] == [1, 3, 0]
    assert stored.choose("best-search").trial.number == 1
