"""What is left of a run: who answers search questions after the search."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.judged import make_bench
from tvmerge._util.caches import Caches
from tvmerge.config import RunConfig
from tvmerge.dry_run.remaining import remaining_work
from tvmerge.merging.build import open_models
from tvmerge.records import Trial
from tvmerge.run.outline import outline
from tvmerge.run.paths import RunPaths
from tvmerge.run.spec import RunSpec, build_run_spec
from tvmerge.study.space import uniform_weight
from tvmerge.tasks.build import build_suite


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return make_bench(tmp_path / "bench", questions=12)


def specified(models: Path, bench: Path, **settings: Any) -> RunSpec:
    config = RunConfig(
        target_model=(str(models / "target"),),
        base_model=str(models / "base"),
        tuned_model=str(models / "tuned"),
        bench_name=(str(bench),),
        judge=("rules",),
        run_dir=str(bench.parent / "run"),
        device="cpu",
        optuna_sampler="TPE",
        **settings,
    )
    with closing(Caches()) as caches:
        suite = build_suite(config, caches, print)
        known = outline(config, RunPaths.of(config), suite)
        return build_run_spec(config, known, open_models(config.merge, caches), print)


def searched(spec: RunSpec, trials: list[Trial]) -> list[float | None]:
    """The weights of those that answer search questions after the search."""
    return [uniform_weight(recipe) for recipe in remaining_work(spec, trials).searched.known]


@pytest.mark.parametrize(("holdout", "asked"), [(0.0, [0.0]), (0.5, [])])
def test_a_baseline_that_a_race_stopped_answers_the_rest_if_nothing_is_held_out(
    demo_models: Path, bench: Path, holdout: float, asked: list[float]
) -> None:
    spec = specified(demo_models, bench, holdout=holdout)
    told = [
        Trial(number, spec.space.uniform(weight), value, state)
        for number, (weight, value, state) in enumerate(
            [(0.75, 7.0, "COMPLETE"), (0.5, 5.0, "PRUNED"), (1.0, 7.5, "COMPLETE"), (0.0, 3.0, "PRUNED")]
        )
    ]
    assert searched(spec, told) == asked


@pytest.mark.parametrize(("n_trials", "asked"), [(2, [0.0, 1.0]), (3, [0.0]), (6, [])])
def test_baselines_that_come_after_the_last_trial_answer_all_search_questions(
    demo_models: Path, bench: Path, n_trials: int, asked: list[float]
) -> None:
    assert searched(specified(demo_models, bench, n_trials=n_trials), []) == asked


def test_a_baseline_outside_the_range_answers_all_search_questions(demo_models: Path, bench: Path) -> None:
    assert searched(specified(demo_models, bench, weight_min=0.2), []) == [0.0]
