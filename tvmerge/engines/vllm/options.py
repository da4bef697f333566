"""Arguments of vLLM's own that a run may set, and which decide an answer."""

from __future__ import annotations

from collections.abc import Mapping
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
}
"""Arguments that tvmerge gives itself, and the flag that decides each; an empty text: nobody else may."""

HARMLESS = frozenset(
    (
        *("gpu_memory_utilization", "kv_cache_memory_bytes", "swap_space", "cpu_offload_gb", "block_size"),
        *("max_num_seqs", "max_num_batched_tokens", "enable_chunked_prefill", "async_scheduling"),
        *("enforce_eager", "compilation_config", "disable_custom_all_reduce", "disable_log_stats"),
        *("distributed_executor_backend", "max_parallel_loading_workers", "seed"),
    )
)
"""Arguments that decide how fast answers come and what fits, never what they say."""


def check_options(options: Mapping[str, Any]) -> None:
    """Check that a `[vllm]` table leaves alone what tvmerge settles itself.

    Raises:
        ConfigError: It does not; names the flag to give instead.
    """
    for name in options:
        if name in SETTLED:
            instead = f"give {SETTLED[name]} instead" if SETTLED[name] else "leave it out"
            raise ConfigError(f"vllm: '{name}' is set by tvmerge; {instead}")


def decisive(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that may change an answer, such as a quantization or a shorter context."""
    return {name: value for name, value in sorted(options.items()) if name not in HARMLESS}
