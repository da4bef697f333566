"""Groups: a weight per tensor, a layer or a kind of parameter."""

from __future__ import annotations

from typing import Any

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from tests.merging.families import FAMILIES, config_of
from tvmerge.errors import ConfigError
from tvmerge.merging.checkpoints.arrangement import Structure
from tvmerge.merging.checkpoints.structure import structure_of
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.groups import Groups, group_names, group_tensors, layer_share


def _grouping(structure: Structure, rules: GroupRules, layout: int = 0) -> Groups:
    return group_tensors(structure, structure.arrange(structure.layouts[layout]), rules)


def _groups(structure: Structure, mode: str, layout: int = 0) -> dict[str, str]:
    """Tensor -> group, for modes in which each tensor has just one."""
    shares = _grouping(structure, GroupRules(mode), layout).shares
    assert all(len(share) == 1 and share[0][1] == 1.0 for share in shares.values())
    return {name: share[0][0] for name, share in shares.items()}


def _names(family: str, mode: str, layout: int = 0) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_groups(structure_of(config_of(family), family), mode, layout).values()))


@pytest.mark.parametrize(("mode", "count"), [("all", 291), ("layer", 35), ("parameter", 12)])
def test_mistral_7b_has_as_many_groups_as_its_structure_says(mode: str, count: int) -> None:
    structure = structure_of(transformers.MistralConfig(), "mistral-7b")
    groups = _groups(structure, mode)
    assert (len(groups), len(set(groups.values()))) == (291, count)


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
    modes: tuple[str, ...] = ("all", "layer", "parameter", "block", "uniform")
    for mode in modes:
        there = group_tensors(structure, structure.arrange(names), GroupRules(mode))
        back = group_tensors(structure, structure.arrange(reversed(names)), GroupRules(mode))
        assert list(there.shares.items()) == list(back.shares.items())


def test_tensors_the_model_does_not_use_have_no_group() -> None:
    structure = structure_of(config_of("gpt2"), "gpt2")
    arrangement = structure.arrange([*structure.layouts[0], "transformer.h.0.attn.masked_bias"])
    assert (
        "transformer.h.0.attn.masked_bias"
        not in group_tensors(structure, arrangement, GroupRules("all")).shares
    )


BLOCKS = {
    "llama": "self_attn mlp",
    "gemma2": "self_attn mlp",
    "gemma3": "self_attn mlp",
    "phi3": "self_attn mlp",
    "cohere": "self_attn mlp",
    "gpt2": "attn mlp",
    "gpt_neox": "attention mlp",
    "mixtral": "self_attn mlp",
    "qwen3_moe": "self_attn mlp",
    "gpt_oss": "self_attn mlp",
}


@pytest.mark.parametrize("family", BLOCKS)
def test_a_block_is_the_attention_or_the_mlp_of_a_layer(family: str) -> None:
    names = _names(family, "block")
    expected = {f"layers.{layer}.{block}" for layer in range(2) for block in BLOCKS[family].split()}
    assert {name for name in names if name.startswith("layers")} == expected
    assert names[0] == "embeddings"


def test_a_layers_norms_go_with_the_block_they_stand_before() -> None:
    llama = _groups(structure_of(config_of("llama"), "llama"), "block")
    assert llama["model.layers.1.input_layernorm.weight"] == "layers.1.self_attn"
    assert llama["model.layers.1.post_attention_layernorm.weight"] == "layers.1.mlp"
    gemma = _groups(structure_of(config_of("gemma2"), "gemma2"), "block")
    assert gemma["model.layers.0.post_attention_layernorm.weight"] == "layers.0.self_attn"
    assert gemma["model.layers.0.pre_feedforward_layernorm.weight"] == "layers.0.mlp"
    assert gemma["model.layers.0.post_feedforward_layernorm.weight"] == "layers.0.mlp"


def test_both_layouts_of_experts_have_the_same_number_of_blocks() -> None:
    fused, single = (_names("mixtral", "block", layout) for layout in (0, 1))
    assert [name.replace("block_sparse_moe", "mlp") for name in single] == list(fused)


def test_one_weight_can_do_for_everything() -> None:
    assert set(_names("llama", "uniform")) == {"uniform"}


def _rules(**changes: Any) -> Groups:
    structure = structure_of(config_of("llama", num_hidden_layers=5), "llama")
    return _grouping(structure, GroupRules(**changes))


