"""The settings of everything that concerns models: what is merged, how it is prompted, what it runs on."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tvmerge.engines.prompting.settings import ChatConfig
from tvmerge.engines.settings import AnswerConfig
from tvmerge.merging.settings import MergeConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig(AnswerConfig, ChatConfig, MergeConfig):
    """The settings that decide whether models fit together, and into this machine's memory."""

    def __post_init__(self) -> None:
        for part in (MergeConfig, ChatConfig, AnswerConfig):
            part.__post_init__(self)

    @property
    def merge(self) -> MergeConfig:
        """The part that decides what is merged."""
        return MergeConfig(**{f.name: getattr(self, f.name) for f in fields(MergeConfig)})

    @property
    def chat(self) -> ChatConfig:
        """The part that decides how conversations are written and where answers end."""
        return ChatConfig(**{f.name: getattr(self, f.name) for f in fields(ChatConfig)})
