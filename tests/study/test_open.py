"""From settings to a study: forked, started warm, made longer, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.study import StudyDirection

from tests.study.studies import SPACE, score
from tvmerge.config import RunConfig, load_config
from tvmerge.errors import ConfigError, StudyError
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.make import Questions
from tvmerge.study.open import KnownStudy, look_up_study
from tvmerge.study.storage import open_storage, read_study
from tvmerge.study.study import SearchStudy

MODELS = {"target_model": ("t",), "base_model": "b", "tuned_model": "u", "bench_name": ("demo",)}
GIVEN = (SPACE.uniform(0), SPACE.uniform(1))


def config(folder: Path, **settings: Any) -> RunConfig:
    plain = {"study_name": "old", "n_trials": 8, "run_dir": str(folder / "old"), "optuna_seed": 3}
    plain["optuna_sampler"] = "TPE"
    return load_config({**MODELS, **plain, **settings})


def look_up(run: RunConfig, objectives: int = 1, *, by_question: bool = True) -> KnownStudy:
    return look_up_study(run, run.study_location, objectives, by_question=by_question)


def opened(run: RunConfig, *, judge: str = "rules", objectives: int = 1) -> tuple[SearchStudy, list[str]]:
    study, said = opened_by_any(look_up(run, objectives), judge=judge)
    assert isinstance(study, SearchStudy)
    return study, said


def opened_by_any(
    known: KnownStudy, *, judge: str = "rules", questions: int = 20
) -> tuple[SearchStudy | BlockStudy, list[str]]:
    """The study of any sampler, and what the user is told."""
    said: list[str] = []
    sampler = {"optuna_sampler": known.config.optuna_sampler}
    study = known.open(
        SPACE,
        Questions(questions, 9.0),
        fingerprint={"judge": judge, **sampler, **known.fingerprint},
        run={},
        enqueued=GIVEN,
        note=said.append,
    )
    return study, said


def finish(run: RunConfig, **how: Any) -> list[tuple[dict[str, float], float | None]]:
    study, _ = opened(run, **how)
    while study.told < run.n_trials:
        trial = study.running()[0] if study.running() else study.ask()
        study.tell(trial.number, score(trial.recipe), {})
    return [(dict(trial.recipe.weights), trial.value) for trial in study.trials]


def test_no_connection_outlives_a_study(tmp_path: Path, connections: set[object]) -> None:
    study, _ = opened(config(tmp_path))
    study.ask()
    assert connections
    study.close()
    assert not connections
    assert len(study.trials) == 1
    with pytest.raises(StudyError, match="judge was rules, is gpt") as refused:
        opened(config(tmp_path), judge="gpt")
    assert (refused, connections) == (refused, set())  # a traceback keeps what it went through


def test_a_changed_setting_is_refused_and_can_be_forked(tmp_path: Path) -> None:
    old = finish(config(tmp_path))
    with pytest.raises(StudyError, match=r"judge was rules, is gpt; .* --fork NEW_NAME"):
        opened(config(tmp_path), judge="gpt")
    fork = config(tmp_path, fork="new", n_trials=11)
    assert fork.run_folder == tmp_path / "new"
    study, said = opened(fork, judge="gpt")
    assert said == ["study 'new' starts with 6 trials of study 'old'"]
    assert [dict(study.ask().recipe.weights), study.may_ask] == [old[0][0], False]
    new = finish(fork, judge="gpt")
    assert [row[0] for row in new[:8]] == [row[0] for row in old]
    assert len(new) == 11
    stored = read_study(fork.storage_url, "new")
    assert stored.attrs["tvmerge:origin"][0]["study"] == "old"


def test_a_fork_goes_on_under_its_own_name_and_without_its_parent(tmp_path: Path) -> None:
    old = finish(config(tmp_path))
    opened(config(tmp_path, fork="new"))
    own = config(tmp_path, study_name="new", run_dir=str(tmp_path / "new"))
    assert finish(own) == old
    (tmp_path / "old" / "study.db").unlink()
    study, said = opened(own)
    assert (study.told, said) == (8, [])
    with pytest.raises(StudyError, match="study 'new' exists and is not a fork of 'other'"):
        opened(config(tmp_path, study_name="other", fork="new"))


def test_a_fork_of_a_storage_with_a_name_of_its_own_stays_in_it(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'all.db'}"
    finish(config(tmp_path, storage=storage))
    finish(config(tmp_path, storage=storage, fork="new"))
    assert [read_study(storage, name).name for name in ("old", "new")] == ["old", "new"]


def test_a_warm_start_is_part_of_what_a_study_is(tmp_path: Path) -> None:
    old = finish(config(tmp_path))
    reference = f"{tmp_path / 'old' / 'study.db'}#old"
    warm = config(
        tmp_path, study_name="warm", run_dir=str(tmp_path / "warm"), warm_start=reference, warm_start_trials=2
    )
    best = sorted(old[2:], key=lambda row: -(row[1] or 0))[:2]
    assert [row[0] for row in finish(warm)[2:4]] == [row[0] for row in best]
    with pytest.raises(StudyError, match="warm_start was"):
        opened(config(tmp_path, study_name="warm", run_dir=str(tmp_path / "warm")))


def test_fewer_trials_than_there_are_is_refused(tmp_path: Path) -> None:
    finish(config(tmp_path))
    with pytest.raises(StudyError, match="study 'old' has 8 trials; --n-trials 5 is lower"):
        opened(config(tmp_path, n_trials=5))


def test_a_study_is_told_apart_by_its_sampler_and_its_settings(tmp_path: Path) -> None:
    finish(config(tmp_path))
    with pytest.raises(StudyError, match=r"sampler was .*24.* is .*48"):
        opened(config(tmp_path, sampler={"n_ei_candidates": 48}))


def test_what_is_wrong_with_a_sampler_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'n_ei_candidates'"):
        look_up(config(tmp_path, sampler={"n_ei_candidate": 48}), 1)
    with pytest.raises(ConfigError, match="CMA-ES maximises one objective"):
        look_up(config(tmp_path, optuna_sampler="CMA-ES"), 2)


def test_a_warm_start_from_a_url_needs_the_name_of_a_study(tmp_path: Path) -> None:
    for reference in ("postgresql://u:geheim@h/db", "postgresql://u:ge#heim@h/db"):
        with pytest.raises(ConfigError, match=r"names a storage but no study; add #NAME") as caught:
            look_up(config(tmp_path, warm_start=reference), 1)
        assert "heim" not in str(caught.value)
    look_up(config(tmp_path, warm_start="postgresql://u:geheim@h/db#old"), 1)


def test_a_study_to_begin_with_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"no study database at .*old.*set its --study-name and its --run-dir"
    ):
        opened(config(tmp_path, fork="new"))
    with pytest.raises(StudyError, match=r"no study database at .*; write --warm-start FILE-OR-URL#NAME"):
        opened(config(tmp_path, warm_start="x"))
    assert not list(tmp_path.iterdir())


def test_a_study_whose_making_was_interrupted_is_made_to_its_end(tmp_path: Path) -> None:
    finish(config(tmp_path))
    fork = config(tmp_path, fork="new")
    open_storage(fork.storage_url).create_new_study([StudyDirection.MAXIMIZE], "new")
    study, said = opened(fork)
    assert said == ["study 'new' starts with 6 trials of study 'old'"]
    assert (study.asked, read_study(fork.storage_url, "new").attrs["tvmerge:origin"][0]["study"]) == (
        0,
        "old",
    )


def test_a_fork_needs_another_name_and_a_parent(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--fork old is the study itself"):
        config(tmp_path, fork="old")
    with pytest.raises(StudyError, match="there is no study database"):
        opened(config(tmp_path, fork="new"))


def test_passwords_are_shown_nowhere() -> None:
    run = config(Path(), storage="postgresql://u:secret@h/db", warm_start="mysql://u:secret@h/db#old")
    assert "secret" not in str(run.shown)
    assert run.shown["storage"] == "postgresql://u:***@h/db"
    assert "secret" not in str(look_up(run).fingerprint)


def test_a_study_of_whole_trials_goes_on_by_blocks_only_as_a_fork(tmp_path: Path) -> None:
    finish(config(tmp_path))
    auto = config(tmp_path, optuna_sampler="auto")
    with pytest.raises(StudyError) as refused:
        opened_by_any(look_up(auto))
    assert str(refused.value) == (
        "study 'old' was searched by TPE, and the sampler is now auto; add --optuna-sampler TPE to continue "
        "it, or --fork NEW_NAME to begin a study with its trials"
    )
    study, said = opened_by_any(look_up(config(tmp_path, optuna_sampler="auto", fork="new")))
    assert isinstance(study, BlockStudy)
    assert said == ["study 'new' starts with 6 trials of study 'old'"]


def test_a_study_by_blocks_goes_on_in_whole_trials_only_as_a_fork(tmp_path: Path) -> None:
    study, said = opened_by_any(look_up(config(tmp_path, optuna_sampler="auto")))
    assert isinstance(study, BlockStudy)
    assert said == []
    for _ in range(16):
        study.ask()
        study.tell(study.running()[0], Told((5.0,) * 4, {}))
    with pytest.raises(StudyError, match=r"searched by auto, .* now TPE; add --optuna-sampler auto to"):
        opened(config(tmp_path, n_trials=2))
    assert isinstance(opened(config(tmp_path, fork="new"))[0], SearchStudy)


def test_a_study_that_auto_searches_by_tpe_is_one_of_tpe(tmp_path: Path) -> None:
    old = finish(config(tmp_path))
    known = look_up(config(tmp_path, optuna_sampler="auto"), by_question=False)
    study, said = opened_by_any(known)
    assert said == [known.remark] != [""]
    assert isinstance(study, SearchStudy)
    assert [dict(trial.recipe.weights) for trial in study.trials] == [row[0] for row in old]


@pytest.mark.parametrize(
    "races", [{"racing": "wilcoxon"}, {"racing": "off", "racing_p": 0.2}, {"racing_min_questions": 20}]
)
def test_settings_of_races_are_refused_where_candidates_do_not_race(
    tmp_path: Path, races: dict[str, Any]
) -> None:
    flags = ", ".join(f"--{key.replace('_', '-')}" for key in races)
    with pytest.raises(ConfigError, match=f"^{flags}: candidates do not race with --optuna-sampler auto"):
        look_up(config(tmp_path, optuna_sampler="auto", **races))
    look_up(config(tmp_path, **races))
    look_up(config(tmp_path, optuna_sampler="auto", **races), by_question=False)


def test_races_that_are_off_anyway_are_explained(tmp_path: Path) -> None:
    _, said = opened_by_any(look_up(config(tmp_path, optuna_sampler="auto", racing="off")))
    assert len(said) == 1
    assert said[0].startswith("--racing off changes nothing with --optuna-sampler auto")


def test_races_tell_studies_of_whole_trials_apart(tmp_path: Path) -> None:
    finish(config(tmp_path))
    finish(config(tmp_path, racing="wilcoxon"))
    with pytest.raises(StudyError, match=r"racing_p was 0\.25, is 0\.2"):
        opened(config(tmp_path, racing_p=0.2))


def test_fewer_questions_than_a_block_are_answered_at_once(tmp_path: Path) -> None:
    study, said = opened_by_any(look_up(config(tmp_path, optuna_sampler="auto")), questions=3)
    assert isinstance(study, BlockStudy)
    assert said == ["a candidate answers 3 questions at a time: the search has no more"]
    ask = study.ask()
    assert (ask.start, ask.stop) == (0, 3)


def test_a_block_of_more_questions_than_there_are_is_refused(tmp_path: Path) -> None:
    known = look_up(config(tmp_path, optuna_sampler="auto", sampler={"block": 8}))
    with pytest.raises(
        ConfigError, match=r"^\[sampler\] block is 8, but the search has 7 questions; lower it"
    ):
        opened_by_any(known, questions=7)
    assert opened_by_any(known, questions=8)[1] == []


def test_a_bound_on_the_gain_is_refused_where_auto_is_tpe(tmp_path: Path) -> None:
    bounded = config(tmp_path, optuna_sampler="auto", stop_when="0.1")
    look_up(bounded)
    with pytest.raises(ConfigError, match=r"which TPE does not; leave it out \(--optuna-sampler auto is TPE"):
        look_up(bounded, by_question=False)
