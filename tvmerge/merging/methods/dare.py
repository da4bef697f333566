"""DARE: drops elements at random and scales up the rest.

Yu et al. 2023, "Language Models are Super Mario". It works on a stream of chunks, so no vector is in memory
as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from tvmerge.merging.deltas import Reader
from tvmerge.merging.methods import Method


@dataclass(slots=True)
class Dropped:
    """Keeps each element with probability `density` and divides it by `density`, which preserves the mean.

    With the same seed, the elements kept at a lower density are a subset of those at a higher one, so that a
    search over densities is smooth.
    """

    reader: Reader
    density: float
    seed: int
    _generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._generator = torch.Generator().manual_seed(self.seed)

    @property
    def device(self) -> torch.device:
        """Where the vector is computed; the draws are made on the CPU."""
        return self.reader.device

    def read(self, rows: slice, out: torch.Tensor, spare: torch.Tensor) -> None:
        """Write rows of the thinned vector to `out`."""
        self.reader.read(rows, out, spare)
        drawn = torch.rand(out.shape, generator=self._generator)
        kept = (drawn < self.density).to(out.device)
        out.mul_(kept)
        if self.density > 0:
            out.div_(self.density)


def _sparsify(reader: Reader, density: float, *, shape: tuple[int, int], chunk: int, seed: int) -> Reader:
    return Dropped(reader, density, seed)


METHOD = Method(
    sparsify=_sparsify,
    random=True,
    no_mergekit="mergekit draws the elements that dare drops from other random numbers",
)
