"""The arithmetic, against the formula written plainly; and what stops a merge before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.merging.families import FAMILIES, saved_model
from tvmerge._util.cache import ContentCache
from tvmerge.errors import CheckpointError
from tvmerge.merging.additions import OpenVector
from tvmerge.merging.align import align
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.deltas import Operand
from tvmerge.merging.finite import check_plan
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.plan import Plan
from tvmerge.merging.request import TaskVector
from tvmerge.protocols import Merger
from tvmerge.records import Recipe

Trio = tuple[Checkpoint, Checkpoint, Checkpoint]
_ALLOWED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def _plan(models: Trio, mode: str = "layer") -> Plan:
    target, base, tuned = models
    settings = TaskVector(tuned=tuned.name, base=base.name, rules=GroupRules(mode))
    aligned = align(target, [OpenVector(settings, base, tuned)])
    copies = {name: Operand(target, name) for name in aligned.unchanged}
    return Plan(aligned.rows, copies, {"target": target, "base": base, "tuned": tuned}, extra=aligned.extra)


def merger_of(models: Trio, mode: str = "layer", **options: Any) -> RecipeMerger:
    return RecipeMerger(_plan(models, mode), **options)


def _verify(models: Trio) -> None:
    check_plan(_plan(models))


def even(merger: Merger, weight: float) -> Recipe:
    return Recipe(dict.fromkeys(merger.group_names, weight))


def _by_hand(models: Trio, name: str, weight: float, dtype: torch.dtype) -> torch.Tensor:
    target, base, tuned = (model.tensor(name).to(torch.float32) for model in models)
    return (target + weight * (tuned - base)).to(dtype)


@pytest.fixture(params=[256 * 2**20, 0], ids=["resident", "lazy"])
def limit(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_merges_as_the_formula_says(family: str, limit: int, tmp_path: Path) -> None:
    target, base, tuned = (
        Checkpoint(saved_model(tmp_path / str(seed), family, seed=seed)) for seed in range(3)
    )
    models = target, base, tuned
    merger = merger_of(models, "all", resident_limit=limit)
    idle = [name for name in target.specs if name not in merger.group_names]
    inner = {name for own, name in target.arrangement.names.items() if target.structure.key(own)}
    assert inner.isdisjoint(idle)
    assert len(inner) >= 15
    weights = {name: 0.1 * index - 0.7 for index, name in enumerate(merger.group_names)}
    merged = dict(merger.merge(Recipe(weights)))
    assert merged.keys() == target.specs.keys()
    assert all(torch.equal(merged[name], target.tensor(name)) for name in idle)
    for name, weight in weights.items():
        assert torch.equal(merged[name], _by_hand(models, name, weight, torch.bfloat16)), name


@settings(max_examples=40, deadline=None, suppress_health_check=_ALLOWED)
@given(
    weight=st.floats(-4, 4, width=64),
    dtype=st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
    seed=st.integers(0, 2**31),
    scales=st.tuples(*[st.sampled_from([1e-4, 0.02, 1.0, 30.0])] * 3),
)
def test_the_formula_is_evaluated_in_float32_and_rounded_once(
    llamas: Trio, limit: int, *, weight: float, dtype: torch.dtype, seed: int, scales: tuple[float, ...]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    target, base, tuned = (
        _Drawn(model, scale, generator) for model, scale in zip(llamas, scales, strict=True)
    )
    merger = merger_of((target, base, tuned), dtype=dtype, resident_limit=limit)
    for name, tensor in merger.merge(even(merger, weight)):
        assert tensor.dtype == dtype
        assert torch.equal(tensor, _by_hand((target, base, tuned), name, weight, dtype)), name


class _Drawn(Checkpoint):
    """A checkpoint whose values are redrawn, without a file for each draw."""

    def __init__(self, model: Checkpoint, scale: float, generator: torch.Generator) -> None:
        super().__init__(model.folder)
        self._drawn = {
            name: (torch.randn(spec.shape, generator=generator) * scale).bfloat16()
            for name, spec in model.specs.items()
        }

    def tensor(self, name: str) -> torch.Tensor:
        return self._drawn[name]


def test_tensors_larger_than_a_chunk_are_merged_to_their_end(tmp_path: Path) -> None:
    target, base, tuned = (
        Checkpoint(saved_model(tmp_path / str(seed), "llama", seed=seed, vocab_size=10007, hidden_size=64))
        for seed in range(3)
    )
    models = target, base, tuned
    merger = merger_of(models, resident_limit=0)
    for name, tensor in merger.merge(even(merger, 0.37)):
        assert torch.equal(tensor, _by_hand(models, name, 0.37, torch.bfloat16)), name


def test_each_group_has_its_own_weight(llamas: Trio, limit: int) -> None:
    merger = merger_of(llamas, "layer", resident_limit=limit)
    recipe = Recipe({"embeddings": 0.0, "layers.0": 1.0, "layers.1": -0.5, "norm": 2.0, "head": 0.25})
    merged = dict(merger.merge(recipe))
    for name, weight in (
        ("model.embed_tokens.weight", 0.0),
        ("model.layers.0.self_attn.q_proj.weight", 1.0),
        ("model.layers.1.mlp.down_proj.weight", -0.5),
        ("model.norm.weight", 2.0),
        ("lm_head.weight", 0.25),
    ):
        assert torch.equal(merged[name], _by_hand(llamas, name, weight, torch.bfloat16)), name


def test_weight_zero_is_the_target_bit_for_bit(llamas: Trio, limit: int, tmp_path: Path) -> None:
    target, base, tuned = llamas
    signed = _edited(target, tmp_path / "signed", {"model.norm.weight": torch.full((32,), -0.0).bfloat16()})
    merger = merger_of((signed, base, tuned), resident_limit=limit)
    for name, tensor in merger.merge(even(merger, 0)):
        assert torch.equal(tensor.view(torch.int16), signed.tensor(name).view(torch.int16)), name


def test_the_targets_own_formats_are_kept_unless_one_is_asked_for(llamas: Trio, tmp_path: Path) -> None:
    target, base, tuned = llamas
    mixed = _edited(target, tmp_path / "mixed", {"model.norm.weight": torch.ones(32)})
    own = merger_of((mixed, base, tuned))
    formats = {name: tensor.dtype for name, tensor in own.merge(even(own, 0.5))}
    assert formats["model.norm.weight"] == torch.float32
    assert formats["lm_head.weight"] == torch.bfloat16
    half = merger_of((mixed, base, tuned), dtype=torch.float16)
    assert {tensor.dtype for _, tensor in half.merge(even(half, 0.5))} == {torch.float16}


def test_what_is_announced_is_what_comes(llamas: Trio, tmp_path: Path) -> None:
    target, base, tuned = llamas
    extra = _edited(target, tmp_path / "extra", {"model.layers.0.mask": torch.ones(2, 2, dtype=torch.bool)})
    merger = merger_of((extra, base, tuned), dtype=torch.float16)
    merged = dict(merger.merge(even(merger, 0.5)))
    assert list(merged) == list(merger.specs)
    assert {name: tuple(tensor.shape) for name, tensor in merged.items()} == {
        name: spec.shape for name, spec in merger.specs.items()
    }
    assert merger.specs["lm_head.weight"].dtype == "F16"
    assert torch.equal(merged["model.layers.0.mask"], torch.ones(2, 2, dtype=torch.bool))
    assert merger.extra == ("model.layers.0.mask",)


def test_a_yielded_tensor_is_the_consumers_to_keep(llamas: Trio, limit: int) -> None:
    merger = merger_of(llamas, resident_limit=limit)
    for weight in (0.0, 0.5):
        first = dict(merger.merge(even(merger, weight)))
        copies = {name: tensor.clone() for name, tensor in first.items()}
        second = dict(merger.merge(even(merger, weight)))
        for name, tensor in first.items():
            assert torch.equal(tensor, copies[name]), "the next merge wrote into it"
            tensor.fill_(9)
        assert all(torch.equal(second[name], copy) for name, copy in copies.items())
        third = dict(merger.merge(even(merger, weight)))
        assert all(torch.equal(third[name], copy) for name, copy in copies.items())


def test_an_abandoned_merge_does_no_harm(llamas: Trio, limit: int) -> None:
    merger = merger_of(llamas, resident_limit=limit)
    stream: Iterator[tuple[str, torch.Tensor]] = merger.merge(even(merger, 0.5))
    next(stream)
    del stream
    assert len(dict(merger.merge(even(merger, 0.5)))) == 21


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": None}, "no weight for 'norm'"),
        ({"layers.2": 1.0}, "unknown group 'layers.2'"),
        ({"head": float("nan")}, "the weight of 'head' is nan"),
        ({"head": float("-inf")}, "the weight of 'head' is -inf"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_at_once(
    llamas: Trio, changes: dict[str, float | None], message: str
) -> None:
    merger = merger_of(llamas)
    weights = dict.fromkeys(merger.group_names, 1.0) | changes
    recipe = Recipe({name: weight for name, weight in weights.items() if weight is not None})
    with pytest.raises(CheckpointError, match=message):
        merger.merge(recipe)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_source_that_is_not_finite_is_named_before_any_merge(
    llamas: Trio, tmp_path: Path, place: int, value: float
) -> None:
    bad = llamas[place].tensor("model.layers.1.mlp.up_proj.weight").clone()
    bad[7, 5] = value
    models = list(llamas)
    models[place] = _edited(llamas[place], tmp_path / "bad", {"model.layers.1.mlp.up_proj.weight": bad})
    with pytest.raises(CheckpointError, match=r"bad: tensor 'model\.layers\.1\.mlp\.up_proj\.weight' holds"):
        _verify((models[0], models[1], models[2]))


def test_sound_models_pass_and_are_remembered_by_content(
    llama_folders: tuple[Path, ...], tmp_path: Path
) -> None:
    cache = ContentCache(tmp_path / "cache")
    try:
        target, base, tuned = (_Counting(folder, digest_cache=cache) for folder in llama_folders)
        _verify((target, base, tuned))
        assert target.reads == base.reads == tuned.reads == 21
        _verify((target, base, tuned))
        assert target.reads == base.reads == tuned.reads == 21
    finally:
        cache.close()


class _Counting(Checkpoint):
    reads = 0

    def tensor(self, name: str) -> torch.Tensor:
        self.reads += 1
        return super().tensor(name)


def test_a_head_is_tied_where_its_weights_are_those_of_the_embeddings(tmp_path: Path) -> None:
    tied = Checkpoint(saved_model(tmp_path / "tied", "llama", tie_word_embeddings=True))
    embeddings = tied.tensor("model.embed_tokens.weight").clone()
    alike = _edited(tied, tmp_path / "alike", {"lm_head.weight": embeddings})
    merger = merger_of((alike, tied, tied))
    _verify((alike, tied, tied))
    assert "lm_head.weight" not in dict(merger.merge(even(merger, 1)))
    apart = _edited(tied, tmp_path / "apart", {"lm_head.weight": embeddings + 1})
    merger = merger_of((apart, apart, apart))
    assert "head" in merger.group_names
    assert torch.equal(dict(merger.merge(even(merger, 1)))["lm_head.weight"], embeddings + 1)


def test_the_fingerprint_follows_contents_and_format(llamas: Trio) -> None:
    target, base, tuned = llamas
    merger = merger_of(llamas)
    assert merger.fingerprint == {
        "target": target.digest,
        "base": base.digest,
        "tuned": tuned.digest,
        "dtype": "own",
        "arithmetic": "float32-v1",
        "plan": merger.fingerprint["plan"],
    }
    assert merger.fingerprint["plan"] != merger_of(llamas, "parameter").fingerprint["plan"]
    assert len({target.digest, base.digest, tuned.digest}) == 3
    assert merger_of(llamas, dtype=torch.bfloat16).fingerprint["dtype"] == "bfloat16"


def _edited(checkpoint: Checkpoint, folder: Path, changes: dict[str, torch.Tensor]) -> Checkpoint:
    shutil.copytree(checkpoint.folder, folder)
    save_file(load_file(folder / "model.safetensors") | changes, folder / "model.safetensors")
    return Checkpoint(folder)


def test_a_merger_keeps_the_seam(llamas: Trio) -> None:
    merger: Merger = merger_of(llamas)
    assert merger.group_names == ("embeddings", "layers.0", "layers.1", "norm", "head")
