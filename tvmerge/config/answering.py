"""The settings that decide how answers are generated, and on what."""

from __future__ import annotations

from dataclasses import dataclass

from tvmerge.config.option import option
from tvmerge.errors import ConfigError

ENGINES = ("auto", "transformers", "vllm")
POOLS = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class AnswerConfig:
    """The settings of engines and of what they generate."""

    max_new_tokens: int = option(int, "The most tokens an answer may have.", 512)
    chat_template: str | None = option(str, "Chat template (Jinja file) instead of the target's own.", None)
    truncate: bool = option(bool, "Cut conversations that do not fit the context, from their start.", False)
    batch_tokens: int = option(int, "Token budget of a generation batch.", 16384)
    engine: str = option(str, "What the models run on; auto: transformers.", "auto", choices=ENGINES)
    engines: int = option(int, "Models answering at once; more than one run in processes of their own.", 1)
    devices: tuple[str, ...] = option(
        str, "Devices of the engines, such as cuda:0,cuda:1; default: --device for each.", (), many=True
    )
    device: str = option(str, "auto, cpu, cuda or cuda:N.", "auto")
    pool: str = option(str, "Where engines run: here or on a Ray cluster.", "local", choices=POOLS)
    ray_address: str | None = option(str, "Address of the Ray cluster; default: one of this machine.", None)

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "batch_tokens", "engines"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
