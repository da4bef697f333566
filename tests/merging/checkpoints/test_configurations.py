"""Configurations of equal shapes: what cannot be added is refused, what people should know is told."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from tests.merging.families import config_of, saved_model
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.configurations import contradictions, setting_remarks, settings_of
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import open_merge, open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.records import Recipe

PLAIN = {"rope_type": "default", "rope_theta": 10000.0}


def _settings(tmp_path: Path, name: str, family: str, **changes: Any) -> dict[str, Any]:
    """What transformers reads from a `config.json`; `...` takes a key away."""
    config = config_of(family).to_dict() | changes
    folder = tmp_path / name
    folder.mkdir()
    text = json.dumps({key: value for key, value in config.items() if value is not ...})
    (folder / "config.json").write_text(text)
    read: Any = AutoConfig
    settings: dict[str, Any] = settings_of(read.from_pretrained(folder).get_text_config().to_dict())
    return settings


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        (
            "llama",
            {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16},
            "num_attention_heads is 4",
        ),
        ("llama", {"hidden_act": "gelu"}, "hidden_act is silu in target, gelu in tuned"),
        (
            "qwen2",
            {"num_attention_heads": 2, "num_key_value_heads": 1},
            "head_dim is 8 in target, 16 in tuned",
        ),
        ("gemma2", {"query_pre_attn_scalar": 8}, "query_pre_attn_scalar is 256 in target, 8 in tuned"),
        ("gemma2", {"attn_logit_softcapping": None}, "attn_logit_softcapping is 50 in target, none in tuned"),
        (
            "gemma3_text",
            {"layer_types": ["full_attention", "sliding_attention"]},
            r"layer_types\[0\] is sliding_a",
        ),
        (
            "gpt_neox",
            {"use_parallel_residual": False},
            "use_parallel_residual is True in target, False in tuned",
        ),
        (
            "gpt_neox",
            {"rope_parameters": ..., "rotary_pct": 0.5},
            "partial_rotary_factor is 0.25 in target, 0.5",
        ),
        ("gpt2", {"activation_function": "relu"}, "activation_function is gelu_new in target, relu in tuned"),
        (
            "gpt2",
            {"scale_attn_by_inverse_layer_idx": True},
            "scale_attn_by_inverse_layer_idx is False in target",
        ),
        ("cohere", {"logit_scale": 0.25}, "logit_scale is 0.0625 in target, 0.25 in tuned"),
        ("mixtral", {"num_experts_per_tok": 1}, "num_experts_per_tok is 2 in target, 1 in tuned"),
        ("qwen3_moe", {"norm_topk_prob": True}, "norm_topk_prob is False in target, True in tuned"),
    ],
)
def test_what_gives_numbers_another_meaning_is_refused(
    family: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    models = {
        "target": _settings(tmp_path, "target", family),
        "tuned": _settings(tmp_path, "tuned", family, **changes),
    }
    assert re.search(message, "; ".join(contradictions(models)))


@pytest.mark.parametrize(
    ("family", "changes", "lines"),
    [
        (
            "mistral",
            {"rope_parameters": ..., "rope_theta": 1e6, "sliding_window": None},
            [
                "RoPE differs: rope_parameters.rope_theta is 10000 in target and base, 1000000 in tuned; ",
                "attention window differs: sliding_window is 4096 in target and base, none in tuned; ",
            ],
        ),
        (
            "qwen2",
            {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0}},
            [
                "RoPE differs: rope_parameters.rope_type is default in target and base, yarn in tuned; "
                "rope_parameters.factor is none in target and base, 4 in tuned; "
            ],
        ),
        (
            "llama",
            {"rms_norm_eps": 1e-3},
            ["norm epsilon differs: rms_norm_eps is 1e-06 in target and base, 0.001"],
        ),
        ("gpt2", {"layer_norm_epsilon": 1e-3}, ["norm epsilon differs: layer_norm_epsilon is 1e-05 in"]),
        ("gemma3_text", {"sliding_window": 16}, ["attention window differs: sliding_window is 4096 in"]),
    ],
)
def test_what_fits_worse_is_told_in_a_line_each(
    family: str, changes: dict[str, Any], lines: list[str], tmp_path: Path
) -> None:
    settings = _settings(tmp_path, "target", family)
    models = {"target": settings, "base": settings, "tuned": _settings(tmp_path, "tuned", family, **changes)}
    assert contradictions(models) == []
    found = setting_remarks(models, "target")
    assert len(found) == len(lines)
    for line, begin in zip(found, lines, strict=True):
        assert line.startswith(begin)
        assert line.endswith("; the merged model is like target")


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {"rope_parameters": ..., "rope_theta": 10000, "rope_scaling": None}),
        ("llama", {"rope_parameters": {**PLAIN, "partial_rotary_factor": 1.0}}),
        (
            "llama",
            {"dtype": ..., "torch_dtype": "float16", "transformers_version": "4.31.0", "use_cache": False},
        ),
        ("llama", {"max_position_embeddings": 4096, "attention_dropout": 0.1, "initializer_range": 0.5}),
        ("llama", {"eos_token_id": [2, 5], "pad_token_id": None, "vocab_size": 72, "pretraining_tp": 2}),
        (
            "llama",
            {"unsloth_version": "2025.1", "auto_map": {}, "_name_or_path": "x", "architectures": ["Own"]},
        ),
        (
            "qwen2",
            {"use_sliding_window": False, "max_window_layers": 1, "sliding_window": 32, "layer_types": ...},
        ),
        ("gpt_neox", {"rope_parameters": ..., "rotary_pct": 0.25, "rotary_emb_base": 10000}),
        (
            "gemma3_text",
            {"rope_parameters": ..., "rope_theta": 1e6, "rope_local_base_freq": 1e4, "layer_types": ...},
        ),
        ("mixtral", {"router_aux_loss_coef": 0.02, "output_router_logits": True, "router_jitter_noise": 0.1}),
    ],
)
def test_other_spellings_and_bookkeeping_are_no_difference(
    family: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    models = {
        "target": _settings(tmp_path, "target", family),
        "tuned": _settings(tmp_path, "tuned", family, **changes),
    }
    assert contradictions(models) == []
    assert setting_remarks(models, "target") == []


def test_a_vision_wrappers_language_model_is_compared_with_one_alone(tmp_path: Path) -> None:
    alone, wrapped = (_settings(tmp_path, family, family) for family in ("gemma3_text", "gemma3"))
    assert contradictions({"alone": alone, "wrapped": wrapped}) == []
    assert setting_remarks({"alone": alone, "wrapped": wrapped}, "alone") == []


def test_a_setting_that_nobody_knows_is_told_and_one_that_is_absent_is_not() -> None:
    models = {"one": {"quantum": 1, "own": 5}, "other": {"quantum": 2}}
    assert contradictions(models) == []
    assert setting_remarks(models, "one") == [
        "settings differ: quantum is 1 in one, 2 in other; the merged model is like one"
    ]


def test_not_a_number_equals_itself_and_infinity_too() -> None:
    one = settings_of({"time_step_limit": [0.0, float("inf")], "odd": float("nan"), "flag": None})
    other = settings_of({"time_step_limit": (0, float("inf")), "odd": float("nan"), "flag": False})
    assert contradictions({"one": one, "other": other}) == []
    assert setting_remarks({"one": one, "other": other}, "one") == []


def _three(tmp_path: Path, llama_folders: tuple[Path, ...], **changes: Any) -> tuple[str, str, str]:
    """The folders of a merge; of the tuned model's `config.json` some keys are changed."""
    folders = [shutil.copytree(folder, tmp_path / folder.name) for folder in llama_folders]
    path = folders[2] / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    target, base, tuned = map(str, folders)
    return target, base, tuned


