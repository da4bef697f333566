"""The settings of prompts and stop tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.option import option

ONLY = "only"
"""A value among the stop tokens: those given replace those found."""


@dataclass(frozen=True, kw_only=True)
class ChatConfig:
    """The settings of prompts and stop tokens, of runs and of `tvmerge merge`."""

    chat_template: str | None = option(
        str, "Chat template (Jinja file) instead of the target's own.", None, decides="content"
    )
    chat_template_kwargs: Mapping[str, Any] | None = option(
        dict,
        "Variables for the chat template: enable_thinking, reasoning_effort, ...",
        None,
        decides="content",
    )
    stop_token: tuple[str, ...] = option(
        str,
        "Token that ends an answer, in addition to those in the models' files and the chat template; with "
        "`only` among them, instead of those.",
        (),
        many=True,
        decides="content",
    )

    def __post_init__(self) -> None:
        for name, value in (self.chat_template_kwargs or {}).items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"chat_template_kwargs: {name} must be text, a number, true, false, a list or a table, "
                    f"got {value!r}"
                ) from error
        if ONLY in self.stop_token and set(self.stop_token) == {ONLY}:
            raise ConfigError(f"stop_token {ONLY} needs at least one other token")
