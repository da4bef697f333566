"""What an adapter adds is what peft itself merges."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.merging.checkpoints.lora.adapters import assert_adds, by_peft, edit, opened, saved_adapter
from tests.merging.families import saved_model
from tests.merging.hub import COMMIT, hub
from tests.merging.tokens import save_tokenizer
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.lora.adapter import Adapter
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.open import open_request
from tvmerge.merging.request import MergeRequest, TaskVector

# peft, which only makes the test's adapters, calls what transformers has deprecated, and warns of ties.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("lora") / "base", "llama", seed=1)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("lora") / "target", "llama", seed=9)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 8}, "alpha_pattern": {"mlp.up_proj": 3}},
        {"rank_pattern": {"^model.layers.1.mlp.up_proj": 2}, "layers_to_transform": [1], "use_rslora": True},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["norm", "mlp"], "target_modules": ["q_proj"]},
        {"target_modules": ["embed_tokens", "q_proj"]},
        {"target_modules": ["embed_tokens", "lm_head"]},
        {"use_dora": True},
        {"use_dora": True, "target_modules": ["embed_tokens", "lm_head", "o_proj"], "use_rslora": True},
        {"trainable_token_indices": [7, 3]},
        {"trainable_token_indices": {"embed_tokens": [5, 9], "lm_head": [6]}},
        {"init_lora_weights": "orthogonal"},
    ],
    ids=lambda settings: " ".join(map(str, settings)) or "plain",
)
def test_the_sum_is_what_peft_merges(
    base: Path, target: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", **settings)
    deltas = by_peft(base, adapter)
    merge = opened(target, adapter)
    assert_adds(merge, tmp_path, target, deltas)
    moved = {name for name, tensor in deltas.items() if tensor.any()}
    assert {row.name for row in merge.merger.plan.rows if row.terms} == moved


@pytest.mark.parametrize("settings", [{"bias": "all"}, {"lora_bias": True}], ids=["all", "factors'"])
def test_trained_biases_are_added(tmp_path: Path, settings: dict[str, Any]) -> None:
    base = saved_model(tmp_path / "base", "qwen2", seed=1)
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], **settings)
    deltas = by_peft(base, adapter)
    assert deltas["model.layers.1.self_attn.q_proj.bias"].any()
    assert_adds(opened(base, adapter), tmp_path, base, deltas)


def test_a_bias_that_the_base_does_not_have_is_refused(base: Path, tmp_path: Path) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], lora_bias=True)
    with pytest.raises(CheckpointError, match=r"base has no place for .*q_proj\.lora_B\.bias"):
        opened(base, adapter)


@pytest.mark.parametrize("settings", [{}, {"use_dora": True}], ids=["plain", "dora"])
def test_matrices_that_lie_transposed_are_added_transposed(tmp_path: Path, settings: dict[str, Any]) -> None:
    folder = saved_model(tmp_path / "base", "gpt2", seed=1)
    # One flag for all in the configuration, and a square matrix whose shape does not tell.
    modules = ["c_attn", "attn.c_proj", "mlp.c_proj"]
    adapter = saved_adapter(folder, tmp_path / "adapter", target_modules=modules, **settings)
    deltas = by_peft(folder, adapter)
    assert_adds(opened(folder, adapter), tmp_path, folder, deltas)
    if not settings:
        adapter = saved_adapter(folder, tmp_path / "mixed", target_modules=[*modules, "lm_head"])
        edit(adapter, fan_in_fan_out=False)
        deltas = {name: delta for name, delta in by_peft(folder, adapter).items() if ".attn." in name}
        assert_adds(opened(folder, adapter), tmp_path / "mixed-merged", folder, deltas)


@pytest.mark.parametrize("family", ["qwen3_moe", "gpt_oss"])
def test_factors_of_fused_experts_reach_each_expert(tmp_path: Path, family: str) -> None:
    base = saved_model(tmp_path / "base", family, seed=1)
    parameters = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    settings: dict[str, Any] = {"target_modules": ["q_proj"], "target_parameters": parameters}
    adapter = saved_adapter(base, tmp_path / "adapter", **settings)
    assert_adds(opened(base, adapter), tmp_path, base, by_peft(base, adapter))


def test_factors_of_single_experts_are_added(tmp_path: Path) -> None:
    base = saved_model(tmp_path / "base", "qwen3_moe", seed=1)
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj"])
    name, (a, b) = "model.layers.0.mlp.experts.1.up_proj", (torch.ones(4, 32), torch.ones(16, 4))
    factors = {"lora_A.weight": a, "lora_B.weight": b}
    file = adapter / "adapter_model.safetensors"
    save_file({f"base_model.model.{name}.{key}": value for key, value in factors.items()}, file)
    merge = opened(base, adapter)
    assert [row.name for row in merge.merger.plan.rows if row.terms] == [f"{name}.weight"]
    tuned = merge.merger.plan.models["tuned"]
    assert isinstance(tuned, Adapter)
    (part,) = tuned.parts.values()
    assert part.scale == 2


@pytest.mark.parametrize("named", ["model.language_model.", "language_model.model.", "model."])
def test_names_of_every_release_of_a_wrapper_and_of_its_language_model_are_understood(
    tmp_path: Path, named: str
) -> None:
    base = saved_model(tmp_path / "base", "gemma3", seed=1)
    modules = r".*language_model.*\.(q_proj|down_proj)"
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=modules)
    deltas = by_peft(base, adapter)
    file = adapter / "adapter_model.safetensors"
    today = load_file(file)
    assert all(name.startswith("base_model.model.model.language_model.") for name in today)
    save_file({name.replace("model.language_model.", named): tensor for name, tensor in today.items()}, file)
    assert_adds(opened(base, adapter), tmp_path, base, deltas)


@pytest.mark.parametrize("wrapped", ["_orig_mod.{}", "module.{}"])
def test_names_with_what_wrappers_left_in_them_are_understood(
    base: Path, tmp_path: Path, wrapped: str
) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj"])
    deltas = by_peft(base, adapter)
    file = adapter / "adapter_model.safetensors"
    save_file({wrapped.format(name): tensor for name, tensor in load_file(file).items()}, file)
    assert_adds(opened(base, adapter), tmp_path, base, deltas)


def test_what_an_adapter_does_not_adapt_has_no_weight_and_is_listed(base: Path, tmp_path: Path) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj"])
    merge = opened(base, adapter)
    assert merge.group_names == ("layers.0", "layers.1")
    (remark,) = merge.remarks()
    line = remark.line()
    assert line.startswith("no weight, as in the target: model.embed_tokens.weight, ")
    assert line.endswith("and 15 more (adapter does not adapt it)")
    assert opened(base, adapter, rules=GroupRules("parameter")).group_names == ("q_proj",)


def test_an_adapter_of_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter")
    other = Path(shutil.copytree(base, tmp_path / "other"))
    with pytest.raises(CheckpointError, match="adapter was trained on 'base', but the base model is 'other'"):
        opened(base, adapter, base=str(other))
    narrow = saved_model(tmp_path / "narrow" / "base", "llama", intermediate_size=40)
    with pytest.raises(
        CheckpointError, match=r"adapter does not fit narrow/base: factors .* do not make .*mlp\."
    ) as e:
        opened(base, adapter, base=str(narrow))
    assert str(e.value).count("do not make") == 4, "all misfits are told at once"


def test_norms_and_flag_of_dora_come_together(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"q_proj\.weight has no norms of DoRA's"):
        opened(base, edit(saved_adapter(base, tmp_path / "plain"), use_dora=True))
    dora = saved_adapter(base, tmp_path / "dora", use_dora=True)
    with pytest.raises(CheckpointError, match=r"has norms of DoRA's, and use_dora is not set"):
        opened(base, edit(dora, use_dora=False))


@pytest.mark.parametrize("half", ["lora_A", "lora_B"])
def test_a_factor_without_its_other_half_is_named(base: Path, tmp_path: Path, half: str) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    first = next(name for name in weights if half in name)
    save_file({name: tensor for name, tensor in weights.items() if name != first}, file)
    with pytest.raises(CheckpointError, match="half of the factors of model"):
        opened(base, adapter)


def test_a_damaged_adapter_is_named(base: Path, tmp_path: Path) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    first = next(name for name in weights if "lora_B" in name)
    save_file({**weights, first: torch.full_like(weights[first], torch.nan)}, file)
    with pytest.raises(CheckpointError, match=f"adapter: tensor '{first}' holds NaN"):
        opened(base, adapter)
    save_file({**weights, "base_model.model.model.strange.lora_A.weight": torch.ones(2, 2)}, file)
    with pytest.raises(CheckpointError, match=r"base has no place for .*strange\.lora_A"):
        opened(base, adapter)
    file.unlink()
    with pytest.raises(CheckpointError, match=r"but no adapter_model.safetensors"):
        opened(base, adapter)


def test_an_adapter_that_holds_what_the_base_does_adds_nothing(base: Path, tmp_path: Path) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj"])
    head = load_file(base / "model.safetensors")["lm_head.weight"]
    save_file({"base_model.model.lm_head.weight": head.float()}, adapter / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="adapter adds nothing: its tensors are those of base"):
        opened(base, adapter)


def test_an_adapter_cannot_be_a_base_or_target(base: Path, tmp_path: Path) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=r"adapter is an adapter .* only a tuned model may be"):
        opened(adapter, base, base=str(base))


@pytest.fixture
def others(base: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The base with a tokenizer, and a target that numbers the same tokens otherwise and has more."""
    words = [f"w{number}" for number in range(64)]
    base = Path(shutil.copytree(base, tmp_path / "base"))
    save_tokenizer(base, words)
    target = saved_model(tmp_path / "other", "llama", seed=9, vocab_size=70)
    save_tokenizer(target, [*words[::-1], *"abcdef"])
    return base, target


