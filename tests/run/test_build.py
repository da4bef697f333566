"""What a run is made of, and what it says before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tvmerge._util.caches import Caches
from tvmerge.config import RunConfig
from tvmerge.errors import StudyError
from tvmerge.run.build import Run, build_run
from tvmerge.run.outline import outline
from tvmerge.run.paths import RunPaths
from tvmerge.study.compare import compare
from tvmerge.study.space import uniform_weight
from tvmerge.tasks.build import build_suite

Build = Callable[..., Run]


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def build(demo_models: Path, tmp_path: Path, notes: list[str]) -> Build:
    """A run of the demo's models with some settings of its own."""
    target, base, tuned = (str(demo_models / role) for role in ("target", "base", "tuned"))

    def make(**settings: Any) -> Run:
        config = RunConfig(
            target_model=(target,),
            base_model=base,
            tuned_model=tuned,
            bench_name=("japanese-chat",),
            judge=("rules",),
            run_dir=str(tmp_path / "run"),
            device="cpu",
            **{"optuna_sampler": "TPE", **settings},
        )
        with closing(Caches()) as caches:
            suite = build_suite(config, caches, notes.append)
            known = outline(config, RunPaths.of(config), suite)
            return build_run(config, known, caches, notes.append)

    return make


def first_weights(run: Run) -> list[float]:
    """The uniform weights that a run tries first, in order."""
    found = [uniform_weight(recipe) for recipe in run.enqueued]
    return [weight for weight in found if weight is not None]


@pytest.mark.parametrize(
    ("settings", "tried"),
    [
        ({}, [0.75, 0.5, 1.0, 0.25, 1.25, 0.0, 1.5]),
        ({"weight_max": 1.0}, [0.75, 0.5, 1.0, 0.25, 0.0]),
        ({"weight_min": 0.3, "weight_max": 0.9}, [0.75, 0.5]),
        ({"uniform_weights": (0.25, 0.0)}, [0.25, 0.0, 1.0]),
        ({"uniform_weights": ()}, [1.0, 0.0]),
        ({"uniform_weights": (0.0, 1.0)}, [0.0, 1.0]),
        ({"weight_min": 0.25, "uniform_weights": (0.5,)}, [0.5, 1.0]),
        ({"optuna_sampler": "auto"}, [0.0, 1.0]),  # its own uniform weights come next
        ({"optuna_sampler": "auto", "uniform_weights": (0.3,)}, [0.0, 1.0, 0.3]),
    ],
)
def test_uniform_weights_are_tried_first_and_0_and_1_among_them(
    build: Build, settings: Mapping[str, Any], tried: list[float]
) -> None:
    assert first_weights(build(**settings)) == tried


def test_a_study_keeps_the_order_of_its_first_trials_and_that_they_race(build: Build) -> None:
    found = build(uniform_weights=(0.5,))
    assert found.settings_fingerprint["uniform_weights"] == [0.5, 1.0, 0.0]
    assert found.settings_fingerprint["raced"] == "every trial"


def test_a_study_in_which_given_weights_did_not_race_is_refused_in_one_line(build: Build) -> None:
    now = build(uniform_weights=(0.5,)).settings_fingerprint
    before = {key: value for key, value in now.items() if key != "raced"} | {"uniform_weights": [0.5]}
    changes = r"uniform_weights was \[0.5\], is \[0.5,1.0,0.0\]; raced was null, is every trial; restore"
    with pytest.raises(StudyError, match=changes):
        compare("old", before, now)


def test_without_races_a_study_says_nothing_of_them(build: Build) -> None:
    assert "raced" not in build(racing="off").settings_fingerprint


@pytest.mark.parametrize(
    ("table", "writing", "extraction", "other"),
    [
        ({}, 0.7, 0.0, 0.7),
        ({"writing": 0.3}, 0.3, 0.0, 0.7),
        ({"default": 1, "extraction": 0.2}, 1.0, 0.2, 1.0),
    ],
)
def test_temperatures_of_the_run_go_over_those_of_the_benchmark(
    build: Build, table: Mapping[str, float], writing: float, extraction: float, other: float
) -> None:
    sampling = build(temperature=table).sampling
    found = [sampling.temperature(category) for category in ("writing", "extraction", "unheard of")]
    assert found == [writing, extraction, other]


def test_the_memory_a_run_needs_is_told_before_anything_is_loaded(build: Build, notes: list[str]) -> None:
    build(engines=2)
    assert [line for line in notes if line.startswith("memory of cpu: 2 models of ")]
