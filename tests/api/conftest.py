"""A run of the demo, as small as can be, that many tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tvmerge
from tests.small_runs import few_questions

SMALL: dict[str, Any] = {
    "n_trials": 3,
    "max_new_tokens": 4,
    "confirm_candidates": 1,
    "turns": 1,
    "optuna_sampler": "TPE",
    "uniform_weights": (0.0, 1.0, 0.25),
}
"""Settings of a demo that takes seconds: three trials that answer all questions, each in large batches."""


Small = dict[str, Any]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """`SMALL` with few of the demo's questions, where it does not matter how many are asked."""
    return SMALL | {"bench_name": (str(few_questions(tmp_path_factory.mktemp("few"))),)}


def small_flags(settings: Small = SMALL) -> list[str]:
    """Return `SMALL`, or such settings, as flags of the command line."""
    shown = {k: ",".join(map(str, v)) if isinstance(v, tuple) else v for k, v in settings.items()}
    return [f"--{key.replace('_', '-')}={value}" for key, value in shown.items()]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tvmerge.RunResult:
    """What a run found that `tvmerge.optimize` made."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TVMERGE_CACHE_DIR", str(folder / "cache"))
        return tvmerge.optimize(tvmerge.testing.demo_config(run_dir=folder / "run", **SMALL))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A place for a run of a test's own."""
    return tmp_path / "run"
