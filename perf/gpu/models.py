"""The random models that the check of a GPU merges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from perf.gpu.figures import Size
from tvmerge.merging.live import new_model

ROLES = ("target", "base", "tuned")
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
CUDA: Any = torch.cuda


def write_models(folder: Path, place: torch.device, size: Size) -> int:
    """Write three random models, made on a device, and return the number of parameters of each."""
    import transformers
    from transformers.utils import logging

    quiet: Any = logging
    quiet.disable_progress_bar()
    kind: Any = transformers.MistralConfig
    changes = {**size.config, **_layers(size, place)}
    config = kind(**changes, tie_word_embeddings=False, max_position_embeddings=4096)
    config.architectures = ["MistralForCausalLM"]
    for seed, role in enumerate(ROLES):
        torch.manual_seed(seed)
        model: Any = new_model(config.to_dict(), dtype=torch.bfloat16, device=str(place))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.02)
        model.save_pretrained(folder / role)
        _write_tokenizer(folder / role)
        count: int = sum(parameter.numel() for parameter in model.parameters())
        del model
    return count


def _layers(size: Size, place: torch.device) -> dict[str, int]:
    """Return as many layers as leave room for four models on the device."""
    if place.type != "cuda":
        return {}
    others, layer = 4 * size.config["vocab_size"] * size.config["hidden_size"], 436_224_000
    room = (CUDA.mem_get_info(place)[0] - 5 * 10**9) // 4 - others
    return {"num_hidden_layers": max(1, min(size.config["num_hidden_layers"], room // layer))}


def _write_tokenizer(folder: Path) -> None:
    """Write a tokenizer of bytes with a chat template."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({byte: number for number, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>",
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
