"""Which settings belong to a study for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from tvmerge.config import load_config, options
from tvmerge.errors import ConfigError
from tvmerge.option import Decides

NEEDED = {"target_model": ("t",), "base_model": "b", "tuned_model": "v", "bench_name": ("demo",)}


def fingerprint(**settings: Any) -> Mapping[str, Any]:
    return load_config({**NEEDED, **settings}).fingerprint


def test_every_setting_says_what_it_decides() -> None:
    assert {option.decides for option, _ in options().values()} == set(get_args(Decides))


def test_a_study_keeps_the_settings_its_scores_and_candidates_depend_on() -> None:
    assert fingerprint() == {
        "max_new_tokens": 512,
        "min_coverage": 0.9,
        "multi_objective": False,
        "optimize_mode": "layer",
        "optuna_sampler": "auto",
        "optuna_seed": 42,
        "trials_in_flight": 1,
        "truncate": False,
        "uniform_weights": [0.75, 0.5, 1.0, 0.25, 1.25, 0.0, 1.5],
        "weight_max": 2.0,
        "weight_min": 0.0,
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", {"default": 0.7}),
        ("max_thinking_tokens", 64),
        ("truncate", True),
        ("optuna_sampler", "TPE"),
        ("weight_max", 1.5),
    ],
)
def test_another_value_of_a_fixed_setting_is_another_study(key: str, value: object) -> None:
    assert fingerprint(**{key: value}) == {**fingerprint(), key: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [("n_trials", 7), ("parallel", 3), ("device", "cpu"), ("temperature", {}), ("run_dir", "elsewhere")],
)
def test_what_decides_nothing_may_change(key: str, value: object) -> None:
    assert fingerprint(**{key: value}) == fingerprint()


def test_a_setting_that_does_not_say_what_it_decides_cannot_be_declared() -> None:
    from tvmerge.option import option

    declare: Any = option
    with pytest.raises(TypeError, match="decides"):
        declare(int, "Forgotten.", 1)


def test_the_run_knows_every_part_of_its_settings() -> None:
    config = load_config(NEEDED)
    assert config.merge.target_model == ("t",)
    assert config.judging.bench_name == ("demo",)


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9"])
def test_a_text_that_files_and_urls_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="run_dir must "):
        load_config({**NEEDED, "run_dir": text})


NUMBERS = [key for key, (option, _) in options().items() if option.kind in {int, float}]


@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_beyond_its_bounds_is_refused(key: str) -> None:
    option, _ = options()[key]
    least, most = option.within
    kind = option.kind
    for value in (least - 1, most + 1, *((float("nan"), float("inf"), 1e300) if kind is float else (2**64,))):
        given = kind(value)
        with pytest.raises(ConfigError, match=f"^{key} must be "):
            load_config({**NEEDED, key: (given,) if option.many else given})


@pytest.mark.parametrize("name", ["", " a", "a ", "a\n", "a\x1bb", "a\tb", "\u3000a", "n" * 513])
@pytest.mark.parametrize("key", ["study_name", "fork"])
def test_a_name_that_is_not_told_from_another_where_it_is_printed_is_refused(key: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"^--{key.replace('_', '-')} must "):
        load_config({**NEEDED, key: name})


def test_a_study_of_a_long_name_gets_a_folder_of_a_name_that_fits() -> None:
    folders = [load_config({**NEEDED, "study_name": "\u732b" * 300 + end}).run_folder for end in "ab"]
    assert folders[0] != folders[1]
    assert all(len(folder.name.encode()) <= 200 for folder in folders)
