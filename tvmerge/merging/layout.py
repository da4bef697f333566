"""Which files make up a model folder, besides and including its weights."""

from __future__ import annotations

from pathlib import Path

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"

METADATA_PATTERNS = (
    CONFIG,
    "generation_config.json",
    SAFETENSORS_INDEX,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "*.py",
)
"""What a model needs besides its weights: configuration, tokenizer, chat templates, modelling code."""


def companions(folder: Path) -> list[Path]:
    """The files of `folder` that `METADATA_PATTERNS` names, the weights' index excepted, sorted."""
    found = {path for pattern in METADATA_PATTERNS for path in folder.glob(pattern) if path.is_file()}
    return sorted(found - {folder / SAFETENSORS_INDEX})
