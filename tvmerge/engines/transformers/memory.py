"""Checks that a model fits into memory before it is loaded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tvmerge._util.files import folder_name
from tvmerge._util.host_memory import available_memory
from tvmerge.errors import CheckpointError
from tvmerge.merging.device.residency import merge_seconds
from tvmerge.pretrained.architectures import factory_of, text_settings

ACTIVATIONS = 2**31
"""Bytes that intermediate results of a batch may need."""


@dataclass(frozen=True, slots=True)
class MemoryNeeds:
    """The memory a model needs, in bytes.

    Attributes:
        weights: Its parameters.
        token: The keys and values of one token.
    """

    weights: int
    token: int

    def shared(self, devices: int) -> MemoryNeeds:
        """Return what each of `devices` devices needs that share the model."""
        return MemoryNeeds(-(-self.weights // devices), -(-self.token // devices))


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """The memory a run needs on a device, and the memory that is free there.

    Attributes:
        model: Name of the model, for messages.
        dtype: The dtype of computation.
        device: The device.
        free: Free bytes.
        needed: The memory of one engine.
        engines: Number of engines on the device.
        judge: Bytes of a judge on the same device.
        batch_tokens: Maximum number of tokens of a batch.
        sources: Bytes that a merge reads, if they may stay on the device; 0 if they never do.
    """

    model: str
    dtype: torch.dtype
    device: str
    free: int
    needed: MemoryNeeds
    engines: int = 1
    judge: int = 0
    batch_tokens: int = 0
    sources: int = 0

    @property
    def total(self) -> int:
        """Bytes of all weights."""
        return self.engines * self.needed.weights + self.judge

    @property
    def tokens(self) -> int:
        """Number of tokens of each engine's batch that fit in addition to the weights; at least 1."""
        return max(1, (self.free - self.total) // (self.engines * max(1, self.needed.token)))

    def __str__(self) -> str:
        """Return the estimate in one line."""
        line = f"memory of {self.device}: {self._parts()}; {gib(self.free)} free"
        return f"{line}; {self._staying()}" if self.sources else line

    @property
    def source_room(self) -> int:
        """Bytes that each engine may keep sources in, with room for the weights and for generation.

        While a batch grows, its cache is copied, so it counts twice.
        """
        generation = 2 * self.needed.token * min(self.batch_tokens, self.tokens) + ACTIVATIONS
        return max(0, self.free - self.total - self.engines * generation) // self.engines

    def _staying(self) -> str:
        """Return which share of the sources stays on the device, and how long a merge would take."""
        stay = min(self.sources, self.source_room)
        seconds = merge_seconds(stay, self.sources - stay, self.needed.weights)
        share = (
            f"the sources ({gib(self.sources)}) stay there"
            if stay == self.sources
            else f"{gib(stay)} of the sources ({gib(self.sources)}) stay there, the rest is streamed"
        )
        return f"{share}; a merge takes about {seconds:.2g} s (an estimate)"

    def check(self) -> None:
        """Check that everything fits.

        Raises:
            CheckpointError: It does not fit; the message says what would.
        """
        if self.total > self.free:
            raise CheckpointError(
                f"{self.model} needs about {gib(self.total)} on {self.device} ({self._parts()}), which has "
                f"{gib(self.free)} free; what would fit: {', '.join(self._fitting())}"
            )

    def _parts(self) -> str:
        engines = "a model" if self.engines == 1 else f"{self.engines} models"
        judge = f" and a judge of {gib(self.judge)}" if self.judge else ""
        return f"{engines} of {gib(self.needed.weights)} in {str(self.dtype).removeprefix('torch.')}{judge}"

    def _fitting(self) -> list[str]:
        """Return possible changes, each of which is sufficient."""
        room = max(0, self.free - self.judge)
        found = []
        if fewer := room // max(1, self.needed.weights):
            found.append(f"{fewer} of them (--engines, --devices)")
        if self.device != "cpu" and self.dtype.itemsize == 4 and self.total + self.judge <= 2 * self.free:
            found.append("--dtype bfloat16")
        if self.judge and self.total - self.judge <= self.free:
            found.append("a judge elsewhere")
        largest = room / self.engines / self.dtype.itemsize / 1e9
        return [*found, f"a model of up to {largest:.2g} billion parameters, another --device"]


def memory_needs(config: Any, dtype: torch.dtype, *, trust_remote_code: bool = False) -> MemoryNeeds:
    """Return what a model of `config` needs in `dtype`, measured on the meta device with two tokens."""
    factory, text = factory_of(config), text_settings(config)
    # Some kernels for experts support only bfloat16.
    with torch.device("meta"):
        model = factory.from_config(config, dtype=torch.bfloat16, trust_remote_code=trust_remote_code)
    numbers = _remembered(model, text)
    return MemoryNeeds(
        sum(p.numel() for p in model.parameters()) * dtype.itemsize, round(numbers * dtype.itemsize)
    )


def _remembered(model: Any, text: Any) -> float:
    """Return the number of elements a model caches per token: keys and values of any shape.

    The state of recurrent layers does not grow with the tokens and is small.
    """
    found = None
    # Remote code may raise anything on the meta device.
    with suppress(Exception), torch.device("meta"), torch.inference_mode():
        ids = torch.zeros((1, 2), dtype=torch.long)
        cache = DynamicCache(config=model.config)
        model.get_decoder()(input_ids=ids, past_key_values=cache, use_cache=True)
        kept = [(layer.keys, layer.values) for layer in cache.layers if isinstance(layer, DynamicLayer)]
        found = sum(t.numel() for pair in kept for t in pair if isinstance(t, torch.Tensor)) / ids.numel()
    if found is None:
        # As if each head had its own keys and values.
        found = 2 * text.num_hidden_layers * text.hidden_size
    return found


def free_memory(device: str) -> int | None:
    """Return the free bytes of a device; None if the system does not report them."""
    if device != "cpu":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_memory()


def out_of_memory(folder: Path, device: str, rest: str) -> CheckpointError:
    """Return the error for memory that ran out; `rest` says for what, and how its advice begins."""
    return CheckpointError(
        f"{folder_name(folder)}: {device} does not have enough memory {rest} a smaller --dtype or another "
        "--device"
    )


def gib(size: int) -> str:
    """Format a size in bytes."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 // 10 else f"{size / 2**20:.1f} MiB"
