"""Where the tensors are made that a worker of vLLM loads: on its GPU, or in pinned memory of the CPU.

vLLM takes most of a GPU's memory for keys and values, so the sources of a merge mostly stream in. Whether
that is faster than a merge on the CPU depends on the bus and on the processor, so both are tried on the first
tensors. Pageable memory is the last resort: it is copied to a GPU at a fraction of the bus's speed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from tvmerge.errors import CandidateError, CheckpointError
from tvmerge.merging.device.hardware import Device, RefusedError
from tvmerge.merging.dtypes import torch_dtype
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.shards import TensorSpec
    from tvmerge.merging.kernels.stream import TensorStream

Pairs = Iterator[tuple[str, torch.Tensor]]
Make = Callable[[tuple[int, ...], torch.dtype], torch.Tensor]
"""Returns new memory for a tensor of this shape and dtype."""

HOST = "the CPU"
"""The place that is not the GPU."""

TRIED = 2**29
"""Bytes of merged tensors that are made to compare two places."""

TRIES = 2
"""How often each place makes them; the last time counts: then files are cached and kernels compiled."""


class OfferedMerger(Protocol):
    """A merger that fills memory of its consumer."""

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and format of every tensor."""

    @property
    def remarks(self) -> Sequence[str]:
        """What was slower than it could be so far, and why, one line each."""

    def merge(self, recipe: Recipe) -> TensorStream:
        """Return the merged tensors of `recipe`."""

    def release(self) -> None:
        """Free what is held on GPUs; a later merge restores it."""


class MergePlace:
    """Makes merged tensors where that is fastest, which it finds out at the first merge.

    Args:
        merger: Merges.
        device: The GPU whose model loads them; None for a model on the CPU.
        makers: What makes memory in each place that may be chosen; None for the GPU and pinned memory.
        clock: Returns seconds.
    """

    def __init__(
        self,
        merger: OfferedMerger,
        device: Device | None,
        makers: Mapping[str, Make] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._merger = merger
        self._device = device
        self._told: list[str] = []
        self._makers = (_makers(device, self._tell_once) if device else {}) if makers is None else makers
        self._clock = clock
        self._dtypes = {name: torch_dtype(spec.dtype) for name, spec in merger.specs.items()}
        self.chosen: str | None = None

    @property
    def remarks(self) -> Sequence[str]:
        """Where tensors are made, and what was slower than it could be so far, one line each."""
        return [*self._merger.remarks, *self._told]

    def merge(self, recipe: Recipe) -> Pairs:
        """Return the merged tensors of `recipe`; raise at once if it does not fit.

        Raises:
            CheckpointError: The recipe does not fit.
        """
        stream = self._merger.merge(recipe)
        if self._device is None:  # what loads them reads memory of any kind
            return stream
        if self.chosen is None:
            self.chosen = self._choose(recipe, self._device)
        return stream.into(partial(self._offer, self._makers[self.chosen]))

    def _choose(self, recipe: Recipe, device: Device) -> str:
        seconds = {name: self._seconds(recipe, make, device) for name, make in self._makers.items()}
        chosen = min(seconds, key=lambda name: seconds[name])
        if chosen == HOST:
            self._merger.release()
        if math.isfinite(seconds[chosen]):
            tried = ", ".join(
                f"{name} {f'took {time:.2f} s' if math.isfinite(time) else 'had no memory'}"
                for name, time in seconds.items()
            )
            self._tell_once(f"vLLM's weights are merged on {chosen} (for the first tensors, {tried})")
        return chosen

    def _seconds(self, recipe: Recipe, make: Make, device: Device) -> float:
        """Return how long the first tensors take until they are on the device; infinity if it has no room."""
        found = math.inf
        for _ in range(TRIES):
            began = self._clock()
            try:
                _try(self._merger.merge(recipe).into(partial(self._offer, make)), device)
            except CandidateError:  # it is found again, and told, when the recipe is applied
                pass
            except (CheckpointError, torch.OutOfMemoryError):
                return math.inf
            found = self._clock() - began
        return found

    def _offer(self, make: Make, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return make(shape, self._dtypes[name])

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.append(line)


def _try(pairs: Pairs, device: Device) -> None:
    made = 0
    for _, tensor in pairs:
        tensor.to(device.place, non_blocking=True)
        made += tensor.nbytes
        if made >= TRIED:
            break
    device.synchronise()


def _makers(device: Device, tell: Callable[[str], None]) -> dict[str, Make]:
    # The CPU first: it is taken if there is no memory to compare the two.
    return {HOST: partial(pinned, device, tell), str(device.place): partial(on_device, device, tell)}


def on_device(
    device: Device, tell: Callable[[str], None], shape: tuple[int, ...], dtype: torch.dtype
) -> torch.Tensor:
    """Return memory on a GPU; pinned memory if it has none left, which is told."""
    try:
        return device.empty(_size(shape, dtype)).view(dtype).view(shape)
    except torch.OutOfMemoryError:
        tell(f"{device.place} has too little memory for some tensors: they are merged on the CPU")
        return pinned(device, tell, shape, dtype)


def pinned(
    device: Device, tell: Callable[[str], None], shape: tuple[int, ...], dtype: torch.dtype
) -> torch.Tensor:
    """Return memory that a GPU reads by itself; pageable memory if the system gives none, which is told."""
    try:
        return device.pinned(_size(shape, dtype)).view(dtype).view(shape)
    except RefusedError as error:
        tell(f"copying to {device.place} without pinned memory, which is slower: {error}")
        return torch.empty(shape, dtype=dtype)


def _size(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return math.prod(shape) * dtype.itemsize
