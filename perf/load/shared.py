"""What the parts have in common: reports, folders, benchmarks and runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import tvmerge
from tvmerge._util.assets import bundled_demo_models
from tvmerge._util.files import write_jsonl
from tvmerge.testing.scripted import ScriptedEngine


def report(name: str, value: str, goal: str) -> None:
    """Print a figure beside its goal."""
    print(f"{name:50}{value:40}goal: {goal}", flush=True)


def optimize(folder: Path, bench: Path, engine: ScriptedEngine, **settings: Any) -> None:
    """Run a study in `folder` with the demo's models."""
    models = bundled_demo_models()
    given: dict[str, Any] = {"n_trials": 1, "optuna_sampler": "TPE", **settings}
    if given["optuna_sampler"] != "auto":
        given["racing"] = "off"
    given |= {f"{role}_model": str(models / role) for role in ("target", "base", "tuned")}
    given |= {"bench_name": str(bench), "run_dir": str(folder / "run"), "study_name": "s"}
    asyncio.run(tvmerge.optimize_async(engine=engine, **given))


def benchmark(folder: Path, questions: int, salt: str, turns: int = 2) -> Path:
    """Write a benchmark of one category; questions with another salt are others."""
    folder.mkdir(parents=True)
    rows = (
        {"question_id": n, "category": "c", "turns": [f"{salt}{n}-{t}について" for t in range(turns)]}
        for n in range(questions)
    )
    write_jsonl(folder / "question.jsonl", rows)
    return folder


@contextlib.contextmanager
def new_folder() -> Iterator[Path]:
    """A folder with a cache of its own, which runs use meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        settings = {"TVMERGE_CACHE_DIR": str(Path(name) / "cache"), "OPENAI_API_KEY": "k"}
        with mock.patch.dict(os.environ, settings):
            yield Path(name)
