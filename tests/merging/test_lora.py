"""LoRA adapters as peft writes them: their sum is what peft itself would merge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.merging.families import random_model, saved_model
from tests.merging.hub import COMMIT, hub
from tests.merging.tokens import save_tokenizer
from tvmerge.errors import CheckpointError
from tvmerge.merging.opening import Merge, open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.merging.rules import GroupRules
from tvmerge.records import Recipe

peft: Any = pytest.importorskip("peft", reason="needs peft, which writes the adapters: pip install peft")

# peft, which only makes the test's adapters, calls what transformers has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

_ALL = ["q_proj", "v_proj", "up_proj", "down_proj"]


def saved_adapter(
    base: Path, folder: Path, family: str = "llama", *, seed: int = 5, **settings: Any
) -> tuple[Path, dict[str, torch.Tensor]]:
    """A random adapter of the model in `base`, and the whole difference that peft itself makes of it."""
    model = random_model(family, seed=1, dtype=torch.float32)
    model.load_state_dict(
        {n: t.float() for n, t in load_file(base / "model.safetensors").items()}, strict=False
    )
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.name_or_path = str(base)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": _ALL, **settings}
    tuned = peft.get_peft_model(model, peft.LoraConfig(**settings))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    tuned.save_pretrained(folder, save_embedding_layers="embed_tokens" in settings["target_modules"])
    after = tuned.merge_and_unload().state_dict()
    return folder, {name: after[name] - tensor for name, tensor in before.items()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("lora") / "base", "llama", seed=1)


def _open(target: Path, adapter: Path, **settings: Any) -> Merge:
    request = MergeRequest(
        targets=(str(target),), vectors=(TaskVector(tuned=str(adapter), **settings),), dtype="float32"
    )
    return open_request(request)


def _check(merge: Merge, target: Path, delta: dict[str, torch.Tensor], weight: float = 0.7) -> None:
    own = load_file(target / "model.safetensors")
    for limit in (True, False):
        merge.merger._fits = limit
        for name, tensor in merge.merger.merge(Recipe(dict.fromkeys(merge.group_names, weight))):
            torch.testing.assert_close(tensor, own[name].float() + weight * delta[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 8}, "alpha_pattern": {"mlp.up_proj": 3}},
        {"modules_to_save": ["lm_head"]},
        {"target_modules": ["embed_tokens", "q_proj"]},
    ],
    ids=["plain", "rslora", "patterns", "saved module", "embeddings"],
)
def test_the_sum_is_what_peft_merges(base: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    adapter, delta = saved_adapter(base, tmp_path / "adapter", **settings)
    target = saved_model(tmp_path / "target", "llama", seed=9)
    merge = _open(target, adapter)
    _check(merge, target, delta)
    moved = {name for name, tensor in delta.items() if tensor.any()}
    assert {row.name for row in merge.merger.plan.rows if row.terms} == moved


def test_matrices_that_lie_transposed_are_added_transposed(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "base", "gpt2", seed=1)
    settings: dict[str, Any] = {"target_modules": ["c_attn", "mlp.c_proj"], "fan_in_fan_out": True}
    adapter, delta = saved_adapter(folder, tmp_path / "adapter", "gpt2", **settings)
    _check(_open(folder, adapter), folder, delta)


def test_what_an_adapter_does_not_adapt_has_no_weight_and_is_listed(base: Path, tmp_path: Path) -> None:
    adapter, _ = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj"])
    merge = _open(base, adapter)
    assert merge.group_names == ("layers.0", "layers.1")
    (remark,) = merge.remarks()
    line = remark.line()
    assert line.startswith("no weight, as in the target: model.embed_tokens.weight, ")
    assert line.endswith("and 15 more (adapter does not adapt it)")
    assert _open(base, adapter, rules=GroupRules("parameter")).group_names == ("q_proj",)


def test_an_adapter_of_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    adapter, _ = saved_adapter(base, tmp_path / "adapter")
    other = Path(shutil.copytree(base, tmp_path / "other"))
    with pytest.raises(CheckpointError, match="adapter was trained on 'base', but the base model is 'other'"):
        _open(base, adapter, base=str(other))
    narrow = saved_model(tmp_path / "narrow" / "base", "llama", intermediate_size=40)
    with pytest.raises(
        CheckpointError, match=r"adapter does not fit narrow/base: factors .* do not make .*mlp\."
    ) as e:
        _open(base, adapter, base=str(narrow))
    assert str(e.value).count("do not make") == 4, "all misfits are told at once"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, "uses DoRA"),
        ({"peft_type": "IA3"}, "is a IA3 adapter; only LoRA"),
        ({"bias": "all"}, "uses trained biases"),
        ({"init_lora_weights": "pissa"}, "a base model changed by pissa"),
        ({"lora_bias": True}, "uses biases of its own"),
        ({"trainable_token_indices": [1]}, "uses single trained tokens"),
    ],
)
def test_adapters_that_are_no_sum_are_refused(
    base: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    adapter, _ = saved_adapter(base, tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=message):
        _open(base, adapter)


@pytest.mark.parametrize("half", ["lora_A", "lora_B"])
def test_a_factor_without_its_other_half_is_named(base: Path, tmp_path: Path, half: str) -> None:
    adapter, _ = saved_adapter(base, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    first = next(name for name in weights if half in name)
    save_file({name: tensor for name, tensor in weights.items() if name != first}, file)
    with pytest.raises(CheckpointError, match="half of the factors of model"):
        _open(base, adapter)


def test_a_damaged_adapter_is_named(base: Path, tmp_path: Path) -> None:
    adapter, _ = saved_adapter(base, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    first = next(name for name in weights if "lora_B" in name)
    save_file({**weights, first: torch.full_like(weights[first], torch.nan)}, file)
    with pytest.raises(CheckpointError, match=f"adapter: tensor '{first}' holds NaN"):
        _open(base, adapter)
    save_file({**weights, "base_model.model.model.strange.lora_A.weight": torch.ones(2, 2)}, file)
    with pytest.raises(CheckpointError, match=r"base has no place for .*strange\.lora_A"):
        _open(base, adapter)
    file.unlink()
    with pytest.raises(CheckpointError, match=r"but no adapter_model.safetensors"):
        _open(base, adapter)


def test_an_adapter_cannot_be_a_base_or_target(base: Path, tmp_path: Path) -> None:
    adapter, _ = saved_adapter(base, tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=r"adapter is an adapter .* only a tuned model may be"):
        _open(adapter, base, base=str(base))


def test_an_adapter_reaches_a_target_with_other_tokens_unless_it_adapts_tokens(
    base: Path, tmp_path: Path
) -> None:
    words = [f"w{number}" for number in range(64)]
    base = Path(shutil.copytree(base, tmp_path / "base"))
    save_tokenizer(base, words)
    target = saved_model(tmp_path / "target", "llama", seed=9, vocab_size=70)
    save_tokenizer(target, [*words, "a", "b", "c", "d", "e", "f"])
    plain, _ = saved_adapter(base, tmp_path / "plain")
    assert _open(target, plain).group_names == ("layers.0", "layers.1")
    tokens, _ = saved_adapter(base, tmp_path / "tokens", target_modules=["embed_tokens", "q_proj"])
    with pytest.raises(
        CheckpointError, match="tokens adapts embeddings or head, and target has other tokens"
    ):
        _open(target, tokens)


def test_an_adapter_of_the_hub_brings_its_base(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, delta = saved_adapter(base, tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(
        json.dumps(config | {"base_model_name_or_path": "owner/base"})
    )
    with hub({"owner/base": base, "owner/adapter": adapter}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        request = MergeRequest(
            targets=(str(base),), vectors=(TaskVector(tuned="owner/adapter"),), dtype="float32"
        )
        merge = open_request(request, cache_dir=tmp_path / "cache")
    assert merge.identities["base"] == f"owner/base@{COMMIT}"
    _check(merge, base, delta)
