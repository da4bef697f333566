"""A stream of checkpoint tensors becomes a live model, every parameter of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, PreTrainedModel

from tests.merging.families import FAMILIES, config_of, random_model, saved_model
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.live import load_into
from tvmerge.pretrained.architectures import factory_of


def _stream(checkpoint: Checkpoint) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, checkpoint.tensor(name)) for name in checkpoint.specs)


def _reference(folder: Path) -> PreTrainedModel:
    model = factory_of(AutoConfig.from_pretrained(folder)).from_pretrained(folder)
    assert isinstance(model, PreTrainedModel)
    return model


def _assert_alike(live: PreTrainedModel, reference: PreTrainedModel) -> None:
    expected = reference.state_dict()
    for name, tensor in live.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    tokens = torch.tensor([[3, 5, 7, 11]])
    with torch.no_grad():
        assert torch.equal(live(tokens).logits, reference(tokens).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_live_model_becomes_what_transformers_would_load(family: str, tmp_path: Path) -> None:
    folder = saved_model(tmp_path / family, family, seed=1)
    live = random_model(family, seed=2)
    addresses = {name: parameter.data_ptr() for name, parameter in live.named_parameters()}
    for _ in range(2):
        load_into(live, _stream(Checkpoint(folder)))
        _assert_alike(live, _reference(folder))
    assert {name: p.data_ptr() for name, p in live.named_parameters()} == addresses, "in place"


def test_fused_experts_load_as_they_are(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "m", "mixtral", seed=1, save={"save_original_format": False})
    live = random_model("mixtral", seed=2)
    load_into(live, _stream(Checkpoint(folder)))
    _assert_alike(live, _reference(folder))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_names_without_the_prefix_find_their_place(family: str) -> None:
    source, live = random_model(family, seed=1), random_model(family, seed=2)
    prefix = f"{source.base_model_prefix}."
    load_into(live, ((name.removeprefix(prefix), tensor) for name, tensor in source.state_dict().items()))
    _assert_alike(live, source)


def test_a_tied_head_follows_the_embeddings() -> None:
    source, live = (random_model("llama", seed=seed, tie_word_embeddings=True) for seed in (1, 2))
    load_into(live, ((n, t) for n, t in source.state_dict().items() if n != "lm_head.weight"))
    _assert_alike(live, source)


def test_the_live_models_own_format_is_kept() -> None:
    source = random_model("llama", seed=1, dtype=torch.bfloat16)
    live = random_model("llama", seed=2, dtype=torch.float32)
    load_into(live, iter(source.state_dict().items()))
    assert live.dtype == torch.float32
    assert torch.equal(live.state_dict()["lm_head.weight"], source.state_dict()["lm_head.weight"].float())


def test_a_parameter_that_gets_nothing_is_named() -> None:
    state = random_model("llama", seed=1).state_dict()
    lost = "model.layers.1.mlp.up_proj.weight"
    with pytest.raises(CheckpointError, match=rf"nothing for {lost} of LlamaForCausalLM"):
        load_into(random_model("llama"), ((n, t) for n, t in state.items() if n != lost))


def test_a_lost_expert_is_noticed(tmp_path: Path) -> None:
    checkpoint = Checkpoint(saved_model(tmp_path / "m", "mixtral"))
    for lost in ("w1", "w2"):
        kept = (
            (n, t) for n, t in _stream(checkpoint) if f"layers.1.block_sparse_moe.experts.2.{lost}" not in n
        )
        with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.experts"):
            load_into(random_model("mixtral", seed=3), kept)


def test_a_tensor_without_a_place_is_refused_unless_known_to_be_idle() -> None:
    state = random_model("llama", seed=1).state_dict() | {"model.layers.0.rotary.inv_freq": torch.ones(4)}
    with pytest.raises(CheckpointError, match=r"LlamaForCausalLM has no place for model\.layers\.0\.rotary"):
        load_into(random_model("llama"), iter(state.items()))
    live = random_model("llama", seed=2)
    load_into(live, iter(state.items()), ignore=("model.layers.0.rotary.inv_freq",))
    assert torch.equal(live.state_dict()["lm_head.weight"], state["lm_head.weight"])


def test_a_tensor_of_another_shape_is_refused_and_never_stretched() -> None:
    state = random_model("llama", seed=1).state_dict() | {"model.norm.weight": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"'model\.norm\.weight' is \[1\] .* \[32\] in the live Llama"):
        load_into(random_model("llama"), iter(state.items()))


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    checkpoint = Checkpoint(saved_model(tmp_path / "m", "mixtral"))
    live = random_model("mixtral", seed=3)
    capfd.readouterr()
    load_into(live, _stream(checkpoint))
    assert capfd.readouterr() == ("", "")


def test_gradients_are_no_hindrance() -> None:
    live = random_model("llama", seed=2)
    live.requires_grad_(True)
    load_into(live, iter(random_model("llama", seed=1).state_dict().items()))
    assert config_of("llama").model_type == "llama"