def test_only_models_that_do_not_fit_are_blamed(tmp_path: Path, llama_folders: tuple[Path, ...]) -> None:
    folders = _three(tmp_path, llama_folders, hidden_act="gelu")
    with pytest.raises(
        CheckpointError, match=r"^tuned does not fit target: hidden_act is silu in target, gelu in"
    ):
        open_merge(*folders, "layer")


def test_a_merge_tells_what_differs_and_its_card_too(tmp_path: Path, llama_folders: tuple[Path, ...]) -> None:
    merge = open_merge(*_three(tmp_path, llama_folders, rms_norm_eps=0.5), "all")
    told = "norm epsilon differs: rms_norm_eps is 1e-06 in target and base, 0.5 in tuned"
    assert [remark.line() for remark in merge.remarks()] == [f"{told}; the merged model is like target"]
    write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 0.5)))
    assert told in (tmp_path / "out" / "README.md").read_text()


def test_a_mixtures_experts_must_compute_alike(tmp_path: Path) -> None:
    first, second = (saved_model(tmp_path / name, "llama", seed=seed) for seed, name in enumerate("ab"))
    request = MergeRequest(
        targets=(str(first), str(second)), vectors=(TaskVector(tuned=str(first), base=str(first)),)
    )
    path = second / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert (
        open_request(request)
        .remarks()[0]
        .line()
        .startswith("norm epsilon differs: rms_norm_eps is 1e-06 in a, 0.5 in b")
    )
    path.write_text(json.dumps(config | {"hidden_act": "relu"}))
    with pytest.raises(CheckpointError, match="b does not fit a: hidden_act is silu in a, relu in b"):
        open_request(request)
