"""The original's arithmetic, memory that a consumer offers, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.merging.families import saved_model
from tests.merging.test_merger import Trio, even, merger_of
from tvmerge.errors import CheckpointError
from tvmerge.merging.additions import OpenVector
from tvmerge.merging.align import align
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.plan import Plan
from tvmerge.merging.request import TaskVector


@pytest.fixture(params=[256 * 2**20, 0], ids=["resident", "lazy"])
def limit(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("weight", [0.0, 0.37, 1.0, -1.6])
def test_the_original_scripts_roundings_can_be_had_bit_for_bit(tmp_path: Path, weight: float) -> None:
    formats = (torch.bfloat16, torch.float32, torch.bfloat16)
    target_model, base_model, tuned_model = (
        Checkpoint(saved_model(tmp_path / str(seed), "mistral", seed=seed, dtype=dtype))
        for seed, dtype in enumerate(formats)
    )
    models = target_model, base_model, tuned_model
    merger = merger_of(models, arithmetic="original")
    for name, tensor in merger.merge(even(merger, weight)):
        target, base, tuned = (model.tensor(name).bfloat16() for model in models)
        vector = tuned - base
        expected = target.clone()
        expected.copy_(target + (weight * vector))
        assert torch.equal(tensor.view(torch.int16), expected.view(torch.int16)), name
    assert merger.fingerprint["arithmetic"] == "original-bfloat16-v1"
    assert merger.fingerprint["dtype"] == "bfloat16"


def test_the_original_arithmetic_knows_one_plain_vector_only(llamas: Trio) -> None:
    target, base, tuned = llamas
    settings = TaskVector(tuned="tuned", base="base", method="ties", density=0.5)
    plan = Plan(align(target, [OpenVector(settings, base, tuned)]).rows, {}, {})
    with pytest.raises(CheckpointError, match="arithmetic original supports a single plain task vector"):
        RecipeMerger(plan, arithmetic="original")


def test_memory_that_is_offered_is_filled_and_rounded_as_asked(llamas: Trio, limit: int) -> None:
    merger = merger_of(llamas, dtype=torch.bfloat16, resident_limit=limit)
    recipe = even(merger, 0.7)
    fresh = dict(merger.merge(recipe))
    offered = {n: torch.empty(t.shape) for n, t in fresh.items() if "mlp" not in n}
    for name, tensor in merger.merge(recipe).into(lambda name, _: offered.get(name)):
        if name in offered:
            assert tensor is offered[name], name
        assert torch.equal(tensor, fresh[name].to(tensor.dtype)), name


def test_merging_leaves_torchs_number_of_threads_alone(llamas: Trio) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        merger = merger_of(llamas, resident_limit=0)
        list(merger.merge(even(merger, 0.7)))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
