"""Candidates as adapters of one vLLM: the contract of all engines, and equality with merges.

Several modules: the adapters of vLLM and a run with them, where vLLM is installed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest
import pytest_asyncio

from tests.engines.adapters import make_adapter_models
from tests.vllm.test_study import SMALL as VLLM_TABLE
from tests.vllm.test_vllm_engine import SMALL, children
from tvmerge._util.assets import find
from tvmerge._util.caches import Caches
from tvmerge.cli.app import run
from tvmerge.config import MergeConfig
from tvmerge.engines.open import EngineSettings
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.vllm.adapters import RANKS
from tvmerge.merging.build import open_models
from tvmerge.merging.open import Merge
from tvmerge.protocols import Engine
from tvmerge.records import Recipe
from tvmerge.testing.engine_contract import GREEDY, EngineContract
from tvmerge.testing.models import answers_of, demo_questions, stop_ids, uneven, uniform

CANDIDATES = 3


@pytest.fixture(scope="module")
def models(demo_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter_models(demo_models, tmp_path_factory.mktemp("adapters"))


@pytest.fixture(scope="module")
def settings(models: Path) -> EngineSettings:
    merge = MergeConfig(
        target_model=(str(models / "target"),),
        base_model=str(models / "base"),
        tuned_model=str(models / "tuned"),
        optimize_mode="layer",
    )
    return EngineSettings(
        merge=merge,
        stop_tokens=stop_ids(models / "target"),
        engine="vllm",
        options=SMALL,
        adapters=CANDIDATES,
    )


@pytest.fixture(scope="module")
def merge(settings: EngineSettings) -> Merge:
    with closing(Caches()) as caches:
        return open_models(settings.merge, caches)


@pytest.fixture(scope="module")
def others() -> set[int]:
    """The processes that are not those of the engines."""
    return children()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines(settings: EngineSettings, others: set[int]) -> AsyncIterator[Sequence[Engine]]:
    opened: Sequence[Engine] = settings.entry().call()
    yield opened
    for engine in opened:
        await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(engines: Sequence[Engine]) -> Engine:
    return engines[0]


@pytest.mark.asyncio(loop_scope="module")
class TestAdapterEngine(EngineContract):
    """The contract of all engines."""


def candidates(merge: Merge) -> list[Recipe]:
    """Some with weights of 0, and one with nothing else."""
    some = {name: 0.0 if index % 2 else 1.2 for index, name in enumerate(merge.group_names)}
    return [uniform(merge, 0.0), uniform(merge, 1.0), uneven(merge), Recipe(some), uniform(merge, 1.5)]


@pytest.mark.asyncio(loop_scope="module")
async def test_candidates_in_flight_answer_as_one_at_a_time(engines: Sequence[Engine], merge: Merge) -> None:
    recipes, questions = candidates(merge), demo_questions(12)
    alone = [await answers_of(engines[0], recipe, questions, GREEDY) for recipe in recipes]
    assert all(one != other for one, other in itertools.combinations(alone, 2))
    for start in range(len(recipes)):
        turned = [*recipes[start:], *recipes[:start]][:CANDIDATES]
        work = [answers_of(one, r, questions, GREEDY) for one, r in zip(engines, turned, strict=True)]
        assert await asyncio.gather(*work) == [alone[recipes.index(recipe)] for recipe in turned]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_vllm_that_dies_is_a_lost_engine_for_all_its_candidates(
    engines: Sequence[Engine], others: set[int], merge: Merge
) -> None:
    """The last test of these engines."""
    await engines[0].apply(uneven(merge))
    long = replace(GREEDY, max_new_tokens=200)
    asking = [
        asyncio.create_task(answers_of(engine, uneven(merge), demo_questions(), long)) for engine in engines
    ]
    await asyncio.sleep(0)
    for pid in children() - others:
        os.kill(pid, signal.SIGKILL)
    for asked in asking:
        with pytest.raises(EngineLostError):
            await asked


SETTINGS = """
n_trials = 2
trials_in_flight = 4
max_new_tokens = 12
holdout = 0
sampler = {block = 4}
vllm_adapters = true

[temperature]
default = 0
"""


def command(models: Path, folder: Path) -> list[str]:
    """A study by blocks on twelve questions, in whose folder it is run."""
    rows = (find("benchmarks", "demo") / "question.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "bench").mkdir(parents=True, exist_ok=True)
    (folder / "bench/question.jsonl").write_text("\n".join(rows[:12]), encoding="utf-8")
    (folder / "run.toml").write_text(SETTINGS + VLLM_TABLE, encoding="utf-8")
    roles = [f"--{role}-model={models / role}" for role in ("target", "base", "tuned")]
    more = ["--bench-name=bench", "--judge=rules", "--engine=vllm", "--device=cpu", "--run-dir=run"]
    return ["optimize", "--config=run.toml", *roles, *more]


def table(folder: Path) -> list[tuple[Any, ...]]:
    """The trials of a study as they are in its database."""
    study = optuna.load_study(study_name="target-bench", storage=f"sqlite:///{folder / 'study.db'}")
    return [
        (t.number, t.params, t.values, t.state, t.user_attrs, t.intermediate_values) for t in study.trials
    ]


def test_a_run_that_was_killed_continues_as_if_it_had_not_been(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    study = command(models, killed)
    first = subprocess.Popen([sys.executable, "-m", "tvmerge", *study], cwd=killed, stderr=subprocess.DEVNULL)
    answered = killed / "run" / "model_answer"
    while first.poll() is None and not any(answered.glob("*.jsonl")):
        time.sleep(0.05)
    first.kill()
    first.wait()
    monkeypatch.chdir(killed)
    assert run(study) == 0
    assert "adapters: vLLM holds 4 candidates at once" in capsys.readouterr().err
    # Its answers are stored by now, so that no engine is started.
    study = command(models, whole)
    monkeypatch.chdir(whole)
    assert run(study) == 0
    assert len(table(whole / "run")) >= 4
    assert table(killed / "run") == table(whole / "run")


def test_the_ranks_are_those_of_vllm() -> None:
    from vllm.config.lora import MaxLoRARanks

    assert get_args(MaxLoRARanks) == RANKS
