"""Which files make up a model folder, besides and including its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tvmerge.errors import CheckpointError

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"
CARD = "README.md"
CHAT_TEMPLATE = "chat_template.jinja"

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
    CHAT_TEMPLATE,
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "*.py",
)
"""What a model needs besides its weights: configuration, tokenizer, chat templates, modelling code."""


HUB_PATTERNS = (*METADATA_PATTERNS, ADAPTER_CONFIG, CARD)
"""What is downloaded before the weights: also what tells an adapter, and the card that tells the licence."""


def companions(folder: Path) -> list[Path]:
    """The files of `folder` that `METADATA_PATTERNS` names, the weights' index excepted, sorted."""
    found = {path for pattern in METADATA_PATTERNS for path in folder.glob(pattern) if path.is_file()}
    return sorted(found - {folder / SAFETENSORS_INDEX})


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model folder.

    Raises:
        CheckpointError: There is none, or the file cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path.parent} has no {path.name}; is it a model folder as transformers writes them?"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return data
