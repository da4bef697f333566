"""The samplers: exact after any interruption, fed by every score, set by documented keys."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from itertools import count
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study.studies import KINDS, SPACE, Table, open_study, run, score
from tvmerge.errors import ConfigError
from tvmerge.records import Recipe
from tvmerge.study.sampler import choose_sampler, make_sampler, read_settings
from tvmerge.study.samplers import SAMPLERS
from tvmerge.study.samplers.cma_es import CmaEsSettings
from tvmerge.study.space import Space
from tvmerge.study.storage import enter_study, open_storage
from tvmerge.study.study import SearchStudy, distributions

SETTINGS = {name: SAMPLERS.load(name).settings for name in SAMPLERS.names()}


Whole = Callable[[str, int], Table]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The table of an undisturbed study by its sampler and window, made once."""
    return cache(lambda kind, window: run(tmp_path_factory.mktemp("whole"), kind, window))


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_study_dropped_at_random_steps_ends_with_the_table_of_an_undisturbed_one(
    whole: Whole, tmp_path: Path, kind: str, window: int
) -> None:
    steps = random.Random(f"{kind} {window}")
    deaths = tuple(steps.randrange(1, 2 * KINDS[kind].trials // 5 + 1) for _ in range(5))
    assert run(tmp_path, kind, window, die_after=deaths) == whole(kind, window)


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_study_made_longer_ends_with_the_table_of_one_that_was_long_from_the_start(
    whole: Whole, tmp_path: Path, kind: str, window: int
) -> None:
    run(tmp_path, kind, window, KINDS[kind].trials // 2 + 1)
    assert run(tmp_path, kind, window) == whole(kind, window)


@pytest.mark.parametrize("kind", ["TPE", "CMA-ES", "GP"])
def test_fixed_recipes_come_first_and_the_sampler_improves_on_them(tmp_path: Path, kind: str) -> None:
    study = run(tmp_path, kind, 1, 20 if kind == "GP" else 80)
    assert [set(row[1].values()) for row in study[:2]] == [{0.0}, {1.0}]
    fixed = max(row[2] for row in study[:2])
    assert max(row[2] for row in study)[0] > fixed[0] + 0.5


def test_nsga_ii_breeds_from_the_given_weights_and_moves_towards_the_front(tmp_path: Path) -> None:
    rows = run(tmp_path, "NSGA-II", 1, 90)
    given = set(rows[0][1].values()) | set(rows[1][1].values())
    assert any(given & set(weights.values()) for _, weights, _, _ in rows[6:12])
    front = [trial.number for trial in open_study(tmp_path, "NSGA-II").front()]
    assert sum(number >= 60 for number in front) > 2 * sum(number < 30 for number in front) > 0


def test_random_draws_do_not_depend_on_scores(tmp_path: Path) -> None:
    def drawn(folder: str, value: float) -> list[Recipe]:
        study = open_study(tmp_path / folder, "random")
        for number in range(6):
            study.ask()
            study.tell(number, value * number, {})
        return [trial.recipe for trial in study.trials]

    assert drawn("up", 1) == drawn("down", -1)
    assert len({tuple(recipe.weights.values()) for recipe in drawn("up again", 1)}) == 6


@pytest.mark.parametrize("kind", KINDS)
def test_other_seeds_give_other_trials(tmp_path: Path, kind: str) -> None:
    tables = [run(tmp_path / str(seed), kind, 1, 3, seed=seed) for seed in (1, 2)]
    assert tables[0][2] != tables[1][2]


@pytest.mark.parametrize("kind", ["TPE", "CMA-ES", "GP"])
def test_estimates_of_stopped_trials_steer_the_sampler_as_scores_do(tmp_path: Path, kind: str) -> None:
    folders = map(str, count())

    def draws(state: Literal["COMPLETE", "PRUNED"], shift: float) -> list[Recipe]:
        study = open_study(tmp_path / next(folders), kind)
        for number in range(8 if kind == "GP" else 20):
            value = score(study.ask().recipe)
            stopped = number % 3 == 2 and value is not None
            told = value + shift * stopped if value is not None else None
            study.tell(number, told, {"questions": 8}, state=state if stopped else "COMPLETE")
        return [trial.recipe for trial in study.trials]

    assert draws("PRUNED", 0) == draws("COMPLETE", 0) != draws("PRUNED", -9)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "CMA-ES"])
def test_a_range_of_one_point_gives_that_point(tmp_path: Path, kind: str) -> None:
    of = KINDS[kind]
    space = Space(("a", "b", "c"), 0.5, 0.5, {"c": (0.0, 1.0)})
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study_id = enter_study(storage, "s", {}, {}, objectives=of.objectives)
    make = make_sampler(of.name, distributions(space), 1, of.settings, objectives=of.objectives)
    study = SearchStudy(storage, study_id, space, make)
    for number in range(9):
        weights = dict(study.ask().recipe.weights)
        study.tell(number, [weights["c"]] * of.objectives, {})
        assert 0 <= weights.pop("c") <= 1
        assert set(weights.values()) == {0.5}


def test_cma_es_starts_around_the_weight_it_is_told(tmp_path: Path) -> None:
    space = Space(("a", "b", "v/density"), 0.0, 2.0, {"v/density": (0.2, 0.6)})
    make = make_sampler("CMA-ES", distributions(space), 1, CmaEsSettings(start=1.75, sigma=0.01, popsize=4))
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    study = SearchStudy(storage, enter_study(storage, "s", {}, {}), space, make, window=4)
    for weights in (study.ask().recipe.weights for _ in range(4)):
        assert [weights["a"], weights["b"], weights["v/density"]] == pytest.approx([1.75, 1.75, 0.4], abs=0.2)
    with pytest.raises(ConfigError, match=r"start must be within the range of the weights, got 2\.5"):
        make_sampler("CMA-ES", distributions(space), 1, CmaEsSettings(start=2.5))


def test_a_deterministic_objective_can_be_told_to_gp_without_a_warning(tmp_path: Path) -> None:
    chosen = read_settings("GP", {"deterministic_objective": True, "n_startup_trials": 2})
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    make = make_sampler("GP", distributions(SPACE), 1, chosen)
    study = SearchStudy(storage, enter_study(storage, "s", {}, {}), SPACE, make)
    for number in range(4):
        study.tell(number, score(study.ask().recipe), {})
    assert study.told == 4


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        (
            "CMA-ES",
            {"popsze": 8},
            "no key 'popsze' for CMA-ES; did you mean 'popsize'? known: popsize, sigma",
        ),
        (
            "TPE",
            {"popsize": 8},
            "no key 'popsize' for TPE; known: n_startup_trials, n_ei_candidates; "
            "'popsize' is for --optuna-sampler CMA-ES",
        ),
        (
            "auto",
            {"n_startup_trials": 5},
            "no key 'n_startup_trials' for auto; known: block; "
            "'n_startup_trials' is for --optuna-sampler GP or TPE",
        ),
        ("random", {"seed": 8}, "no key 'seed' for random; it has none"),
        ("CMA-ES", {"popsize": 1}, "popsize must be at least 4, got 1"),
        ("CMA-ES", {"popsize": 4.5}, "popsize must be int, got float 4.5"),
        ("CMA-ES", {"sigma": "wide"}, "sigma must be float, got str 'wide'"),
        ("CMA-ES", {"start": float("nan")}, "start must be finite, got nan"),
        ("NSGA-II", {"mutation_prob": 2}, "mutation_prob must be between 0 and 1, got 2"),
        ("GP", {"deterministic_objective": 1}, "deterministic_objective must be bool, got int 1"),
        ("TPE", {"n_startup_trials": True}, "n_startup_trials must be int, got bool True"),
        ("SA", {}, "unknown sampler 'SA'; known: auto, CMA-ES, GP, NSGA-II, random, TPE"),
    ],
)
def test_a_wrong_sampler_table_is_one_clear_line(name: str, table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(name, table)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("objectives", "by_question", "why"),
    [(2, True, "of several objectives"), (1, False, "a metric here has no score for a single question")],
)
def test_auto_is_tpe_where_candidates_cannot_answer_in_blocks(
    objectives: int, by_question: bool, why: str
) -> None:
    chosen, said = choose_sampler("auto", objectives, by_question=by_question)
    assert (chosen, said) == ("TPE", f"--optuna-sampler auto is TPE in this study, because {why}")
    for name in ("TPE", "GP", "NSGA-II"):
        assert choose_sampler(name, objectives, by_question=by_question) == (name, "")


