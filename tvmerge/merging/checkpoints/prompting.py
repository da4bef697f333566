"""Compares the chat templates and special tokens in models' files.

A merged model is prompted with its target's template, so what another model learned with its own template may
not take effect. Stop tokens are not compared here, since those of all models are used
(`tvmerge.engines.prompting.open`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmerge._util.regular import read_utf8
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints import layout
from tvmerge.merging.checkpoints.configurations import grouped
from tvmerge.pretrained.tokens import ROLES

_TOKENIZER_CONFIG = "tokenizer_config.json"
_OLD_TEMPLATE = "chat_template.json"
_COMPARED = tuple(role for role in ROLES if role != "eos_token")


def prompt_remarks(models: Mapping[Path, str], donor: Path) -> list[str]:
    """Return a line for each difference in templates and special tokens.

    Missing ones are not a difference: base models have no template, and many models no padding token.

    Args:
        models: Names of the models and adapters, by folder.
        donor: The folder that gives the merged model its tokenizer and template.
    """
    kept = f"the merged model is like {models[donor]}"
    lines = []
    own = chat_template(donor)
    others = [name for folder, name in models.items() if chat_template(folder) not in {None, own}]
    if own is not None and others:
        lines.append(
            f"chat template differs: {' and '.join(others)} from {models[donor]}, whose is used unless "
            "--chat-template gives another"
        )
    tokens = {name: special_tokens(folder) for folder, name in models.items()}
    differing = [
        f"{role} is {grouped(found)}"
        for role in _COMPARED
        if len(set((found := {name: own[role] for name, own in tokens.items() if role in own}).values())) > 1
    ]
    if differing:
        lines.append(f"special tokens differ: {'; '.join(differing)}; {kept}")
    return lines


def chat_template(folder: Path) -> str | None:
    """Return the chat template in a model's folder, without outer whitespace; None if there is none.

    Raises:
        CheckpointError: A file that may hold it cannot be read.
    """
    path = folder / layout.CHAT_TEMPLATE
    if path.is_file():
        try:
            return read_utf8(path).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error
    for name in (_OLD_TEMPLATE, _TOKENIZER_CONFIG):
        if (folder / name).is_file() and (text := _text(layout.read_json(folder / name))) is not None:
            return text
    return None


def special_tokens(folder: Path) -> dict[str, str]:
    """Return the special tokens' texts by role, from the files of a tokenizer.

    Raises:
        CheckpointError: A file cannot be read.
    """
    roles: dict[str, str] = {}
    for file in ("special_tokens_map.json", _TOKENIZER_CONFIG):
        if (folder / file).is_file():
            data = layout.read_json(folder / file)
            roles |= {role: text for role in ROLES if (text := _content(data.get(role))) is not None}
    return roles


def _content(token: Any) -> str | None:
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _text(data: Mapping[str, Any]) -> str | None:
    found = data.get("chat_template")
    if isinstance(found, list):  # several, by name
        found = next((row.get("template") for row in found if row.get("name") == "default"), None)
    return found.strip() if isinstance(found, str) and found.strip() else None