def test_patterns_name_groups_the_first_that_fits_decides_and_the_rest_is_listed() -> None:
    patterns = (("early", r"layers\.[01]\."), ("attention", "self_attn"))
    grouping = _rules(mode="regex", patterns=patterns)
    assert grouping.shares["model.layers.1.self_attn.q_proj.weight"] == (("early", 1.0),)
    assert grouping.shares["model.layers.4.self_attn.q_proj.weight"] == (("attention", 1.0),)
    assert grouping.idle["model.layers.4.mlp.up_proj.weight"] == "no pattern fits"
    assert grouping.idle["lm_head.weight"] == "no pattern fits"
    assert len(grouping.shares) + len(grouping.idle) == 5 * 9 + 3


def test_neighbouring_layers_can_share_a_weight() -> None:
    names = group_names(_rules(layer_granularity=2).shares.values())
    assert names == ("embeddings", "layers.0-1", "layers.2-3", "layers.4", "norm", "head")
    blocks = group_names(_rules(mode="block", layer_granularity=5).shares.values())
    assert blocks == ("embeddings", "layers.0-4.self_attn", "layers.0-4.mlp", "norm", "head")


def test_smooth_weights_lie_on_straight_lines_between_knots() -> None:
    shares = _rules(knots=3).shares
    assert group_names(shares.values()) == ("embeddings", "knots.0", "knots.1", "knots.2", "norm", "head")
    at = [dict(shares[f"model.layers.{layer}.mlp.up_proj.weight"]) for layer in range(5)]
    assert at == [
        {"knots.0": 1.0},
        {"knots.0": 0.5, "knots.1": 0.5},
        {"knots.1": 1.0},
        {"knots.1": 0.5, "knots.2": 0.5},
        {"knots.2": 1.0},
    ]
    assert "knots.1.mlp" in group_names(_rules(mode="block", knots=2).shares.values())


@given(layers=st.integers(2, 40), knots=st.integers(2, 40))
def test_knots_weigh_each_layer_with_parts_of_one(layers: int, knots: int) -> None:
    if knots > layers:
        return
    for layer in range(layers):
        share = layer_share(f"layers.{layer}", layer, layers, GroupRules(knots=knots))
        assert sum(factor for _, factor in share) == pytest.approx(1)
        position = sum(int(name.split(".")[1]) * factor for name, factor in share)
        assert position == pytest.approx(layer * (knots - 1) / (layers - 1))


def test_frozen_tensors_have_no_weight_and_say_why() -> None:
    grouping = _rules(freeze=("embed_tokens", r"lm_head", r"\.0\."))
    assert group_names(grouping.shares.values()) == ("layers.1", "layers.2", "layers.3", "layers.4", "norm")
    assert grouping.idle["lm_head.weight"] == "frozen by 'lm_head'"
    assert grouping.idle["model.layers.0.mlp.up_proj.weight"] == r"frozen by '\\.0\\.'"


def test_what_lies_outside_the_language_model_is_listed() -> None:
    structure = structure_of(config_of("gemma3"), "gemma3")
    grouping = _grouping(structure, GroupRules())
    idle = {name.split(".")[1] for name in grouping.idle}
    assert idle == {"vision_tower", "multi_modal_projector"}
    assert set(grouping.idle.values()) == {"outside the language model"}
    assert not {name.split(".")[1] for name in grouping.shares} & idle


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "rows"}, "unknown optimize_mode 'rows'; known: all, block, layer"),
        ({"mode": "regex"}, "regex needs patterns"),
        ({"patterns": (("a", "b"),)}, "patterns are for optimize_mode regex"),
        ({"mode": "regex", "patterns": (("a", "b"), ("a", "c"))}, "unique name"),
        ({"mode": "regex", "patterns": (("a", "("),)}, "'\\(' is not a regular expression"),
        ({"freeze": ("[",)}, "'\\[' is not a regular expression"),
        ({"layer_granularity": 0}, "at least 1"),
        ({"knots": 1}, "at least 2 knots"),
        ({"knots": 2, "layer_granularity": 2}, "are mutually exclusive"),
        ({"mode": "all", "knots": 2}, "need optimize_mode block or layer, not all"),
        ({"knots": 6}, "6 knots for the 5 layers of llama"),
        ({"freeze": ("no_such_part",)}, "'no_such_part' matches no tensor"),
        (
            {"mode": "regex", "patterns": (("a", "mlp"), ("b", "up_proj"))},
            "pattern 'b': .* matches no tensor",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _rules(**changes)
