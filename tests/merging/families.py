"""Tiny models of real architectures, with random weights, written by transformers itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from tvmerge.pretrained.architectures import factory_of

_SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_IMAGES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_LINEAR_ATTENTION: dict[str, Any] = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
_GPT2: dict[str, Any] = {
    "vocab_size": 64,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


_HEADS: dict[str, Any] = {"head_dim": 8}
_GEMMA4: dict[str, Any] = {
    "head_dim": 8,
    "layer_types": ["sliding_attention", "full_attention"],
    "vocab_size_per_layer_input": 64,
    "hidden_size_per_layer_input": 4,
}
_HALF_ROPE: dict[str, Any] = {"partial_rotary_factor": 0.5}
_PLAIN_ROPE = {"rope_type": "default", "rope_theta": 10000.0}


_PATCHES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "depth": 2,
    "num_heads": 2,
    "patch_size": 14,
    "out_hidden_size": 32,
}
_EXPERTS: dict[str, Any] = {
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 16,
    "num_experts": 4,
    "num_experts_per_tok": 2,
}
_THREE_AXES: dict[str, Any] = {"rope_parameters": {**_PLAIN_ROPE, "mrope_section": [2, 1, 1]}}
_PLACEHOLDERS: dict[str, Any] = {
    "image_token_id": 60,
    "video_token_id": 61,
    "vision_start_token_id": 62,
    "vision_end_token_id": 63,
}


def _wrappers() -> dict[str, Callable[[], PreTrainedConfig]]:
    """Models that also see: a decoder of some kind and a vision tower."""
    import transformers as t

    hybrid: dict[str, Any] = {**_SIZES, **_HEADS, **_LINEAR_ATTENTION}
    positions: dict[str, Any] = {"num_position_embeddings": 16}
    return {
        "qwen3_5": lambda: t.Qwen3_5Config(
            text_config=hybrid, vision_config={**_PATCHES, **positions}, **_PLACEHOLDERS
        ),
        "qwen3_5_moe": lambda: t.Qwen3_5MoeConfig(
            text_config={**hybrid, **_EXPERTS}, vision_config={**_PATCHES, **positions}, **_PLACEHOLDERS
        ),
        "qwen3_vl": lambda: t.Qwen3VLConfig(
            text_config={**_SIZES, **_HEADS, **_THREE_AXES},
            vision_config={**_PATCHES, **positions, "deepstack_visual_indexes": [0]},
            **_PLACEHOLDERS,
        ),
        "qwen3_vl_moe": lambda: t.Qwen3VLMoeConfig(
            text_config={**_SIZES, **_HEADS, **_THREE_AXES, **_EXPERTS},
            vision_config={**_PATCHES, **positions, "deepstack_visual_indexes": [0]},
            **_PLACEHOLDERS,
        ),
        "qwen2_5_vl": lambda: t.Qwen2_5_VLConfig(
            text_config={**_SIZES, **_THREE_AXES}, vision_config=_PATCHES, **_PLACEHOLDERS
        ),
        "mistral3": lambda: t.Mistral3Config(
            text_config={"model_type": "mistral", **_SIZES, **_HEADS},
            vision_config={"model_type": "pixtral", **_IMAGES, **_HEADS},
            image_token_index=60,
            tie_word_embeddings=False,
        ),
        "gemma4": lambda: t.Gemma4Config(
            text_config={**_SIZES, **_GEMMA4, "global_head_dim": 16},
            vision_config={**_IMAGES, **_HEADS, "num_key_value_heads": 2, "pooling_kernel_size": 1},
            audio_config=None,
            image_token_id=60,
        ),
        "llama4": lambda: t.Llama4Config(
            text_config={
                **_SIZES,
                **_HEADS,
                "intermediate_size_mlp": 48,
                "num_local_experts": 2,
                "moe_layers": [1],
                "layer_types": ["chunked_attention", "full_attention"],
            },
            vision_config={
                **_IMAGES,
                "intermediate_size": 64,
                "vision_output_dim": 24,
                "projector_input_dim": 24,
                "projector_output_dim": 24,
            },
        ),
        "llava": lambda: t.LlavaConfig(
            text_config={"model_type": "llama", **_SIZES},
            vision_config={"model_type": "clip_vision_model", **_IMAGES, "projection_dim": 16},
            image_token_index=60,
        ),
    }


def config_of(family: str, **changes: Any) -> PreTrainedConfig:
    """The configuration of a tiny model of `family`."""
    import transformers

    makers: dict[str, Callable[[], PreTrainedConfig]] = {
        "mistral": lambda: transformers.MistralConfig(**_SIZES),
        "llama": lambda: transformers.LlamaConfig(**_SIZES),
        "qwen2": lambda: transformers.Qwen2Config(**_SIZES),
        "qwen3": lambda: transformers.Qwen3Config(**_SIZES, head_dim=8),
        "gemma2": lambda: transformers.Gemma2Config(**_SIZES, head_dim=8),
        "gemma3_text": lambda: transformers.Gemma3TextConfig(**_SIZES, head_dim=8),
        "gpt_neox": lambda: transformers.GPTNeoXConfig(
            **{key: value for key, value in _SIZES.items() if key != "num_key_value_heads"}
        ),
        "gpt2": lambda: transformers.GPT2Config(**_GPT2),
        "phi3": lambda: transformers.Phi3Config(**_SIZES),
        "cohere": lambda: transformers.CohereConfig(**_SIZES),
        "mixtral": lambda: transformers.MixtralConfig(**_SIZES, num_local_experts=3),
        "gemma3": lambda: transformers.Gemma3Config(
            text_config={**_SIZES, "head_dim": 8}, vision_config=_IMAGES, mm_tokens_per_image=4
        ),
        "qwen3_moe": lambda: transformers.Qwen3MoeConfig(
            **_SIZES, **_HEADS, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2
        ),
        "phi4": lambda: transformers.Phi3Config(**_SIZES, **_HALF_ROPE),
        "qwen3_5_text": lambda: transformers.Qwen3_5TextConfig(**_SIZES, head_dim=8, **_LINEAR_ATTENTION),
        "gemma4_text": lambda: transformers.Gemma4TextConfig(**_SIZES, **_GEMMA4),
        "opt": lambda: transformers.OPTConfig(
            vocab_size=64,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
            word_embed_proj_dim=16,
        ),
        **_wrappers(),
        "gpt_oss": lambda: transformers.GptOssConfig(
            **_SIZES, head_dim=8, num_local_experts=4, num_experts_per_tok=2, rope_parameters=_PLAIN_ROPE
        ),
    }
    config = makers[family]()
    for key, value in changes.items():
        setattr(config, key, value)
    return config


FAMILIES = (
    "mistral",
    "llama",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "gpt_neox",
    "gpt2",
    "phi3",
    "cohere",
    "mixtral",
    "gemma3",
    "qwen3_moe",
    "phi4",
    "qwen3_5_text",
    "gemma4_text",
    "gpt_oss",
    "opt",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_vl",
    "qwen3_vl_moe",
    "qwen2_5_vl",
    "mistral3",
    "gemma4",
    "llama4",
    "llava",
)
"""Every family that is tested; `gemma3` and those behind `opt` also see, `phi4` is Phi-4 as published."""


def random_model(
    family: str, *, seed: int = 0, dtype: torch.dtype = torch.bfloat16, **changes: Any
) -> PreTrainedModel:
    """A tiny model of `family` whose every parameter is random, norms and biases included."""
    config = config_of(family, **changes)
    model: Any = factory_of(config).from_config(config, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    model.eval()
    assert isinstance(model, PreTrainedModel)
    return model


def saved_model(folder: Path, family: str, **options: Any) -> Path:
    """Write a `random_model` to `folder`, and say where it is; equal ones are built once."""
    key = repr((family, sorted(options.items())))
    if key not in _SAVED:
        _SAVED[key] = _files_of(family, **options)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _SAVED[key].items():
        (folder / name).write_bytes(content)
    return folder


_SAVED: dict[str, dict[str, bytes]] = {}


def _files_of(family: str, *, save: Mapping[str, Any] | None = None, **options: Any) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        random_model(family, **options).save_pretrained(folder, **(save or {}))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