def test_an_adapter_reaches_a_target_with_other_tokens(others: tuple[Path, Path], tmp_path: Path) -> None:
    base, target = others
    plain = saved_adapter(base, tmp_path / "plain")
    assert opened(target, plain).group_names == ("layers.0", "layers.1")
    tokens = saved_adapter(base, tmp_path / "tokens", target_modules=["embed_tokens", "lm_head", "q_proj"])
    deltas = by_peft(base, tokens)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        deltas[name] = torch.cat([deltas[name].flip(0), torch.zeros(6, 32)])
    merge = opened(target, tokens)
    assert_adds(merge, tmp_path, target, deltas)
    assert "tokens: tokens: 64 tokens shared; 6 of the target's own" in [r.line() for r in merge.remarks()]
    assert opened(target, tokens, vocabulary="skip").group_names == ("layers.0", "layers.1")


def test_dora_of_tokens_reaches_no_other_tokens(others: tuple[Path, Path], tmp_path: Path) -> None:
    base, target = others
    dora = saved_adapter(base, tmp_path / "dora", target_modules=["lm_head", "q_proj"], use_dora=True)
    with pytest.raises(CheckpointError, match="dora adapts embeddings or head by DoRA, and tokens differ"):
        opened(target, dora)
    assert opened(target, dora, vocabulary="skip").group_names == ("layers.0", "layers.1")


