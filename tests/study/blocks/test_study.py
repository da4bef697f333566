"""The study of a search by blocks: resume, extension, its end, what is in the storage."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage

from tests.study.blocks.searches import QUESTIONS, answer, drive, open_blocks, rows, search
from tvmerge.errors import StudyError
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import asks_of
from tvmerge.study.status import read_status
from tvmerge.study.storage import read_study
from tvmerge.study.store.base import TrialStore
from tvmerge.study.store.open import open_trial_store

MOST = 6 * QUESTIONS


@pytest.mark.parametrize("window", [1, 4])
def test_a_search_dropped_at_random_moments_ends_with_the_same_table(window: int, tmp_path: Path) -> None:
    whole = drive(lambda: open_blocks(tmp_path / "whole", window), MOST)
    whole.settle(3)
    draw = random.Random(window)
    deaths = [draw.randint(0, 12) for _ in range(10)]
    cut = drive(lambda: open_blocks(tmp_path / "cut", window), MOST, deaths)
    cut.settle(3)
    assert rows(cut) == rows(whole)
    assert rows(open_blocks(tmp_path / "cut", window)) == rows(whole)


@pytest.mark.parametrize("window", [1, 4])
def test_a_search_that_is_extended_is_one_that_was_longer_from_the_start(window: int, tmp_path: Path) -> None:
    whole = drive(lambda: open_blocks(tmp_path / "whole", window), MOST)
    whole.settle(3)
    short = drive(lambda: open_blocks(tmp_path / "short", window), 4 * QUESTIONS)
    short.settle(2)
    short.close()
    longer = drive(lambda: open_blocks(tmp_path / "short", window), MOST)
    longer.settle(3)
    assert rows(longer) == rows(whole)


def test_a_study_settled_again_stays_and_with_more_finalists_only_states_change(tmp_path: Path) -> None:
    study = drive(lambda: open_blocks(tmp_path), 120)
    study.settle(2)
    settled = rows(study)
    study.settle(2)
    again = open_blocks(tmp_path)
    again.settle(2)
    assert rows(again) == rows(study) == settled
    again.settle(4)
    complete = [row[0] for row in rows(again) if row[3] == "COMPLETE"]
    assert len(complete) == 4
    assert [row[:3] for row in rows(again)] == [row[:3] for row in settled]
    again.settle(2)
    assert rows(open_blocks(tmp_path)) == settled


def test_a_search_that_is_paused_and_dies_while_it_writes_ends_with_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drive(lambda: open_blocks(tmp_path / "whole", 4), MOST)
    whole.settle(3)
    for writes in (0, 1, 2, 9, 10, 11, 30, 31, 45, 46, 47, 60):
        with monkeypatch.context() as patch:
            patch.setattr(f"{BlockStudy.__module__}.open_trial_store", dying_after(writes))
            study = open_blocks(tmp_path / "cut", 4)
            with contextlib.suppress(Died):
                drive(lambda study=study: study, MOST)  # type: ignore[misc]
                study.settle(3)
            with contextlib.suppress(Died):
                study.pause(2)
            study.close()
    cut = drive(lambda: open_blocks(tmp_path / "cut", 4), MOST)
    cut.settle(3)
    assert rows(cut) == rows(whole)
    assert rows(open_blocks(tmp_path / "cut", 4)) == rows(whole)


class Died(BaseException):
    """The end of a process."""


class Dying:
    """A store whose process dies at one of its writes; the next call finds it alive again."""

    reopens = True

    def __init__(self, store: TrialStore, writes: int) -> None:
        self._store, self._left, self.read = store, writes, store.read

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        if self._left == -1:
            raise Died
        return getattr(self._store, name)


def dying_after(writes: int) -> Callable[[BaseStorage, int], Dying]:
    return lambda storage, study_id: Dying(open_trial_store(storage, study_id), writes)


def test_a_paused_search_shows_the_best_of_what_was_told(tmp_path: Path) -> None:
    study = drive(lambda: open_blocks(tmp_path, 4), 80)
    study.ask()
    url = f"sqlite:///{tmp_path / 'study.db'}"
    with pytest.raises(StudyError, match="has not ended, so none is the best yet"):
        read_study(url, "s").choose("winner")
    assert read_status(url, "s").best == ()
    best = study.best()
    study.pause(2)
    stored = read_study(url, "s")
    assert best is not None
    assert stored.choose("best-search").trial.number == best.number
    assert read_status(url, "s").best[0].number == best.number
    assert [t.number for t in stored.trials if t.state == "RUNNING"] == [
        ask.trial for ask in study.running() if ask.number == asks_of(study.trials[ask.trial])[0].number
    ]


def test_a_search_is_not_paused_where_trials_cannot_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvmerge.study.store.open.SCHEMAS", frozenset())
    study = drive(lambda: open_blocks(tmp_path), 60)
    study.pause(2)
    assert {trial.state for trial in study.trials} == {"RUNNING"}
    drive(lambda: open_blocks(tmp_path), 80).settle(2)
    assert read_status(f"sqlite:///{tmp_path / 'study.db'}", "s").best


def test_optuna_reads_the_study_and_its_best_trial_is_the_recommended(tmp_path: Path) -> None:
    study = drive(lambda: open_blocks(tmp_path), 160)
    recommended = study.best()
    study.settle(3)
    found = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert recommended is not None
    assert found.best_trial.number == recommended.number
    assert found.best_value == recommended.value
    states = [trial.state.name for trial in found.trials]
    assert states.count("COMPLETE") == 3
    assert states.count("FAIL") == sum(any(a.failed for a in asks_of(t)) for t in study.trials) > 0
    for trial in found.trials:
        told = [ask for ask in asks_of(study.trials[trial.number]) if not ask.failed]
        means = {
            ask.number: sum(s for s in ask.scores or () if s is not None)
            / sum(s is not None for s in ask.scores or ())
            for ask in told
        }
        assert trial.intermediate_values == pytest.approx(means)


def test_a_value_is_what_a_score_is_likely_to_be_at_least(tmp_path: Path) -> None:
    study = drive(lambda: open_blocks(tmp_path), 120)
    study.settle(1)
    scored = [t for t in study.trials if t.value is not None]
    for trial in scored:
        assert trial.value == pytest.approx(trial.attrs["mean"] - 0.5 * trial.attrs["se"], abs=2e-6)
        assert trial.attrs["n"] == sum(s is not None for a in asks_of(trial) for s in a.scores or ())
    best = max(scored, key=lambda t: t.value or 0.0)
    assert best.state == "COMPLETE"


def test_asks_are_told_in_order_and_once_and_in_full(tmp_path: Path) -> None:
    study = open_blocks(tmp_path, 2)
    first, second = study.ask(), study.ask()
    assert not study.may_ask
    with pytest.raises(StudyError, match="ask 1 cannot be told before ask 0"):
        study.tell(second, Told((1.0,) * 4, {}))
    with pytest.raises(StudyError, match="ask 0 has 1 scores for its questions"):
        study.tell(first, Told((1.0,), {}))
    study.tell(first, Told((1.0,) * 4, {}))
    with pytest.raises(StudyError, match="ask 0 cannot be told before ask 1"):
        study.tell(first, Told((1.0,) * 4, {}))
    assert (study.asked, study.told, len(study.running())) == (8, 4, 1)


def test_a_run_that_lost_its_study_writes_nothing_more(tmp_path: Path) -> None:
    drive(lambda: open_blocks(tmp_path, 2), 40).ask()
    before = rows(open_blocks(tmp_path, 2))

    def lost() -> None:
        raise StudyError("lost")

    study = open_blocks(tmp_path, 2, still_held=lost)
    for act in (
        study.ask,
        lambda: study.settle(1),
        lambda: study.tell(study.running()[0], Told((1.0,) * 4, {})),
    ):
        with pytest.raises(StudyError, match="lost"):
            act()
    assert rows(open_blocks(tmp_path, 2)) == before


def test_a_running_study_is_readable_in_any_storage(tmp_path: Path) -> None:
    study = drive(lambda: open_blocks(tmp_path), 60)
    stored = read_study(f"sqlite:///{tmp_path / 'study.db'}", "s")
    assert {trial.state for trial in stored.trials} == {"RUNNING"}
    assert [asks_of(t) for t in stored.trials] == [asks_of(t) for t in study.trials]


def test_a_candidate_that_fails_after_it_was_scored_is_not_recommended(tmp_path: Path) -> None:
    study = open_blocks(tmp_path, found=search(questions=8))
    while study.told < 80:
        ask = study.ask()
        twice = len(asks_of(study.trials[ask.trial])) > 1
        scored = answer(study.trials[ask.trial].recipe, ask)
        if twice and ask.trial == 3:
            study.settle(2)
            assert study.trials[3].value is not None
        study.tell(ask, Told((), {}, "not finite") if twice and ask.trial == 3 else scored)
    study.settle(2)
    assert not {"mean", "se", "n"} & set(study.trials[3].attrs)
    assert rows(open_blocks(tmp_path, found=search(questions=8))) == rows(study)
    assert study.trials[3].state == "FAIL"
    assert study.trials[3].values == ()
    assert study.trials[3].attrs["failure"] == "not finite"


def test_a_candidate_whose_answers_got_no_rating_can_still_be_scored_by_its_next_block(
    tmp_path: Path,
) -> None:
    study = open_blocks(tmp_path, found=search(questions=8))
    while study.told < 80:
        ask = study.ask()
        scored = answer(study.trials[ask.trial].recipe, ask)
        first = ask.number == asks_of(study.trials[ask.trial])[0].number
        study.tell(ask, Told((None,) * len(scored.scores), {}) if first and ask.trial in {1, 9} else scored)
        if first and ask.trial == 1:
            study.pause(2)
            assert study.trials[1].attrs["failure"] == "nothing was rated"
    study.settle(2)
    assert study.trials[1].state in {"COMPLETE", "PRUNED"}
    assert "failure" not in study.trials[1].attrs
    assert (study.trials[9].state, study.trials[9].values) == ("FAIL", ())
    assert rows(open_blocks(tmp_path, found=search(questions=8))) == rows(study)