def test_auto_is_itself_elsewhere() -> None:
    assert choose_sampler("auto", 1, by_question=True) == ("auto", "")


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_every_allowed_value_is_taken_as_it_is(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(SETTINGS)))
    allowed = {f.name: f.metadata["allowed"] for f in fields(SETTINGS[name])}
    table: dict[str, object] = {}
    for key in data.draw(st.sets(st.sampled_from(sorted(allowed)))) if allowed else ():
        low, high = max(allowed[key].low, -1e3), min(allowed[key].high, 1e3)
        table[key] = data.draw(
            {bool: st.booleans(), int: st.integers(int(low), int(high)), float: st.floats(low, high)}[
                allowed[key].kind
            ]
        )
    read = read_settings(name, table)
    assert {key: getattr(read, key) for key in table} == table


def test_the_page_on_the_search_describes_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `(.+?)` \| `(\w+)` \|", page, re.MULTILINE)
    known = {(name, f.name): f.default for name, kind in SETTINGS.items() for f in fields(kind)}
    assert sorted(described) == sorted(known)
    defaults = re.findall(r"^\| `(.+?)` \| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)
    numbers = {where: default for where, default in known.items() if type(default) in (int, float)}
    del numbers["CMA-ES", "sigma"]  # a fraction that has no end
    assert {(name, key): float(text) for name, key, text in defaults} == numbers


def test_samplers_are_refused_what_they_cannot_search() -> None:
    one, two = distributions(Space(("norm",), 0, 1)), distributions(SPACE)
    with pytest.raises(ConfigError, match="at least 2 weights"):
        make_sampler("CMA-ES", one, 1)
    with pytest.raises(ConfigError, match="CMA-ES maximises one objective; use TPE, GP or NSGA-II"):
        make_sampler("CMA-ES", two, 1, objectives=2)
    with pytest.raises(ConfigError, match="NSGA-II maximises several objectives; use TPE, CMA-ES or GP"):
        make_sampler("NSGA-II", two, 1)
