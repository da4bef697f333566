"""What a run is made of, and what it says before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tvmerge._util.caches import Caches
from tvmerge.config import RunConfig
from tvmerge.run.build import Run, build_run
from tvmerge.run.outline import outline
from tvmerge.run.paths import RunPaths
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
            **settings,
        )
        with closing(Caches()) as caches:
            suite = build_suite(config, caches, notes.append)
            known = outline(config, RunPaths.of(config), suite)
            return build_run(config, known, caches, notes.append)

    return make


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
