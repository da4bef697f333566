"""Adapters of other kinds are refused by their name, and nothing unknown is passed over."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from tests.merging.checkpoints.lora.adapters import peft
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.lora.config import (
    KINDS,
    KNOWN,
    adapter_scale,
    adapter_scales,
    check_adapter_config,
)

PLAIN: dict[str, Any] = {"peft_type": "LORA", "r": 8, "lora_alpha": 16}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alora_invocation_tokens": [5, 6]}, "uses aLoRA"),
        ({"arrow_config": {"top_k": 2}}, "uses Arrow"),
        ({"kasa_config": {"beta": 0.1}}, "uses KaSA"),
        ({"layer_replication": [[0, 2], [0, 1]]}, "uses layer replication"),
        ({"monteclora_config": {"samples": 8}}, "uses MonteCLoRA"),
        ({"use_bdlora": {"nblocks": 2}}, "uses BD-LoRA"),
        ({"use_qalora": True}, "uses QA-LoRA"),
        ({"velora_config": {"num_groups": 8}}, "uses VeLoRA"),
        ({"init_lora_weights": "pissa_niter_16"}, r"changed by its initialisation \(pissa_niter_16\)"),
        ({"init_lora_weights": "loftq", "kasa_config": {"beta": 1}}, "uses KaSA.*, and a base .*loftq"),
        ({"use_new_thing": True}, "uses use_new_thing, which is not known here"),
        ({"new_config": {"strength": 0.0}}, "uses new_config, which is not known here"),
        ({"peft_type": "LOHA"}, "is an adapter of type LOHA; only LoRA and DoRA can be added"),
        ({"peft_type": "PROMPT_TUNING"}, "is an adapter of type PROMPT_TUNING"),
        ({"peft_type": None}, "has no peft_type"),
        ({"r": 0}, r"must be whole numbers above 0; got \[0\]"),
        ({"r": None}, r"must be whole numbers above 0; got \[None\]"),
        ({"rank_pattern": {"q_proj": "8"}}, r"must be whole numbers above 0; got \[8, '8'\]"),
        ({"lora_alpha": None}, r"alphas .* must be numbers; got \[None\]"),
        ({"alpha_pattern": {"layers.(0": 8}}, "is not a regular expression"),
        ({"rank_pattern": ["q_proj"]}, "rank_pattern .* must be a table"),
        ({"modules_to_save": "lm_head"}, "modules_to_save .* peft does not write: 'lm_head'"),
        ({"target_parameters": 7}, "target_parameters .* peft does not write: 7"),
        ({"base_model_name_or_path": 7}, "base_model_name_or_path .* peft does not write: 7"),
        ({"trainable_token_indices": 7}, "must be lists of ids of tokens; got 7"),
        ({"trainable_token_indices": {"lm_head": ["x"]}}, r"must be lists of ids of tokens; got \['x'\]"),
    ],
)
def test_another_kind_is_refused_by_its_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=f"^adapter: .*{message}"):
        check_adapter_config(PLAIN | change, "adapter")


@pytest.mark.parametrize("start", [None, True, False, "gaussian", "eva", "orthogonal", "mica"])
def test_a_start_that_leaves_the_base_as_it_is_is_none_of_our_business(start: object) -> None:
    check_adapter_config(PLAIN | {"init_lora_weights": start}, "adapter")


def test_every_key_that_peft_writes_is_known() -> None:
    written = {field.name for field in fields(peft.LoraConfig)}
    assert written <= KNOWN | KINDS.keys()
    check_adapter_config(peft.LoraConfig(r=4).to_dict() | {"use_new_thing": None}, "adapter")


@pytest.mark.parametrize(
    ("change", "module", "scale"),
    [
        ({}, "model.layers.1.mlp.up_proj", 2.0),
        ({"use_rslora": True}, "model.layers.1.mlp.up_proj", 16 / 8**0.5),
        ({"rank_pattern": {"up_proj": 4}}, "model.layers.1.mlp.up_proj", 4.0),
        ({"rank_pattern": {"^layers.1.mlp.up_proj": 4}}, "model.layers.1.mlp.up_proj", 2.0),
        ({"alpha_pattern": {r"layers\.[01]\.mlp\.up_proj": 4}}, "model.layers.1.mlp.up_proj", 0.5),
        ({"alpha_pattern": {"proj": 4}}, "model.layers.1.mlp.up_proj", 2.0),
    ],
)
def test_the_scale_follows_pefts_patterns(change: dict[str, Any], module: str, scale: float) -> None:
    assert adapter_scale(PLAIN | change, module) == pytest.approx(scale)


@pytest.mark.parametrize(
    "change",
    [
        {"rank_pattern": ["q_proj"]},
        {"alpha_pattern": 3},
        {"modules_to_save": 1},
        {"trainable_token_indices": ["1"]},
        {"trainable_token_indices": {"embed_tokens": [-1]}},
        {"base_model_name_or_path": ["base"]},
        {"r": "8"},
        {"lora_alpha": None},
        {"rank_pattern": {"(": 4}},
    ],
)
def test_a_value_of_another_type_than_peft_writes_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match=f"{next(iter(change))}|ranks|alphas"):
        check_adapter_config(PLAIN | change, "adapter")


def test_a_pattern_that_backtracks_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvmerge.merging.expressions.SECONDS", 0.2)
    config = PLAIN | {"rank_pattern": {r"((\w|\.)+)+_": 4}}
    with pytest.raises(CheckpointError, match=r"rank_pattern .* takes more than 0\.2 s"):
        adapter_scales(config, {"model.layers.0.self_attn.q-proj"}, "adapter")