def _grow(model: Any) -> None:
    torch.manual_seed(0)
    model.resize_token_embeddings(66)


@pytest.mark.parametrize("modules", [["embed_tokens", "q_proj"], ["q_proj"]], ids=["factors", "whole"])
def test_a_grown_vocabulary_is_matched_by_the_text_of_tokens(
    others: tuple[Path, Path], tmp_path: Path, modules: list[str]
) -> None:
    base, target = others
    saved = None if len(modules) > 1 else ["embed_tokens", "lm_head"]
    settings: dict[str, Any] = {"target_modules": modules, "modules_to_save": saved}
    adapter = saved_adapter(base, tmp_path / "adapter", before=_grow, **settings)
    grown = by_peft(base, adapter, before=_grow)
    aligned, same = dict(grown), dict(grown)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        aligned[name] = torch.cat([grown[name][:64].flip(0), torch.zeros(6, 32)])
        same[name] = grown[name][:64]
    merge = opened(base, adapter)
    assert_adds(merge, tmp_path / "same", base, same)
    assert any("no tokenizer, so the first 64 of its 66" in r.line() for r in merge.remarks())
    # The target has one of the tokens that were added; the base has not, so that there is no difference.
    save_tokenizer(adapter, [*(f"w{number}" for number in range(64)), "a", "z"])
    merge = opened(target, adapter)
    assert_adds(merge, tmp_path / "aligned", target, aligned)
    assert not any("no tokenizer" in remark.line() for remark in merge.remarks())
    assert opened(target, adapter, vocabulary="skip").group_names == ("layers.0", "layers.1")
    with pytest.raises(CheckpointError, match=r"tokens differ: .* adapter has 66 rows; pass --vocab align"):
        opened(base, adapter, vocabulary="error")


def test_the_tokenizer_of_an_adapter_is_in_its_digest_where_it_tells_what_rows_mean(
    others: tuple[Path, Path], tmp_path: Path
) -> None:
    base, _ = others
    words = [f"w{number}" for number in range(64)]
    digests = []
    for modules in (["q_proj"], ["lm_head"]):
        adapter = saved_adapter(base, tmp_path / modules[0], target_modules=modules)
        before = opened(base, adapter).fingerprint["tuned"]
        save_tokenizer(adapter, words)
        digests.append(opened(base, adapter).fingerprint["tuned"] == before)
    assert digests == [True, False]


def test_an_adapter_of_the_hub_brings_its_base(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = saved_adapter(base, tmp_path / "adapter")
    deltas = by_peft(base, adapter)
    edit(adapter, base_model_name_or_path="owner/base")
    with hub({"owner/base": base, "owner/adapter": adapter}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        request = MergeRequest(
            targets=(str(base),), vectors=(TaskVector(tuned="owner/adapter"),), dtype="float32"
        )
        merge = open_request(request, cache_dir=tmp_path / "cache")
    assert merge.identities["base"] == f"owner/base@{COMMIT}"
    assert_adds(merge, tmp_path, base, deltas)
