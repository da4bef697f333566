"""The study: the window, the store, the guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study.studies import SPACE, open_study, run
from tvmerge.errors import ConfigError, StudyError
from tvmerge.records import Recipe
from tvmerge.study import study as study_module
from tvmerge.study.ranking import best_of
from tvmerge.study.sampler import make_sampler
from tvmerge.study.space import Space, uniform_weight
from tvmerge.study.storage import enter_study, open_storage, read_study
from tvmerge.study.study import SearchStudy, distributions


def test_another_writer_of_the_same_study_is_noticed(tmp_path: Path) -> None:
    one, other = open_study(tmp_path, "TPE", 2), open_study(tmp_path, "TPE", 2)
    one.ask()
    with pytest.raises(StudyError, match="another run is writing to this study: trial 0 already exists"):
        other.ask()


def test_another_run_that_told_a_trial_is_noticed(tmp_path: Path) -> None:
    open_study(tmp_path).ask()
    one, other = open_study(tmp_path), open_study(tmp_path)
    one.tell(0, 5.0, {})
    with pytest.raises(StudyError, match="another run is writing to this study: trial 0 is already finished"):
        other.tell(0, 9.0, {"late": True})
    (trial,) = read_study(f"sqlite:///{tmp_path / 'deep' / 'study.db'}", "s").trials
    assert (trial.values, "late" in trial.attrs) == ((5.0,), False)


def test_a_run_that_lost_its_study_writes_nothing_more(tmp_path: Path) -> None:
    taken_over: list[str] = []

    def still_held() -> None:
        if taken_over:
            raise StudyError("lost")

    study = open_study(tmp_path, window=2, still_held=still_held)
    study.ask()
    taken_over.append("s")
    with pytest.raises(StudyError, match="lost"):
        study.ask()
    with pytest.raises(StudyError, match="lost"):
        study.tell(0, 5.0, {})
    (trial,) = read_study(f"sqlite:///{tmp_path / 'deep' / 'study.db'}", "s").trials
    assert trial.state == "RUNNING"


def test_the_table_in_the_database_is_the_table_in_memory(tmp_path: Path) -> None:
    table = run(tmp_path, "TPE", 2, 12)
    stored = read_study(f"sqlite:///{tmp_path / 'deep' / 'study.db'}", "s")
    assert [(t.number, dict(t.recipe.weights), t.values, t.state) for t in stored.trials] == table
    assert stored.run == {"mode": "layer"}
    assert stored.trials[3].attrs["questions"] == 3


def test_a_finished_study_is_resumed_without_what_only_samplers_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = run(tmp_path, "TPE", 2, 6)
    monkeypatch.setattr(study_module, "SamplerView", None)
    resumed = open_study(tmp_path, "TPE", 2)
    assert [(t.number, dict(t.recipe.weights), t.values, t.state) for t in resumed.trials] == table
    monkeypatch.undo()
    assert [trial.number for trial in (resumed.ask(), resumed.ask())] == [6, 7]
    whole = run(tmp_path / "whole", "TPE", 2, 8)
    assert [dict(trial.recipe.weights) for trial in resumed.trials] == [weights for _, weights, *_ in whole]


def test_trials_are_told_in_order(tmp_path: Path) -> None:
    study = open_study(tmp_path, "TPE", 2)
    study.ask()
    study.ask()
    assert not study.may_ask
    with pytest.raises(StudyError, match="trial 1 cannot be told before trial 0"):
        study.tell(1, 5.0, {})


def test_a_trial_that_was_stopped_is_no_best_but_known_to_the_sampler(tmp_path: Path) -> None:
    study = open_study(tmp_path, "TPE", 1)
    study.ask()
    study.tell(0, 4.0, {})
    study.ask()
    study.tell(1, 5.5, {"questions": 16}, state="PRUNED")
    best = best_of(study.trials)
    assert best is not None
    assert best.number == 0
    assert [(t.state, t.value, t.scored) for t in study.trials] == [
        ("COMPLETE", 4.0, True),
        ("PRUNED", 5.5, False),
    ]
    assert open_study(tmp_path, "TPE", 1).trials == study.trials


def test_what_was_known_when_a_trial_was_asked_does_not_change_when_more_is_told(tmp_path: Path) -> None:
    study = open_study(tmp_path, "TPE", 3)
    assert study.known_at(0) == ()
    seen = {}
    while study.told < 12:
        while study.may_ask and study.asked < 12:
            number = study.ask().number
            seen[number] = study.known_at(number)
            assert seen[number] == study.trials[: study.told]
            assert study.best_known_at(number) == best_of(seen[number])
        # Rising and falling, with equal ones, and some that were stopped or failed.
        value = None if study.told % 5 == 2 else float(study.told * 4 % 9)
        study.tell(study.told, value, {"questions": 8}, state="PRUNED" if study.told == 3 else "COMPLETE")
        assert study.best == best_of(study.trials)
    again = open_study(tmp_path, "TPE", 3)
    assert {number: again.known_at(number) for number in seen} == seen
    assert all(again.best_known_at(number) == best_of(seen[number]) for number in seen)
    assert len(seen[11]) == 9


def test_a_study_of_several_objectives_has_a_front(tmp_path: Path) -> None:
    def opened() -> SearchStudy:
        storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
        study_id = enter_study(storage, "s", {}, {}, objectives=2)
        return SearchStudy(storage, study_id, SPACE, make_sampler("TPE", distributions(SPACE), 1))

    study = opened()
    scores: list[tuple[float, float] | None] = [(1, 9), (5, 5), (4, 5), (9, 2), None, (5, 5)]
    for number, pair in enumerate(scores):
        study.ask()
        study.tell(number, pair, {})
    assert [trial.number for trial in study.front()] == [0, 1, 3, 5]
    assert list(study.trials[3].values) == [9, 2]
    assert opened().front() == study.front()
    study.ask()
    with pytest.raises(StudyError, match="trial 6 has 1 scores for 2 objectives"):
        study.tell(6, 5.0, {})


def test_a_failed_trial_is_never_the_best(tmp_path: Path) -> None:
    study = open_study(tmp_path, "TPE", 1)
    study.ask()
    study.tell(0, None, {"coverage": 0.2})
    assert best_of(study.trials) is None
    study.ask()
    study.tell(1, -3.0, {})
    best = best_of(study.trials)
    assert best is not None
    assert best.number == 1


def test_a_changed_setting_is_refused_by_name(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    enter_study(storage, "s", {"judge": "rules", "seed": 1}, {})
    enter_study(storage, "s", {"judge": "rules", "seed": 1}, {})
    with pytest.raises(StudyError, match="judge was rules, is gpt-4;"):
        enter_study(storage, "s", {"judge": "gpt-4", "seed": 1}, {})


def test_a_study_made_elsewhere_is_not_taken_over(tmp_path: Path) -> None:
    import optuna

    url = f"sqlite:///{tmp_path / 'study.db'}"
    storage = open_storage(url)
    other = optuna.create_study(storage=storage, study_name="theirs")
    other.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StudyError, match="was not made by tvmerge"):
        enter_study(storage, "theirs", {}, {})
    with pytest.raises(StudyError, match=r"no study 'ours' in .* \(it holds: theirs\); pass --storage URL"):
        read_study(url, "ours")


def test_a_storage_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StudyError, match="not a database"):
        open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    with pytest.raises(
        StudyError, match=r"no study database at .*none.db; pass --storage URL and --study-name"
    ):
        read_study(f"sqlite:///{tmp_path / 'none.db'}", "s")


def test_ranges_are_checked() -> None:
    with pytest.raises(ConfigError, match="weight_min 2 is larger than weight_max 1"):
        Space(("norm",), 2, 1)
    with pytest.raises(ConfigError, match="finite"):
        Space(("norm",), float("nan"), 1)


def test_uniform_weight_sees_only_equal_weights() -> None:
    assert uniform_weight(SPACE.uniform(0.3)) == 0.3
    assert uniform_weight(Recipe({"a": 0.3, "b": 0.4})) is None
