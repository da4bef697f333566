"""The settings of models: what is merged, how it is prompted and on what it runs."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tvmerge.engines.prompting.settings import ChatConfig
from tvmerge.engines.settings import AnswerConfig
from tvmerge.merging.settings import MergeConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig(AnswerConfig, ChatConfig, MergeConfig):
    """The settings of merging, prompting and engines."""

    def __post_init__(self) -> None:
        for part in (MergeConfig, ChatConfig, AnswerConfig):
            part.__post_init__(self)

    @property
    def merge(self) -> MergeConfig:
        """The settings of merging."""
        return MergeConfig(**{f.name: getattr(self, f.name) for f in fields(MergeConfig)})

    @property
    def chat(self) -> ChatConfig:
        """The settings of prompts and stop tokens."""
        return ChatConfig(**{f.name: getattr(self, f.name) for f in fields(ChatConfig)})
