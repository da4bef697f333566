"""What candidates add as adapters is what a merge adds, and what no adapter can add is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.merging.checkpoints.lora.adapters import load, opened, peft, saved_adapter
from tests.merging.families import saved_model
from tvmerge.engines.vllm.adapters import check_adapters, rank_for, write_adapter
from tvmerge.engines.vllm.low_rank import LowRankMerge
from tvmerge.errors import CandidateError, CheckpointError, ConfigError
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.merge import Merge
from tvmerge.merging.open import open_merge, open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.records import Recipe

# peft, which only makes the test's adapters, calls what transformers has deprecated, and warns of ties.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("low") / "base", "llama", seed=1)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("low") / "target", "llama", seed=9)


@pytest.fixture(scope="module")
def plain(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_adapter(base, tmp_path_factory.mktemp("low") / "plain")


def uneven(merge: Merge) -> Recipe:
    """Weights of which one is 0 and one negative."""
    return Recipe({name: 0.7 * index - 0.7 for index, name in enumerate(merge.group_names)})


def assert_peft_adds_the_same(merge: Merge, recipe: Recipe, target: Path, folder: Path) -> None:
    """Check that peft adds to the target what the merge does, if it loads what is written for vLLM."""
    folder.mkdir()
    write_adapter(dict(LowRankMerge(merge).factors(recipe, torch.float32)), folder)
    found = peft.PeftModel.from_pretrained(load(target), folder).merge_and_unload().state_dict()
    own = load(target).state_dict()
    merged = dict(merge.merger.merge(recipe))
    assert any(not torch.equal(merged[name], own[name]) for name in merged)
    for name, tensor in merged.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 8}, "alpha_pattern": {"mlp.up_proj": 3}},
    ],
    ids=lambda settings: " ".join(map(str, settings)) or "plain",
)
def test_an_adapter_adds_what_the_merge_adds(
    base: Path, target: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    merge = opened(target, saved_adapter(base, tmp_path / "adapter", **settings))
    assert_peft_adds_the_same(merge, uneven(merge), target, tmp_path / "written")


def test_matrices_that_lie_transposed_have_the_same_factors(tmp_path: Path) -> None:
    base = saved_model(tmp_path / "base", "gpt2", seed=1)
    modules = ["c_attn", "attn.c_proj", "mlp.c_proj"]
    merge = opened(base, saved_adapter(base, tmp_path / "adapter", target_modules=modules))
    assert_peft_adds_the_same(merge, uneven(merge), base, tmp_path / "written")


def test_several_vectors_add_up_in_one_adapter(base: Path, target: Path, plain: Path, tmp_path: Path) -> None:
    other = saved_adapter(base, tmp_path / "other", seed=8, r=3, target_modules=["q_proj", "k_proj"])
    vectors = (TaskVector(name="one", tuned=str(plain)), TaskVector(name="two", tuned=str(other)))
    merge = open_request(MergeRequest(targets=(str(target),), vectors=vectors, dtype="float32"))
    assert LowRankMerge(merge).rank == 4 + 3
    assert_peft_adds_the_same(merge, uneven(merge), target, tmp_path / "written")


def test_modules_with_a_weight_of_0_have_no_factors(target: Path, plain: Path) -> None:
    merge = opened(target, plain, rules=GroupRules("layer"))
    low_rank, first = LowRankMerge(merge), merge.group_names[0]
    recipe = Recipe({name: 1.0 if name == first else 0.0 for name in merge.group_names})
    assert {name.partition(".layers.")[2][0] for name, _ in low_rank.factors(recipe, torch.float32)} == {"0"}
    # Without any adapter, a request in a batch with others would get one of theirs.
    [(_, nothing)] = low_rank.factors(Recipe(dict.fromkeys(merge.group_names, 0.0)), torch.float32)
    assert not nothing.b.any()


def test_a_recipe_that_does_not_fit_is_refused(target: Path, plain: Path) -> None:
    with pytest.raises(CheckpointError, match="unknown group 'nowhere'"):
        LowRankMerge(opened(target, plain)).check(Recipe({"nowhere": 1.0}))


def test_factors_that_float16_cannot_hold_make_no_candidate(target: Path, plain: Path) -> None:
    merge = opened(target, plain)
    with pytest.raises(CandidateError, match=r"q_proj\.weight' would hold infinities"):
        dict(LowRankMerge(merge).factors(Recipe(dict.fromkeys(merge.group_names, 1e6)), torch.float16))


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"use_dora": True}, r"DoRA \(adapter: model\.layers\.0\.self_attn\.q_proj\.weight and 7 more\)"),
        ({"modules_to_save": ["lm_head"]}, r"to embeddings or head \(adapter: lm_head\.weight\)"),
        ({"target_modules": ["embed_tokens", "q_proj"]}, r"to embeddings or head \(adapter: model\.embed"),
        (
            {"modules_to_save": ["mlp"], "target_modules": ["q_proj"]},
            r"a tensor that was trained as a whole \(adapter: model\.layers\.0\.mlp",
        ),
    ],
    ids=["dora", "head", "embeddings", "trained"],
)
def test_what_no_adapter_of_vllm_can_add_is_refused(
    base: Path, tmp_path: Path, settings: dict[str, Any], what: str
) -> None:
    merge = opened(base, saved_adapter(base, tmp_path / "adapter", **settings))
    with pytest.raises(ConfigError, match=f"--vllm-adapters: .* cannot add {what}.*; leave out --vllm-adap"):
        check_adapters(merge)


@pytest.mark.parametrize(
    ("family", "settings", "what"),
    [
        ("qwen2", {"target_modules": ["q_proj"], "bias": "all"}, "a tensor that was trained as a whole"),
        (
            "qwen3_moe",
            {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.down_proj"]},
            "factors of experts",
        ),
    ],
)
def test_biases_and_experts_are_refused(
    tmp_path: Path, family: str, settings: dict[str, Any], what: str
) -> None:
    base = saved_model(tmp_path / "base", family, seed=1)
    merge = opened(base, saved_adapter(base, tmp_path / "adapter", **settings))
    with pytest.raises(ConfigError, match=f"cannot add {what} "):
        check_adapters(merge)


def test_sparse_vectors_are_refused(target: Path, plain: Path) -> None:
    merge = opened(target, plain, method="ties", density=0.5)
    with pytest.raises(ConfigError, match="cannot add a vector made sparse by ties"):
        check_adapters(merge)


def test_a_whole_tuned_model_is_refused(base: Path, target: Path) -> None:
    merge = open_merge(str(target), str(base), str(target), "layer")
    with pytest.raises(ConfigError, match="needs tuned models that are LoRA adapters, and target is a whole"):
        check_adapters(merge)


def test_ranks_beyond_vllms_are_refused() -> None:
    assert [rank_for(rank) for rank in (1, 2, 8, 9, 257, 512)] == [1, 8, 8, 16, 320, 512]
    with pytest.raises(ConfigError, match="big has rank 513, and vLLM's adapters have at most 512; leave"):
        rank_for(513, "big")


def test_float32_on_gpus_is_refused(target: Path, plain: Path) -> None:
    with pytest.raises(ConfigError, match="need 16 bits on GPUs; pass --dtype bfloat16"):
        check_adapters(opened(target, plain), "float32")
