"""What the engine does when memory runs out, as the forward of a real model says for large batches.

Several modules: the engine, its batches and its decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engines.transformers.test_engine import make_engine
from tvmerge.engines.transformers.engine import TransformersEngine
from tvmerge.errors import CheckpointError
from tvmerge.merging.live import load_into
from tvmerge.merging.open import Merge
from tvmerge.records import Continuation
from tvmerge.testing.engine_contract import GREEDY
from tvmerge.testing.models import answers_of, demo_questions, open_models, uniform

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
SINGLE = (
    r"^target: cpu does not have enough memory for a single text of \d+ tokens; lower --max-new-tokens, or"
)


@pytest.fixture(scope="module")
def merge(demo_models: Path) -> Merge:
    return open_models(demo_models)


async def limited(merge: Merge, most: int, error: Exception) -> tuple[TransformersEngine, list[int]]:
    """An engine whose model reads `most` rows at once, and how many it was given each time."""
    rows: list[int] = []

    def read(_: object, __: object, given: dict[str, Any]) -> None:
        rows.append(given["input_ids"].shape[0])
        if rows[-1] > most:
            raise error

    def load(model: Any, stream: Iterator[tuple[str, torch.Tensor]]) -> None:
        load_into(model, stream)
        if not model._forward_pre_hooks:
            model.register_forward_pre_hook(read, with_kwargs=True)

    engine = make_engine(merge, load=load)
    await engine.apply(uniform(merge, 0.0))
    return engine, rows


@pytest.mark.parametrize("error", [CUDA, CUBLAS, MemoryError()])
async def test_a_batch_that_does_not_fit_is_halved_and_later_ones_stay_small(
    merge: Merge, error: Exception
) -> None:
    whole = make_engine(merge)
    expected = await answers_of(whole, uniform(merge, 0.0), demo_questions(16), GREEDY)
    engine, rows = await limited(merge, 3, error)
    assert await answers_of(engine, uniform(merge, 0.0), demo_questions(16), GREEDY) == expected
    refused = [count for count in rows if count > 3]
    assert refused == sorted(refused, reverse=True)
    assert len(refused) <= 4
    await whole.close()
    await engine.close()


async def test_a_conversation_that_does_not_fit_alone_is_one_line(merge: Merge) -> None:
    engine, _ = await limited(merge, 0, CUDA)
    with pytest.raises(CheckpointError, match=SINGLE):
        await answers_of(engine, uniform(merge, 0.0), demo_questions(3), GREEDY)
    await engine.close()


async def test_the_continuations_of_one_context_are_divided_too(merge: Merge) -> None:
    pairs = [Continuation(tuple(range(5, 25)), (token, token + 1)) for token in range(3, 40)]
    whole = make_engine(merge)
    await whole.apply(uniform(merge, 0.0))
    expected = await whole.loglikelihood(pairs)
    engine, rows = await limited(merge, 4, CUDA)
    found = await engine.loglikelihood(pairs)
    assert [one.logprob for one in found] == pytest.approx([one.logprob for one in expected], abs=1e-4)
    assert max(rows) == len(pairs)
    await whole.close()
    await engine.close()


async def test_a_likelihood_that_does_not_fit_alone_is_one_line(merge: Merge) -> None:
    engine, _ = await limited(merge, 0, CUDA)
    with pytest.raises(CheckpointError, match=SINGLE):
        await engine.loglikelihood([Continuation((5, 6), (7,)), Continuation((5, 6), (8,))])
    await engine.close()


def failing(times: int) -> Callable[..., None]:
    """Load into a model, but run out of memory some times first, having begun."""

    def load(model: Any, stream: Iterator[tuple[str, torch.Tensor]]) -> None:
        nonlocal times
        if times:
            times -= 1
            next(iter(stream))
            raise CUDA
        load_into(model, stream)

    return load


async def test_a_merge_is_tried_again_once_when_torchs_cache_is_freed(merge: Merge) -> None:
    loads = [failing(1)]

    def load(model: Any, stream: Iterator[tuple[str, torch.Tensor]]) -> None:
        loads[-1](model, stream)

    engine, whole = make_engine(merge, load=load), make_engine(merge)
    recipe, questions = uniform(merge, 0.7), demo_questions(4)
    expected = await answers_of(whole, recipe, questions, GREEDY)
    assert await answers_of(engine, recipe, questions, GREEDY) == expected
    loads.append(failing(2))
    with pytest.raises(CheckpointError, match="enough memory to merge beside the model; put fewer --engines"):
        await engine.apply(recipe)
    await engine.close()
    await whole.close()


async def test_a_model_that_does_not_fit_while_it_is_loaded_is_one_line(
    merge: Merge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise CUDA

    monkeypatch.setattr("transformers.PreTrainedModel.to", full)
    engine = make_engine(merge)
    with pytest.raises(
        CheckpointError, match=r"^target: cpu does not have enough memory to load the model; "
    ):
        await engine.apply(uniform(merge, 0.0))
    await engine.close()
