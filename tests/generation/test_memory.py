"""Whether a model fits, asked before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from tvmerge.errors import CheckpointError
from tvmerge.generation.memory import Footprint, footprint, free_memory, ran_out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_estimate_is_what_the_model_and_its_cache_take(demo_models: Path, dtype: torch.dtype) -> None:
    folder = demo_models / "target"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    cache: Any = DynamicCache()
    model(torch.ones(3, 7, dtype=torch.long), past_key_values=cache)
    kept = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    found = footprint(AutoConfig.from_pretrained(folder), dtype)
    assert found == Footprint(sum(p.nbytes for p in model.parameters()), kept // 21)


def test_a_model_too_large_is_refused_with_the_estimate_and_what_would_fit() -> None:
    needed = Footprint(weights=30 * 2**30, token=2**20)
    with pytest.raises(CheckpointError, match=r"big needs about 30\.0 GiB .* has 23\.5 GiB free; take"):
        needed.check("big", "cuda:1", int(23.5 * 2**30))
    needed.check("big", "cuda:1", 31 * 2**30)


def test_a_batch_takes_what_the_weights_leave() -> None:
    needed = Footprint(weights=3 * 2**30, token=2**20)
    assert needed.tokens(4 * 2**30) == 1024
    assert needed.tokens(3 * 2**30) == 1


def test_the_free_memory_of_this_machine_is_known() -> None:
    free = free_memory("cpu")
    assert free is not None
    assert free > 2**20


def test_running_out_of_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as no_memory:
        torch.empty(2**62, dtype=torch.int8)
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert ran_out(no_memory.value)
    assert ran_out(MemoryError())
    assert not ran_out(other.value)
