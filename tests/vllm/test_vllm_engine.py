"""The vLLM engine: the contract of all engines on the demo's models, and equality with transformers.

Several modules: the vLLM engine and its workers, where vLLM is installed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from safetensors.torch import load_file, save_file

from tests.engines.models import open_demo_engine
from tests.vllm.broken_workers import FAULT
from tvmerge._util.caches import Caches
from tvmerge.config import MergeConfig
from tvmerge.engines.open import EngineSettings
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.vllm import version as vllm_version
from tvmerge.engines.vllm.engine import VllmEngine
from tvmerge.engines.vllm.reload_check import ReloadCheckedPool
from tvmerge.errors import CandidateError, CheckpointError, ConfigError
from tvmerge.merging.build import open_models as open_models_of
from tvmerge.merging.open import Merge
from tvmerge.protocols import Engine
from tvmerge.records import Continuation, Question
from tvmerge.testing.engine_contract import GREEDY, EngineContract
from tvmerge.testing.models import Answers, answers_of, demo_questions, open_models, stop_ids, uneven, uniform

SMALL = {"enforce_eager": True, "max_num_seqs": 16, "kv_cache_memory_bytes": 256 * 2**20}


def make_engine(folder: Path, merger: str = "open_demo_merger", **options: Any) -> VllmEngine:
    target = folder / "target"
    return VllmEngine(
        target,
        ChatFormat(target),
        Entry(f"tests.engines.models:{merger}", {"folder": str(folder)}),
        stop_tokens=stop_ids(target),
        dtype="float32",
        options={**SMALL, **options},
    )


@pytest.fixture(scope="module")
def merge(demo_models: Path) -> Merge:
    return open_models(demo_models)


def children() -> set[int]:
    """The processes that this one has started and that run."""
    return {child.pid for child in multiprocessing.active_children() if child.pid is not None}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(demo_models: Path, merge: Merge) -> AsyncIterator[tuple[VllmEngine, set[int]]]:
    """An engine, and the processes that it has started."""
    before = children()
    opened = make_engine(demo_models)
    await opened.apply(uniform(merge, 0.0))
    yield opened, children() - before
    await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(started: tuple[VllmEngine, set[int]]) -> VllmEngine:
    return started[0]


@pytest.mark.asyncio(loop_scope="module")
class TestVllmEngine(EngineContract):
    """The contract of all engines."""


PASSAGE = "The river runs past the old mill, the school, the market and the long stone bridge. " * 8
"""Longer than a block of the cache (128 tokens), and the same at the start of every question."""

SHARED = tuple(
    Question(number, "math", (f"{PASSAGE}Tell me about {thing}.", "Now say it in five words."))
    for number, thing in enumerate(("the mill", "the school", "the bridge"))
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tied(smollm2: Path) -> AsyncIterator[VllmEngine]:
    opened = make_engine(smollm2, max_model_len=1024)
    yield opened
    await opened.close()


async def expected(smollm2: Path, smollm2_merge: Merge) -> list[Answers]:
    engine = open_demo_engine(str(smollm2))
    *different, _ = recipes(smollm2_merge)
    found = [await answers_of(engine, recipe, SHARED, GREEDY) for recipe in different]
    await engine.close()
    return [*found, found[0]]


def recipes(merge: Merge) -> list[Any]:
    """Five different ones, and the first again."""
    first = uniform(merge, 0.0)
    return [first, uniform(merge, 1.0), uniform(merge, 0.5), uneven(merge, -0.5), uniform(merge, 1.5), first]


@pytest.mark.asyncio(loop_scope="module")
async def test_answers_are_those_of_transformers_after_every_recipe_and_back_to_the_first(
    tied: VllmEngine, smollm2: Path, smollm2_merge: Merge
) -> None:
    reference = await expected(smollm2, smollm2_merge)
    for recipe, answers in zip(recipes(smollm2_merge), reference, strict=True):
        assert await answers_of(tied, recipe, SHARED, GREEDY) == answers
    assert all(one != other for one, other in itertools.combinations(reference[:-1], 2))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_recipe_after_an_abandoned_one_finds_no_stale_cache(
    tied: VllmEngine, smollm2_merge: Merge
) -> None:
    clean = await answers_of(tied, uniform(smollm2_merge, 1.0), SHARED, GREEDY)
    await tied.apply(uniform(smollm2_merge, 0.0))
    stream = tied.generate(SHARED, replace(GREEDY, max_new_tokens=200))
    asking = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.2)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await stream.aclose()
    assert await answers_of(tied, uniform(smollm2_merge, 1.0), SHARED, GREEDY) == clean


@pytest.mark.asyncio(loop_scope="module")
async def test_answers_come_as_they_are_ready(tied: VllmEngine, smollm2_merge: Merge) -> None:
    await tied.apply(uniform(smollm2_merge, 0.0))
    batches = [batch async for batch in tied.generate(SHARED, GREEDY)]
    assert len(batches) == len(SHARED)


@pytest.fixture(scope="module")
def faulty_models(demo_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the faulty engine, in whose target's folder its fault is named."""
    return shutil.copytree(demo_models, tmp_path_factory.mktemp("faulty") / "models")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def faulty(faulty_models: Path) -> AsyncIterator[VllmEngine]:
    """An engine that reloads as it is told to, and in which merging has something to remark."""
    worker = "tests.vllm.broken_workers.FaultyWorker"
    opened = make_engine(faulty_models, "open_slow_merger", worker_extension_cls=worker)
    yield opened
    await opened.close()


