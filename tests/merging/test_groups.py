"""Groups: a weight a tensor, a layer or a kind of parameter."""

from __future__ import annotations

import pytest
import transformers

from tests.merging.families import FAMILIES, config_of
from tvmerge.merging.groups import Mode, group_names, group_tensors
from tvmerge.merging.structure import Structure, structure_of


def _groups(structure: Structure, mode: Mode, layout: int = 0) -> dict[str, str]:
    return group_tensors(structure, structure.arrange(structure.layouts[layout]), mode)


def _names(family: str, mode: Mode, layout: int = 0) -> tuple[str, ...]:
    return group_names(_groups(structure_of(config_of(family), family), mode, layout))


@pytest.mark.parametrize(("mode", "count"), [("all", 291), ("layer", 35), ("parameter", 12)])
def test_mistral_7b_has_as_many_groups_as_its_structure_says(mode: Mode, count: int) -> None:
    structure = structure_of(transformers.MistralConfig(), "mistral-7b")
    groups = _groups(structure, mode)
    assert (len(groups), len(group_names(groups))) == (291, count)


def test_layers_are_named_alike_in_every_family() -> None:
    for family in FAMILIES:
        names = _names(family, "layer")
        head = () if structure_of(config_of(family), family).aliases else ("head",)
        assert names == ("embeddings", "layers.0", "layers.1", "norm", *head), family


def test_weight_and_bias_of_a_module_share_a_group() -> None:
    groups = _groups(structure_of(config_of("qwen2"), "qwen2"), "parameter")
    assert groups["model.layers.0.self_attn.q_proj.bias"] == "q_proj"
    assert groups["model.layers.1.self_attn.q_proj.weight"] == "q_proj"


PARAMETER_GROUPS = {
    "mistral": "embed_tokens q_proj k_proj v_proj o_proj gate_proj up_proj down_proj input_layernorm "
    "post_attention_layernorm norm lm_head",
    "gpt2": "wte wpe ln_1 c_attn attn.c_proj ln_2 c_fc mlp.c_proj ln_f",
    "gpt_neox": "embed_in input_layernorm post_attention_layernorm query_key_value dense dense_h_to_4h "
    "dense_4h_to_h final_layer_norm lm_head",
    "phi3": "embed_tokens o_proj qkv_proj gate_up_proj down_proj input_layernorm post_attention_layernorm "
    "norm lm_head",
    "gemma3_text": "embed_tokens q_proj k_proj v_proj o_proj q_norm k_norm gate_proj up_proj down_proj "
    "input_layernorm post_attention_layernorm pre_feedforward_layernorm post_feedforward_layernorm norm",
    "cohere": "embed_tokens q_proj k_proj v_proj o_proj gate_proj up_proj down_proj input_layernorm norm",
}


@pytest.mark.parametrize("family", PARAMETER_GROUPS)
def test_kinds_of_parameters_have_the_shortest_names_that_tell_them_apart(family: str) -> None:
    assert set(_names(family, "parameter")) == set(PARAMETER_GROUPS[family].split())


def test_experts_share_a_kind_in_either_layout() -> None:
    fused, single = (set(_names("mixtral", "parameter", layout)) for layout in (0, 1))
    assert {"gate_up_proj", "down_proj"} <= fused
    assert {"w1", "w2", "w3"} <= single
    assert len(single) == len(fused) + 1


def test_a_group_a_tensor_is_named_like_the_tensor() -> None:
    groups = _groups(structure_of(config_of("gemma2"), "gemma2"), "all")
    assert all(name == group for name, group in groups.items())
    assert "lm_head.weight" not in groups


def test_groups_come_in_model_order_whatever_the_files_order() -> None:
    structure = structure_of(config_of("llama"), "llama")
    names = list(structure.layouts[0])
    for mode in ("all", "layer", "parameter"):
        there = group_tensors(structure, structure.arrange(names), mode)
        back = group_tensors(structure, structure.arrange(reversed(names)), mode)
        assert list(there.items()) == list(back.items())


def test_tensors_the_model_does_not_use_have_no_group() -> None:
    structure = structure_of(config_of("gpt2"), "gpt2")
    arrangement = structure.arrange([*structure.layouts[0], "transformer.h.0.attn.masked_bias"])
    assert "transformer.h.0.attn.masked_bias" not in group_tensors(structure, arrangement, "all")
