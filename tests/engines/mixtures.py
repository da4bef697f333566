"""Mixtures of experts made from the demo's models: a Mixtral, and a Qwen3-MoE of the same weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import Qwen3Config, Qwen3ForCausalLM

from tvmerge.config import MergeConfig
from tvmerge.engines.open import open_engine
from tvmerge.protocols import Engine
from tvmerge.testing.models import ROLES, stop_ids

FAMILIES = ("mixtral", "qwen3_moe")


def mixture_engine(settings: MergeConfig, engine: str = "transformers", **options: Any) -> Engine:
    """An engine on a mixture, opened as a run opens it; `options` are vLLM's."""
    stops = stop_ids(Path(settings.target_model[0]))
    return open_engine(asdict(settings), engine=engine, stop_tokens=stops, options=options)


_COMPANIONS = ("chat_template.jinja", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
_SIZE_OF_QUERIES = 1.5
"""About the root mean square of the demo's queries and keys, which a Qwen3 brings to a size it has learnt."""


def mixture_settings(demo_models: Path, root: Path, family: str) -> MergeConfig:
    """A mixture of two experts, of which each token sees both, one weight per layer of each expert."""
    folder = demo_models if family == "mixtral" else _qwen3(demo_models, root)
    target, base, tuned = (str(folder / role) for role in ROLES)
    return MergeConfig(target_model=(target, tuned), base_model=base, tuned_model=tuned, gate="uniform")


def _qwen3(demo_models: Path, root: Path) -> Path:
    """The demo's models as dense models of the family Qwen3."""
    for role in ROLES:
        if (root / role).is_dir():
            continue
        state = load_file(demo_models / role / "model.safetensors")
        config = _config(demo_models / role)
        model: Any = Qwen3ForCausalLM(config)
        model.to(torch.bfloat16)
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected
        for name in missing:
            assert name.endswith(("q_norm.weight", "k_norm.weight"))
            torch.nn.init.constant_(model.get_parameter(name), _SIZE_OF_QUERIES)
        model.save_pretrained(root / role)
        for name in _COMPANIONS:
            shutil.copy(demo_models / role / name, root / role)
    return root


def _config(folder: Path) -> Qwen3Config:
    mistral: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    left_out = ("architectures", "model_type", "sliding_window", "transformers_version", "dtype")
    return Qwen3Config(**{key: value for key, value in mistral.items() if key not in left_out})
