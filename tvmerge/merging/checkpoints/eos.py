"""Reads the `eos` tokens from a model's files, and writes them into those of a merged model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.layout import CONFIG, read_json

GENERATION_CONFIG = "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"

_ROLES = ("bos_token_id", "pad_token_id")
"""Keys that transformers reads from `config.json` if there is no `generation_config.json`."""


@dataclass(frozen=True, slots=True)
class StatedEos:
    """The ids of the tokens that end a text, from a model's files.

    Attributes:
        generation: Those in `generation_config.json`; None if there is no such file.
        config: Those in `config.json`, which transformers uses if there is no other file.
    """

    generation: tuple[int, ...] | None
    config: tuple[int, ...]


def read_eos(folder: Path) -> StatedEos:
    """Read the tokens from the files of the model in `folder`; a LoRA adapter often has none.

    Raises:
        CheckpointError: A file is not a JSON object, or names something that is not a token.
    """
    generation, config = folder / GENERATION_CONFIG, folder / CONFIG
    return StatedEos(
        generation=_ids(generation, read_json(generation)) if generation.is_file() else None,
        config=_ids(config, _speaking(read_json(config))) if config.is_file() else (),
    )


def eos_texts(folder: Path, ids: Sequence[int], eos_token: str | None) -> dict[str, str]:
    """Return the files of the model in `folder` that change with its stop tokens, by name.

    Everything else in them is unchanged. If there is no `generation_config.json`, one is created with the
    values that transformers would read from `config.json`.

    Args:
        folder: The model whose files are copied.
        ids: The tokens that end a text.
        eos_token: The tokenizer's eos token; None to keep it.

    Raises:
        CheckpointError: A file is not a JSON object.
    """
    texts: dict[str, str] = {}
    stated = read_eos(folder)
    if ids and set(stated.generation if stated.generation is not None else stated.config) != set(ids):
        texts[GENERATION_CONFIG] = _dumped(_generation(folder) | {"eos_token_id": _short(ids)})
    if eos_token is not None:
        for name in (TOKENIZER_CONFIG, SPECIAL_TOKENS):
            path = folder / name
            if path.is_file() and (name == TOKENIZER_CONFIG or "eos_token" in read_json(path)):
                texts[name] = _dumped(_with_eos(read_json(path), eos_token))
    return texts


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / GENERATION_CONFIG
    if path.is_file():
        # No longer derived from config.json, so transformers must not derive it again.
        return {key: value for key, value in read_json(path).items() if key != "_from_model_config"}
    config = _speaking(read_json(folder / CONFIG))
    return {role: config[role] for role in _ROLES if config.get(role) is not None}


def _speaking(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration of the language model, which in a multimodal model is a part."""
    text = config.get("text_config")
    if not isinstance(text, dict):
        return config
    return text | {key: value for key, value in config.items() if value is not None}


def _ids(path: Path, data: Mapping[str, Any]) -> tuple[int, ...]:
    found = data.get("eos_token_id")
    ids = [] if found is None else found if isinstance(found, list) else [found]
    if not all(type(one) is int for one in ids):
        raise CheckpointError(
            f"{path}: eos_token_id must be a token's number or a list of them, got {json.dumps(found)}; "
            "correct it in that file"
        )
    return tuple(one for one in ids if one >= 0)


def _with_eos(data: Mapping[str, Any], text: str) -> dict[str, Any]:
    before = data.get("eos_token")
    return {**data, "eos_token": {**before, "content": text} if isinstance(before, dict) else text}


def _short(ids: Sequence[int]) -> int | list[int]:
    return ids[0] if len(ids) == 1 else list(ids)


def _dumped(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
