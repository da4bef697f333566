"""A merged model on its way to a consumer, which may offer the memory it wants tensors in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Pairs = Iterator[tuple[str, "torch.Tensor"]]
Offer = Callable[[str, tuple[int, ...]], "torch.Tensor | None"]
"""Memory for the tensor of this name and shape, in any floating-point format; None: take fresh memory."""


class TensorStream(Pairs):
    """Pairs (name, tensor). Iterated, it gives fresh tensors; `into` fills the consumer's memory instead.

    Args:
        run: Makes the pairs, given where to put them.
    """

    def __init__(self, run: Callable[[Offer], Pairs]) -> None:
        self._run = run
        self._pairs: Pairs | None = None

    def __next__(self) -> tuple[str, torch.Tensor]:
        if self._pairs is None:
            self._pairs = self._run(lambda _name, _shape: None)
        return next(self._pairs)

    def into(self, offer: Offer) -> Pairs:
        """The pairs; a tensor for which `offer` gave memory is that memory, filled."""
        return self._run(offer)
