"""The arguments of vLLM that a run may set, and which of them decide an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvmerge.errors import ConfigError

SETTLED: Mapping[str, str] = {
    "model": "--target-model",
    "tokenizer": "--target-model",
    "dtype": "--dtype",
    "trust_remote_code": "--trust-remote-code",
    "tensor_parallel_size": "--tensor-parallel",
    "worker_extension_cls": "",
    "enable_prefix_caching": "",
    "enable_lora": "--vllm-adapters",
    "max_loras": "--vllm-adapters and --trials-in-flight",
    "max_lora_rank": "--vllm-adapters",
    "lora_target_modules": "--vllm-adapters",
}
"""Arguments that tvmerge sets, and the flag that decides each; empty if there is none."""

_QUANTISED = ("quantization_config", "compression_config")
"""The keys of a configuration in which vLLM reads how weights are quantised."""

HARMLESS = frozenset(
    (
        *("gpu_memory_utilization", "kv_cache_memory_bytes", "swap_space", "cpu_offload_gb", "block_size"),
        *("max_num_seqs", "max_num_batched_tokens", "enable_chunked_prefill", "async_scheduling"),
        *("enforce_eager", "compilation_config", "disable_custom_all_reduce", "disable_log_stats"),
        *("distributed_executor_backend", "max_parallel_loading_workers", "seed"),
    )
)
"""Arguments that decide speed and memory, but never an answer's text."""


def check_options(options: Mapping[str, Any]) -> None:
    """Check that a `[vllm]` table has no argument that tvmerge sets.

    Raises:
        ConfigError: It has one; the message names the flag to use instead.
    """
    for name in options:
        if name in SETTLED:
            instead = f"give {SETTLED[name]} instead" if SETTLED[name] else "leave it out"
            raise ConfigError(f"vllm: '{name}' is set by tvmerge; {instead}")


def decisive(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that may change an answer, such as quantization or a shorter context."""
    return {name: value for name, value in sorted(options.items()) if name not in HARMLESS}


def float_options(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that make vLLM ignore quantisation settings in `config.json`.

    The weights were checked to be floats, but a fine-tuned model may still have the settings of the quantised
    model it was trained from. A vision-language model may have them in its text configuration.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    given = options.get("hf_overrides", {})
    overrides = {**_unmarked(config), **given}
    if text := _unmarked(config.get("text_config") or {}):
        overrides["text_config"] = {**text, **given.get("text_config", {})}
    return {"hf_overrides": overrides} if overrides else {}


def _unmarked(config: Mapping[str, Any]) -> dict[str, None]:
    """Return the keys of a configuration that mark weights as quantised, each set to None."""
    return {key: None for key in _QUANTISED if key in config}
