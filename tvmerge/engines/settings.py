"""The settings of generation and engines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tvmerge._util.as_float import as_float
from tvmerge._util.shown import shown
from tvmerge.engines.kinds import ENGINES
from tvmerge.errors import ConfigError
from tvmerge.option import FROM_1, option

POOLS = ("local", "ray")


_TOKENS = (1, 10**6)
"""Bounds of the tokens of an answer; no context is longer."""


@dataclass(frozen=True, kw_only=True)
class AnswerConfig:
    """The settings of generation and engines."""

    max_new_tokens: int = option(
        int, "Maximum number of tokens per answer.", 512, decides="scores", within=_TOKENS
    )
    max_thinking_tokens: int | None = option(
        int,
        "Maximum number of tokens of a thought, after which the model has to answer; "
        "default: --max-new-tokens counts both.",
        None,
        decides="scores",
        within=_TOKENS,
    )
    truncate: bool = option(
        bool, "Drop the start of conversations that do not fit into the context.", False, decides="scores"
    )
    batch_tokens: int = option(
        int, "Token budget of a generation batch.", 32768, decides="nothing", within=FROM_1
    )
    temperature: Mapping[str, Any] | None = option(
        dict,
        "Sampling temperature per category, which overrides the benchmark's; `default` for all others.",
        None,
        decides="scores",
    )
    engine: str = option(
        str,
        "What the models run on; auto: vLLM on GPUs where a tested release is installed, else transformers.",
        "auto",
        choices=lambda: ("auto", *ENGINES.names()),
        decides="content",
    )
    tensor_parallel: int = option(
        int, "GPUs that share each model, with vLLM.", 1, decides="nothing", within=(1, 1024)
    )
    vllm: Mapping[str, Any] | None = option(
        dict,
        "Further arguments for vLLM's engine: max_model_len, gpu_memory_utilization, ...",
        None,
        decides="content",
    )
    vllm_adapters: bool = option(
        bool,
        "Give vLLM each candidate as a LoRA adapter, so that all in flight answer in one batch; for tuned "
        "models that are adapters.",
        False,
        decides="content",
    )
    engine_options: Mapping[str, Any] | None = option(
        dict,
        "Options of an engine that an installed package brings; see that package.",
        None,
        decides="content",
    )
    engines: int = option(
        int,
        "Number of models that answer at once; if more than one, each in its own process.",
        1,
        decides="nothing",
        within=(1, 1024),
    )
    devices: tuple[str, ...] = option(
        str,
        "Devices of the engines, such as cuda:0,cuda:1; default: --device for each.",
        (),
        many=True,
        decides="nothing",
    )
    device: str = option(str, "auto, cpu, cuda or cuda:N.", "auto", decides="nothing")
    cudnn_attention: bool = option(
        bool,
        "Allow cuDNN's attention on GPUs, with transformers; it takes seconds for each new shape of a batch.",
        False,
        decides="nothing",
    )
    pool: str = option(
        str, "Where engines run: here or on a Ray cluster.", "local", choices=POOLS, decides="nothing"
    )
    ray_address: str | None = option(
        str, "Address of the Ray cluster; default: one of this machine.", None, decides="nothing"
    )

    def __post_init__(self) -> None:
        for category, value in (self.temperature or {}).items():
            if type(value) not in {int, float} or not 0 <= as_float(value) < math.inf:
                raise ConfigError(
                    f"temperature of {category} must be a number of at least 0, got {shown(value)}"
                )
