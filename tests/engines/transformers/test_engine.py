"""The transformers engine on the demo's real models."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.modules.module import register_module_forward_hook
from transformers import GenerationMixin

from tvmerge.engines.open import EngineSettings
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.transformers.engine import TransformersEngine
from tvmerge.errors import CheckpointError
from tvmerge.merging.live import load_into
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.open import Merge
from tvmerge.merging.settings import MergeConfig
from tvmerge.testing.accelerator import MemoryDevice
from tvmerge.testing.engine_contract import GREEDY, WARM, EngineContract
from tvmerge.testing.models import (
    answers_of,
    demo_questions,
    open_models,
    plain_answer,
    stop_ids,
    uneven,
    uniform,
)

_cuda: Any = torch.backends.cuda


@pytest.fixture(scope="module")
def merge(demo_models: Path) -> Merge:
    return open_models(demo_models)


def make_engine(
    merge: Merge,
    batch_tokens: int = 16384,
    chat: ChatFormat | None = None,
    load: Callable[..., None] = load_into,
) -> TransformersEngine:
    folder = merge.target.folder
    return TransformersEngine(
        folder,
        chat or ChatFormat(folder),
        merge.merger,
        load,
        stop_tokens=stop_ids(folder),
        batch_tokens=batch_tokens,
    )


@pytest.fixture(autouse=True)
def _switch() -> Iterator[None]:
    before = _cuda.cudnn_sdp_enabled()
    _cuda.enable_cudnn_sdp(True)
    yield
    _cuda.enable_cudnn_sdp(before)


@pytest.fixture
async def engine(merge: Merge) -> AsyncIterator[TransformersEngine]:
    opened = make_engine(merge)
    yield opened
    await opened.close()


class TestTransformersEngine(EngineContract):
    """The contract of all engines."""


@pytest.mark.parametrize("host", [True, False])
async def test_cudnns_attention_is_off_while_a_model_is_loaded(merge: Merge, host: bool) -> None:
    _cuda.enable_cudnn_sdp(host)
    engine = make_engine(merge)
    assert _cuda.cudnn_sdp_enabled() == host
    await engine.apply(uniform(merge, 0.0))
    assert not _cuda.cudnn_sdp_enabled()
    await engine.close()
    assert _cuda.cudnn_sdp_enabled() == host


async def test_cudnns_attention_can_be_allowed(merge: Merge) -> None:
    settings = EngineSettings(
        merge=MergeConfig(
            target_model=(str(merge.target.folder),),
            base_model=str(merge.target.folder.parent / "base"),
            tuned_model=str(merge.target.folder.parent / "tuned"),
        ),
        stop_tokens=stop_ids(merge.target.folder),
        cudnn_attention=True,
    )
    engine = settings.entry().call()
    await engine.apply(uniform(merge, 0.0))
    assert _cuda.cudnn_sdp_enabled()
    await engine.close()


async def test_weight_0_is_the_untouched_target(engine: TransformersEngine, merge: Merge) -> None:
    question = demo_questions(1)[0]
    found = await answers_of(engine, uniform(merge, 0.0), [question], GREEDY)
    assert found[question.question_id, 0].turns == plain_answer(merge.target.folder, None, question)


async def test_files_that_only_transformers_cannot_read_are_an_error_for_people(
    demo_models: Path, tmp_path: Path
) -> None:
    """An index without `metadata` says where the tensors are; transformers fails for want of that key."""
    folder = Path(shutil.copytree(demo_models, tmp_path / "models"))
    shard = (folder / "target" / "model.safetensors").rename(folder / "target" / "model-1.safetensors")
    index = {"weight_map": dict.fromkeys(load_file(shard), shard.name)}
    (folder / "target" / "model.safetensors.index.json").write_text(json.dumps(index))
    merge = open_models(folder)
    with pytest.raises(
        CheckpointError, match=r"^target: transformers cannot load the model: KeyError: 'metadata'$"
    ):
        await make_engine(merge).apply(uniform(merge, 0.0))


async def test_the_batch_size_changes_no_answer(engine: TransformersEngine, merge: Merge) -> None:
    sampling = replace(WARM, samples=2, temperatures={"math": 0.0})
    alone = make_engine(merge, batch_tokens=1)
    expected = await answers_of(engine, uneven(merge), demo_questions(), sampling)
    assert await answers_of(alone, uneven(merge), demo_questions()[::-1], sampling) == expected
    await alone.close()


async def test_padding_with_a_token_that_the_model_lacks_changes_no_answer(
    engine: TransformersEngine, merge: Merge
) -> None:
    chat = ChatFormat(merge.target.folder)
    chat.tokenizer.add_special_tokens({"pad_token": "<padding>"})
    assert chat.pad_id == len(chat.tokenizer) - 1 >= merge.donor.structure.vocabulary
    padding = make_engine(merge, chat=chat)
    expected = await answers_of(engine, uneven(merge), demo_questions(), GREEDY)
    assert await answers_of(padding, uneven(merge), demo_questions(), GREEDY) == expected
    await padding.close()


async def test_closing_ends_a_batch_in_work(merge: Merge) -> None:
    engine = make_engine(merge, batch_tokens=1)
    await engine.apply(uneven(merge))
    stream = engine.generate(demo_questions(), replace(WARM, max_new_tokens=200))
    await anext(stream)
    await engine.close()
    assert not any(thread.name.startswith("engine") for thread in threading.enumerate())
    await stream.aclose()


async def test_a_caller_that_leaves_ends_the_batch_in_work(engine: TransformersEngine, merge: Merge) -> None:
    await engine.apply(uneven(merge))
    begun, left, steps = threading.Event(), threading.Event(), 0

    def step(module: torch.nn.Module, *_: object) -> None:
        nonlocal steps
        if isinstance(module, GenerationMixin):
            steps += 1
            begun.set()
            left.wait()

    hook = register_module_forward_hook(step)
    sampling = replace(WARM, max_new_tokens=100, samples=4)
    asking = asyncio.create_task(answers_of(engine, uneven(merge), demo_questions(), sampling))
    await asyncio.to_thread(begun.wait)
    asking.cancel()
    await asyncio.wait([asking])
    left.set()
    await engine.apply(uneven(merge))
    hook.remove()
    assert 1 <= steps <= 2


OUT_OF_MEMORY = """
import asyncio, resource, sys
from pathlib import Path
import torch
from tvmerge.testing.models import *
from tests.engines.transformers.test_engine import GREEDY, make_engine

