"""Whether a model fits, asked before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from tests.merging.families import config_of
from tvmerge.engines.transformers.memory import (
    MemoryEstimate,
    MemoryNeeds,
    free_memory,
    memory_needs,
)
from tvmerge.errors import CheckpointError


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_estimate_is_what_the_model_and_its_cache_take(demo_models: Path, dtype: torch.dtype) -> None:
    folder = demo_models / "target"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    cache: Any = DynamicCache()
    model(torch.ones(3, 7, dtype=torch.long), past_key_values=cache)
    kept = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    found = memory_needs(AutoConfig.from_pretrained(folder), dtype)
    assert found == MemoryNeeds(sum(p.nbytes for p in model.parameters()), kept // 21)


GIB = 2**30


def load(dtype: torch.dtype = torch.bfloat16, device: str = "cuda:1", **more: int) -> MemoryEstimate:
    given = {"free": 24 * GIB, "weights": 30 * GIB, **more}
    needed = MemoryNeeds(given.pop("weights"), token=2**20)
    return MemoryEstimate("big", dtype, device, needed=needed, **given)


def test_a_model_too_large_is_refused_with_the_estimate_and_what_would_fit() -> None:
    message = (
        r"^big needs about 30\.0 GiB on cuda:1 \(a model of 30\.0 GiB in bfloat16\), which has 24\.0 GiB "
    )
    with pytest.raises(CheckpointError, match=message + r"free; what would fit: a model of up to 13 billion"):
        load().check()
    load(free=31 * GIB).check()


@pytest.mark.parametrize(
    ("found", "fitting"),
    [
        (load(torch.float32), "--dtype bfloat16, a model of up to 6.4 billion"),
        (load(torch.float32, "cpu"), "fit: a model of up to 6.4 billion"),
        (load(torch.float32, weights=50 * GIB), "fit: a model of up to 6.4 billion"),
        (load(weights=7 * GIB, engines=4), "3 of them (--engines, --devices), a model of up to 3.2 billion"),
        (load(weights=20 * GIB, judge=9 * GIB), "a judge elsewhere, a model of up to 8.1 billion"),
    ],
)
def test_what_would_fit_fits(found: MemoryEstimate, fitting: str) -> None:
    with pytest.raises(CheckpointError) as refused:
        found.check()
    assert fitting in str(refused.value)


def test_the_estimate_is_a_line_for_people() -> None:
    found = load(weights=3 * GIB, engines=2, judge=GIB // 20)
    assert str(found) == (
        "memory of cuda:1: 2 models of 3.0 GiB in bfloat16 and a judge of 51.2 MiB; 24.0 GiB free"
    )


def test_sources_stay_where_generation_leaves_room_for_them() -> None:
    whole, parts = (
        load(free=free * GIB, weights=14 * GIB, batch_tokens=1024, sources=42 * GIB) for free in (79, 23)
    )
    assert whole.source_room == 79 * GIB - 14 * GIB - 2 * GIB - 2 * GIB
    assert str(whole).endswith(
        "; 79.0 GiB free; the sources (42.0 GiB) stay there; a merge takes about 0.06 s (an estimate)"
    )
    assert str(parts).endswith(
        "; 5.0 GiB of the sources (42.0 GiB) stay there, the rest is streamed; a merge takes about 2 s (an "
        "estimate)"
    )


def test_engines_that_share_a_device_share_the_room_for_sources() -> None:
    alone, judged = load(weights=4 * GIB), load(weights=4 * GIB, engines=2, judge=2 * GIB)
    assert alone.source_room == 18 * GIB
    assert judged.source_room == (24 - 2 * 4 - 2 - 2 * 2) // 2 * GIB
    assert load(weights=23 * GIB).source_room == 0


def test_a_batch_takes_what_the_weights_leave() -> None:
    assert load(weights=3 * GIB, free=4 * GIB).tokens == 1024
    assert load(weights=GIB, free=4 * GIB, engines=2, judge=GIB).tokens == 512
    assert load(weights=3 * GIB, free=3 * GIB).tokens == 1


def test_devices_that_share_a_model_share_its_weights() -> None:
    assert MemoryNeeds(10, 4).shared(4) == MemoryNeeds(3, 1)


def test_the_free_memory_of_this_machine_is_known() -> None:
    free = free_memory("cpu")
    assert free is not None
    assert free > 2**20


@pytest.mark.parametrize(
    ("family", "numbers"),
    [
        ("llama", 2 * 2 * 2 * 8),  # keys and values, layers, heads, numbers in a head
        ("gemma4", 2 * 2 * (8 + 16)),  # heads of another size in the second layer
        ("qwen3_5", 2 * 2 * 8),  # the first layer is recurrent
        ("qwen3_5_moe", 2 * 2 * 8),
        ("qwen3_vl", 2 * 2 * 2 * 8),
        ("gpt2", 2 * 2 * 4 * 8),
    ],
)
def test_a_token_takes_what_each_layer_remembers_of_it(family: str, numbers: int) -> None:
    assert memory_needs(config_of(family), torch.float32).token == 4 * numbers


def test_a_model_that_does_not_run_without_memory_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("transformers.models.llama.modeling_llama.LlamaModel.forward", fails)
    assert memory_needs(config_of("llama"), torch.float32).token == 4 * 2 * 2 * 32
