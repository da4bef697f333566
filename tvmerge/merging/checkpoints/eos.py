"""Where a model's files say that a text ends (`eos`): read from them, and written into a merged model's."""

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
"""What a `generation_config.json` says besides, as transformers takes it from a `config.json` alone."""


@dataclass(frozen=True, slots=True)
class StatedEos:
    """The ids of the tokens that end a text, as a model's files state them.

    Attributes:
        generation: Of `generation_config.json`; None where there is no such file.
        config: Of `config.json`, which transformers obeys where there is no other.
    """

    generation: tuple[int, ...] | None
    config: tuple[int, ...]


def read_eos(folder: Path) -> StatedEos:
    """What the files of the model in `folder` state; a LoRA adapter's often state nothing.

    Raises:
        CheckpointError: A file is no JSON object, or states something that is no token.
    """
    generation, config = folder / GENERATION_CONFIG, folder / CONFIG
    return StatedEos(
        generation=_ids(generation, read_json(generation)) if generation.is_file() else None,
        config=_ids(config, _speaking(read_json(config))) if config.is_file() else (),
    )


def eos_texts(folder: Path, ids: Sequence[int], eos_token: str | None) -> dict[str, str]:
    """The files of the model in `folder` that must change for texts to end elsewhere, by name.

    Everything else in them stays as it is. Without a `generation_config.json` one is made that says what
    transformers takes from `config.json` in its place.

    Args:
        folder: The model that gives a merged one its files.
        ids: The tokens that end a text.
        eos_token: The one that the tokenizer is to call so; None leaves it as it is.

    Raises:
        CheckpointError: A file is no JSON object.
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
        # Not derived from config.json any more, from which transformers could derive it again.
        return {key: value for key, value in read_json(path).items() if key != "_from_model_config"}
    config = _speaking(read_json(folder / CONFIG))
    return {role: config[role] for role in _ROLES if config.get(role) is not None}


def _speaking(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that speaks: a model that also sees keeps a part for its text."""
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
