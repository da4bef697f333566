"""Where the tensors are made that a worker of vLLM loads: on its GPU, or in pinned memory of the CPU.

vLLM takes most of a GPU's memory for keys and values, so the sources of a merge mostly stream in. Whether
that is faster than a merge on the CPU depends on the bus and on the processor, so both are tried on the first
tensors. Pageable memory is not used: it is copied to a GPU at a fraction of the bus's speed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from tvmerge.errors import CandidateError, CheckpointError
from tvmerge.merging.dtypes import torch_dtype
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.shards import TensorSpec
    from tvmerge.merging.kernels.stream import TensorStream

Pairs = Iterator[tuple[str, torch.Tensor]]
Make = Callable[[tuple[int, ...], torch.dtype], torch.Tensor]
"""Returns new memory for a tensor of this shape and dtype."""

TRIED = 2**29
"""Bytes of merged tensors that are made to compare two places."""

TRIES = 2
"""How often each place makes them; the last time counts: then files are cached and kernels compiled."""


class OfferedMerger(Protocol):
    """A merger that fills memory of its consumer."""

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and format of every tensor."""

    def merge(self, recipe: Recipe) -> TensorStream:
        """Return the merged tensors of `recipe`."""


class MergePlace:
    """Makes merged tensors where that is fastest, which it finds out at the first merge.

    Args:
        merger: Merges.
        device: Where the model is that loads them.
        makers: What makes memory in each place that may be chosen; None for the GPU and pinned memory.
        clock: Returns seconds.
    """

    def __init__(
        self,
        merger: OfferedMerger,
        device: torch.device,
        makers: Mapping[str, Make] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._merger = merger
        self._device = device
        there: dict[str, Make] = (
            {} if device.type == "cpu" else {"gpu": partial(on_device, device), "cpu": pinned}
        )
        self._makers = there if makers is None else makers
        self._clock = clock
        self._dtypes = {name: torch_dtype(spec.dtype) for name, spec in merger.specs.items()}
        self.chosen: str | None = None

    def merge(self, recipe: Recipe) -> Pairs:
        """Return the merged tensors of `recipe`; raise at once if it does not fit.

        Raises:
            CheckpointError: The recipe does not fit.
        """
        stream = self._merger.merge(recipe)
        if not self._makers:  # what loads them reads memory of any kind
            return stream
        if self.chosen is None:
            seconds = {name: self._seconds(recipe, make) for name, make in self._makers.items()}
            self.chosen = min(seconds, key=lambda name: seconds[name])
        return stream.into(partial(self._offer, self._makers[self.chosen]))

    def _seconds(self, recipe: Recipe, make: Make) -> float:
        """Return how long the first tensors take until they are on the device; infinity if it has no room."""
        found = math.inf
        for _ in range(TRIES):
            began = self._clock()
            try:
                self._try(self._merger.merge(recipe).into(partial(self._offer, make)))
            except CandidateError:  # it is found again, and told, when the recipe is applied
                pass
            except CheckpointError:
                return math.inf
            found = self._clock() - began
        return found

    def _try(self, pairs: Pairs) -> None:
        made = 0
        for _, tensor in pairs:
            tensor.to(self._device, non_blocking=True)
            made += tensor.nbytes
            if made >= TRIED:
                break
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _offer(self, make: Make, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return make(shape, self._dtypes[name])


def on_device(device: torch.device, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return memory on a GPU; pinned memory if it has none left."""
    try:
        return torch.empty(shape, dtype=dtype, device=device)
    except torch.OutOfMemoryError:
        return pinned(shape, dtype)


def pinned(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return memory that a GPU reads by itself; torch gives that of tensors which are gone out again."""
    return torch.empty(shape, dtype=dtype, pin_memory=True)
