"""The settings that reproduce a merge, as a TOML file for `tvmerge merge --config`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tvmerge.merging.checkpoints.layout import CHAT_TEMPLATE
from tvmerge.merging.request import MergeRequest, TaskVector

SETTINGS = "tvmerge.toml"
"""The name of the file in a written model's folder."""


def settings_toml(request: MergeRequest, beside: Mapping[str, Any]) -> str:
    """Return the settings of a merge except its weights, without unset ones.

    Args:
        request: The merge.
        beside: Settings of the model's other files.
    """
    settings: dict[str, Any] = {
        **beside,
        "target_model": request.targets,
        "vocab": request.vocabulary,
        "arithmetic": request.arithmetic,
        "dtype": request.dtype or "auto",
        "merge_seed": request.seed,
        "allow_pickle": request.allow_pickle,
        "trust_remote_code": request.trust_remote_code,
    }
    tables = [("task_vectors", _vector(vector)) for vector in request.vectors]
    if len(request.targets) > 1:
        mixture = request.mixture
        settings |= {"experts_per_token": mixture.experts_per_token, "gate": mixture.gate}
        settings |= {"moe_base": mixture.base}
        tables += [("experts", asdict(prompts)) for prompts in mixture.prompts]
    blocks = [_lines(settings), *(f"\n[[{name}]]\n{_lines(table)}" for name, table in tables)]
    return "".join(blocks)


def command(*, chat_template: bool) -> str:
    """Return the command that reproduces the merge from the files in the model's folder.

    Args:
        chat_template: Whether a chat template other than the target's was given.
    """
    template = f" --chat-template {CHAT_TEMPLATE}" if chat_template else ""
    return f"tvmerge merge --config {SETTINGS} --weights tvmerge.json{template} --output-dir model"


def _vector(vector: TaskVector) -> dict[str, Any]:
    rules = vector.rules
    return {
        "name": vector.name,
        "tuned": vector.tuned,
        "base": vector.base,
        "weight_min": vector.weight_min,
        "weight_max": vector.weight_max,
        "method": vector.method,
        "density": vector.density,
        "optimize_mode": rules.mode,
        "layer_granularity": rules.layer_granularity,
        "smooth": rules.knots,
        "patterns": [{"name": name, "pattern": pattern} for name, pattern in rules.patterns],
        "freeze": rules.freeze,
    }


def _lines(table: Mapping[str, Any]) -> str:
    told = {key: value for key, value in table.items() if value not in (None, "", (), [])}
    return "".join(f"{key} = {_value(value)}\n" for key, value in told.items())


def _value(value: Any) -> str:
    """Return a value in TOML, whose strings and numbers are written as in JSON."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_value(own)}' for key, own in value.items())}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    # TOML has no surrogate pairs, and also requires DEL to be escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)