def checked(models: Path, engine: VllmEngine, passed: list[float]) -> ReloadCheckedPool:
    """A pool of one engine that is compared with transformers; the engine is closed by its fixture."""

    async def here() -> Engine:
        return engine

    async def reference() -> Engine:
        return open_demo_engine(str(models))

    return ReloadCheckedPool(
        EnginePool({"cpu": here}),
        reference,
        ChatFormat(models / "target"),
        lambda: 200,
        "float32",
        note=lambda _: None,
        passed=passed.append,
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_reloaded_weights_are_those_of_transformers(demo_models: Path, engine: VllmEngine) -> None:
    passed: list[float] = []
    pool = checked(demo_models, engine, passed)
    stream = pool.answer(uniform(open_models(demo_models), 0.0), demo_questions(2), GREEDY)
    assert len([batch async for batch in stream]) == 2
    assert len(passed) == 1
    assert passed[0] < 1e-4


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("fault", ["doubles a norm", "changes nothing"])
async def test_a_reload_that_goes_wrong_without_an_error_ends_the_run(
    faulty_models: Path, faulty: VllmEngine, fault: str
) -> None:
    path, recipe = faulty_models / "target" / FAULT, uniform(open_models(faulty_models), 0.0)
    await faulty.apply(recipe)  # the weights with which vLLM starts, after the other fault too
    passed: list[float] = []
    pool = checked(faulty_models, faulty, passed)
    path.write_text(fault, encoding="utf-8")
    with pytest.raises(ConfigError, match="vLLM computes with wrong weights once it has reloaded this model"):
        await anext(pool.answer(recipe, demo_questions(2), GREEDY))
    path.unlink()
    assert not passed


@pytest.mark.asyncio(loop_scope="module")
async def test_what_merging_in_the_workers_remarks_is_told_once(
    faulty_models: Path, faulty: VllmEngine
) -> None:
    async def here() -> Engine:
        return faulty

    notes: list[str] = []
    pool = EnginePool({"cpu": here}, note=notes.append)
    for weight in (0.0, 1.0):
        await pool.loglikelihood(uniform(open_models(faulty_models), weight), [Continuation((5,), (6,))])
    assert notes == ["cuda:0 cannot read the models' files itself, which is slower: not supported"]


async def test_sources_that_cannot_be_opened_in_the_worker_are_an_error_for_people(
    demo_models: Path,
) -> None:
    target = demo_models / "target"
    merger = Entry("tests.engines.entries:refused")
    engine = VllmEngine(target, ChatFormat(target), merger, stop_tokens=[2], dtype="float32", options=SMALL)
    for _ in range(2):  # also with vLLM running already
        with pytest.raises(CheckpointError, match="there is no such model"):
            await engine.apply(uniform(open_models(demo_models), 1.0))
    await engine.close()


def _large(folder: Path, number: float) -> None:
    """Give one weight of a model a number."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = number
    save_file(weights, path, metadata={"format": "pt"})


async def test_an_engine_goes_on_after_weights_that_make_no_model_and_quantises_no_floats(
    demo_models: Path, tmp_path: Path
) -> None:
    """Weight 1 leads beyond float16, and the target's configuration speaks of weights in 8 bits."""
    folder = Path(shutil.copytree(demo_models, tmp_path / "models"))
    target, base, tuned = (folder / part for part in ("target", "base", "tuned"))
    for model, number in ((target, 60000.0), (base, 0.0), (tuned, 60000.0)):
        _large(model, number)
    config = json.loads((target / "config.json").read_text())
    for key in ("quantization_config", "compression_config"):
        config[key] = {"quant_method": "fp8", "activation_scheme": "dynamic"}
    (target / "config.json").write_text(json.dumps(config))
    models = MergeConfig(
        target_model=(str(target),), base_model=str(base), tuned_model=str(tuned), dtype="float16"
    )
    merger = Entry("tvmerge.engines.open:open_merger", asdict(EngineSettings(merge=models, stop_tokens=(2,))))
    engine = VllmEngine(target, ChatFormat(target), merger, stop_tokens=[2], dtype="float32", options=SMALL)
    merge = open_models(folder)
    before = await answers_of(engine, uniform(merge, 0.0), demo_questions(2), GREEDY)
    with pytest.raises(CandidateError, match="would hold infinities"):
        await engine.apply(uniform(merge, 1.0))
    assert await answers_of(engine, uniform(merge, 0.0), demo_questions(2), GREEDY) == before
    await engine.close()


def _with_head(folder: Path, place: Path, *, step: float | None) -> str:
    """The model in `folder` with its head tied to its embeddings, or as far from them as `step`."""
    shutil.copytree(folder, place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": step is None}))
    tensors = load_file(place / "model.safetensors")
    tensors.pop("lm_head.weight", None)
    if step is not None:
        table = tensors["model.embed_tokens.weight"]
        tensors["lm_head.weight"] = table.roll(1, 0) * step + table
    save_file(tensors, place / "model.safetensors", {"format": "pt"})
    return str(place)


async def test_a_head_that_a_vector_unties_is_one_of_its_own(demo_models: Path, tmp_path: Path) -> None:
    target, base = (_with_head(demo_models / role, tmp_path / role, step=None) for role in ("target", "base"))
    tuned = _with_head(demo_models / "base", tmp_path / "tuned", step=0.5)
    config = MergeConfig(target_model=(target,), base_model=base, tuned_model=tuned)
    with closing(Caches()) as caches:
        merge = open_models_of(config, caches)
    assert merge.config is not None
    settings = EngineSettings(merge=config, stop_tokens=stop_ids(Path(target)))
    here, there = (
        replace(settings, engine=engine, options=SMALL if engine == "vllm" else {}).entry().call()
        for engine in ("transformers", "vllm")
    )
    for weight in (1.0, 0.0, 0.6):
        recipe, questions = uniform(merge, weight), demo_questions(4)
        expected = await answers_of(here, recipe, questions, GREEDY)
        assert await answers_of(there, recipe, questions, GREEDY) == expected
    await here.close()
    await there.close()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"no_such_argument": 1}, "unexpected keyword argument 'no_such_argument'; fix the table"),
        ({"max_model_len": 10**6}, r"max_model_len \(1000000\) is greater than"),
    ],
)
async def test_arguments_that_vllm_refuses_are_an_error_for_people(
    demo_models: Path, options: dict[str, Any], reason: str
) -> None:
    engine = make_engine(demo_models, **options)
    with pytest.raises(ConfigError, match=f"^vLLM does not start with target: .*{reason}"):
        await engine.apply(uniform(open_models(demo_models), 1.0))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_vllm_that_dies_is_a_lost_engine(started: tuple[VllmEngine, set[int]], merge: Merge) -> None:
    """The last test of this engine."""
    engine, processes = started
    assert processes
    await engine.apply(uneven(merge))
    asking = asyncio.create_task(
        answers_of(engine, uneven(merge), demo_questions(), replace(GREEDY, max_new_tokens=200))
    )
    await asyncio.sleep(0)
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineLostError):
        await asking


def test_a_release_that_was_not_tested_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_version, "TESTED", ("0.1",))
    with pytest.raises(ConfigError, match=r"vLLM 0\.32\S* has not been tested .* \(0\.1\), or use --engine"):
        vllm_version.check_version()
