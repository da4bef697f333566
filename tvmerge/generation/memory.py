"""Whether a model fits in memory, asked before it is loaded, and what running out of it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tvmerge.errors import CheckpointError

_CPU_MESSAGES = ("can't allocate memory", "not enough memory")
"""What torch's allocator for the CPU says in its RuntimeError."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory a model needs, in bytes.

    Attributes:
        weights: Its parameters.
        token: Keys and values of one token.
    """

    weights: int
    token: int

    def check(self, name: str, device: str, free: int) -> None:
        """See that the weights fit into `free` bytes.

        Raises:
            CheckpointError: They do not; says what would fit.
        """
        if self.weights > free:
            raise CheckpointError(
                f"{name} needs about {gib(self.weights)} for its weights and {device} has {gib(free)} free; "
                "take a smaller --dtype, a smaller model or another --device"
            )

    def tokens(self, free: int) -> int:
        """Tokens of a batch that fit beside the weights, by their keys and values; at least 1."""
        return max(1, (free - self.weights) // max(1, self.token))


def footprint(config: Any, dtype: torch.dtype, *, trust_remote_code: bool = False) -> Footprint:
    """What a model of `config` needs in `dtype`; its tensors are laid out without memory to count them."""
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = factory.from_config(config, dtype=dtype, trust_remote_code=trust_remote_code)
    text = config.get_text_config()
    # Models without attention heads keep a state of fixed size instead; it is small.
    heads = getattr(text, "num_attention_heads", None) or 0
    shared = getattr(text, "num_key_value_heads", None) or heads
    head = getattr(text, "head_dim", None) or (text.hidden_size // heads if heads else 0)
    token = 2 * text.num_hidden_layers * shared * head * dtype.itemsize
    return Footprint(sum(p.numel() * dtype.itemsize for p in model.parameters()), token)


def free_memory(device: str) -> int | None:
    """Bytes free on a device; None where the system does not say."""
    if device != "cpu":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return free[0] if free else None


def ran_out(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on a GPU or not."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU_MESSAGES)


def gib(size: int) -> str:
    """A size in words."""
    return f"{size / 2**30:.1f} GiB"
