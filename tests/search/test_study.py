"""The study: the window, the journal, the guard."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Literal

import pytest

from tvmerge.errors import ConfigError, StudyError
from tvmerge.records import Recipe
from tvmerge.search.samplers import make_sampler
from tvmerge.search.space import Space, uniform_weight
from tvmerge.search.storage import enter_study, open_storage, read_study
from tvmerge.search.study import SearchStudy, distributions

SPACE = Space(("embeddings", "layers.0", "layers.1", "norm"), 0.0, 2.0)


def score(recipe: Recipe) -> float | None:
    """A smooth objective with its top at 0.5, 1, 1.5, ...; one corner of it fails."""
    weights = list(recipe.weights.values())
    if weights[0] > 1.9:
        return None
    return 10 - sum((w - 0.5 * (i + 1)) ** 2 for i, w in enumerate(weights))


def open_study(folder: Path, sampler: str, window: int, *, seed: int = 7) -> SearchStudy:
    storage = open_storage(f"sqlite:///{folder / 'deep' / 'study.db'}")
    study_id = enter_study(storage, "s", {"seed": seed}, {"mode": "layer"})
    make = make_sampler(sampler, distributions(SPACE), seed)
    fixed = (SPACE.uniform(0), SPACE.uniform(1))
    return SearchStudy(storage, study_id, SPACE, make, fixed=fixed, window=window)


Table = list[tuple[int, dict[str, float], float | None, str]]


def run(
    folder: Path, sampler: str, window: int, n_trials: int, *, seed: int = 7, die_after: tuple[int, ...] = ()
) -> Table:
    """Drive a study to its end; each entry of `die_after` is a number of steps after which it is dropped."""
    deaths = list(die_after)
    study, steps = open_study(folder, sampler, window, seed=seed), 0
    while study.told < n_trials:
        if deaths and steps >= deaths[0]:
            deaths.pop(0)
            study, steps = open_study(folder, sampler, window, seed=seed), 0
        if study.may_ask and study.asked < n_trials:
            study.ask()
        else:
            oldest = study.running()[0]
            value = score(oldest.recipe)
            study.tell(oldest.number, value, {"n": 3})
        steps += 1
    return [(t.number, dict(t.recipe.weights), t.value, t.state) for t in study.trials]


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("sampler", ["TPE", "CMA-ES"])
def test_a_study_dropped_at_random_steps_ends_with_the_table_of_an_undisturbed_one(
    tmp_path: Path, sampler: str, window: int
) -> None:
    whole = run(tmp_path / "whole", sampler, window, 40)
    steps = random.Random(window)
    for round_ in range(3):
        deaths = tuple(steps.randrange(1, 30) for _ in range(3))
        cut = run(tmp_path / f"cut{round_}", sampler, window, 40, die_after=deaths)
        assert cut == whole


@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("sampler", ["TPE", "CMA-ES"])
def test_a_finished_study_made_longer_ends_with_the_table_of_one_that_was_long_from_the_start(
    tmp_path: Path, sampler: str, window: int
) -> None:
    whole = run(tmp_path / "whole", sampler, window, 30)
    run(tmp_path / "longer", sampler, window, 17)
    assert run(tmp_path / "longer", sampler, window, 30) == whole


def test_another_writer_of_the_same_study_is_noticed(tmp_path: Path) -> None:
    one, other = open_study(tmp_path, "TPE", 2), open_study(tmp_path, "TPE", 2)
    one.ask()
    with pytest.raises(StudyError, match="another run writes to this study: trial 0 is there already"):
        other.ask()


def test_the_table_in_the_database_is_the_table_in_memory(tmp_path: Path) -> None:
    table = run(tmp_path, "TPE", 2, 12)
    stored = read_study(f"sqlite:///{tmp_path / 'deep' / 'study.db'}", "s")
    rows = [(r.number, dict(r.params), r.values, r.state.name) for r in stored.rows]
    assert rows == [(n, params, None if v is None else [v], state) for n, params, v, state in table]
    assert stored.run == {"mode": "layer"}
    assert stored.rows[3].user_attrs["n"] == 3


def test_fixed_recipes_come_first_and_the_sampler_improves_on_them(tmp_path: Path) -> None:
    for sampler in ("TPE", "CMA-ES"):
        table = run(tmp_path / sampler, sampler, 1, 80)
        assert [set(row[1].values()) for row in table[:2]] == [{0.0}, {1.0}]
        fixed = max(row[2] for row in table[:2] if row[2] is not None)
        assert max(row[2] for row in table if row[2] is not None) > fixed + 0.5


def test_other_seeds_give_other_trials(tmp_path: Path) -> None:
    tables = [run(tmp_path / str(s), "TPE", 1, 4, seed=s) for s in (1, 2)]
    assert tables[0][3] != tables[1][3]


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
    best = study.best()
    assert best is not None
    assert best.number == 0
    assert [(t.state, t.value, t.scored) for t in study.trials] == [
        ("COMPLETE", 4.0, True),
        ("PRUNED", 5.5, False),
    ]
    assert open_study(tmp_path, "TPE", 1).trials == study.trials


def test_estimates_of_stopped_trials_steer_the_sampler_as_scores_do(tmp_path: Path) -> None:
    folders = map(str, count())

    def draws(sampler: str, state: Literal["COMPLETE", "PRUNED"], shift: float) -> list[Recipe]:
        study = open_study(tmp_path / next(folders), sampler, 1)
        for number in range(24):
            value = score(study.ask().recipe)
            stopped = number % 3 == 2 and value is not None
            told = value + shift * stopped if value is not None else None
            study.tell(number, told, {"questions": 8}, state=state if stopped else "COMPLETE")
        return [trial.recipe for trial in study.trials]

    for sampler in ("TPE", "CMA-ES"):
        assert draws(sampler, "PRUNED", 0) == draws(sampler, "COMPLETE", 0) != draws(sampler, "PRUNED", -9)


def test_what_was_known_when_a_trial_was_asked_does_not_change_when_more_is_told(tmp_path: Path) -> None:
    study = open_study(tmp_path, "TPE", 3)
    assert study.known_at(0) == ()
    seen = {}
    while study.told < 12:
        while study.may_ask and study.asked < 12:
            number = study.ask().number
            seen[number] = study.known_at(number)
            assert seen[number] == study.trials[: study.told]
        study.tell(study.told, float(study.told), {})
    again = open_study(tmp_path, "TPE", 3)
    assert {number: again.known_at(number) for number in seen} == seen
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
    best = study.best()
    assert best is not None
    assert (best.number, best.value, best.values) == (3, 9, (9, 2))
    assert opened().front() == study.front()
    study.ask()
    with pytest.raises(StudyError, match="trial 6 has 1 scores for 2 objectives"):
        study.tell(6, 5.0, {})


def test_a_failed_trial_is_never_the_best(tmp_path: Path) -> None:
    study = open_study(tmp_path, "TPE", 1)
    study.ask()
    study.tell(0, None, {"coverage": 0.2})
    assert study.best() is None
    study.ask()
    study.tell(1, -3.0, {})
    best = study.best()
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
    with pytest.raises(StudyError, match="it holds: theirs"):
        read_study(url, "ours")


def test_a_storage_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StudyError, match="not a database"):
        open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    with pytest.raises(StudyError, match="there is no study database"):
        read_study(f"sqlite:///{tmp_path / 'none.db'}", "s")


def test_ranges_are_checked() -> None:
    with pytest.raises(ConfigError, match="weight_min 2 is larger than weight_max 1"):
        Space(("norm",), 2, 1)
    with pytest.raises(ConfigError, match="finite"):
        Space(("norm",), float("nan"), 1)
    with pytest.raises(ConfigError, match="at least two weights"):
        make_sampler("CMA-ES", distributions(Space(("norm",), 0, 1)), 1)


def test_a_range_of_one_point_gives_that_point(tmp_path: Path) -> None:
    space = Space(("a", "b"), 0.5, 0.5)
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study = SearchStudy(
        storage, enter_study(storage, "s", {}, {}), space, make_sampler("TPE", distributions(space), 1)
    )
    assert uniform_weight(study.ask().recipe) == 0.5


def test_uniform_weight_sees_only_equal_weights() -> None:
    assert uniform_weight(SPACE.uniform(0.3)) == 0.3
    assert uniform_weight(Recipe({"a": 0.3, "b": 0.4})) is None