torch.set_num_threads(1)
merge = open_models(Path(sys.argv[1]))
questions = demo_questions(120)

async def work():
    engine = make_engine(merge, batch_tokens=10**9)
    few = await answers_of(engine, uneven(merge), questions[:8], GREEDY)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), resource.RLIM_INFINITY))
    found = await answers_of(engine, uneven(merge), questions, GREEDY)
    assert len(found) == 120 and few.items() <= found.items()
    print("budget", engine._budget)
    await engine.close()

asyncio.run(work())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory as Linux does")
def test_a_batch_that_does_not_fit_in_memory_is_halved(demo_models: Path) -> None:
    argv = [sys.executable, "-c", OUT_OF_MEMORY, str(demo_models), str(40 * 2**20)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout.split()[-1]) < 10**9


@pytest.mark.parametrize("room", [0, 2**30], ids=["sources stream", "sources stay"])
async def test_a_model_on_an_accelerator_answers_as_one_on_the_cpu(merge: Merge, room: int) -> None:
    device = MemoryDevice()
    beside = RecipeMerger(merge.merger.plan, open_device=lambda _: device)
    beside.source_room = room
    plain, engine = make_engine(merge), make_engine(replace(merge, merger=beside))
    for recipe in (uneven(merge), uniform(merge, 1.0)):
        answers = [await answers_of(one, recipe, demo_questions(), GREEDY) for one in (plain, engine)]
        assert answers[0] == answers[1]
    assert device.used > 0
    assert bool(device.registered) == (room == 0)
    assert [line for line in engine.remarks if "without the compiled kernel" in line]
    await engine.close()
    await plain.close()
    assert device.used == 0
    assert device.registered == {}
