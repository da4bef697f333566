"""vLLM workers whose reload goes wrong without an error, or that have no memory left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from tvmerge.engines.remote.messages import Row
from tvmerge.engines.vllm.worker import MergingWorker


class DoublesANorm(MergingWorker):
    """Applies a transformation of a weight once too often, as reloads of recurrent layers have done."""

    def tvmerge_apply(self, recipe: Row) -> Row:
        """Become the merged model but for one tensor."""
        reply = super().tvmerge_apply(recipe)
        worker: Any = self
        with torch.no_grad():
            dict(worker.get_model().named_parameters())["model.norm.weight"].mul_(2)
        return reply


class ChangesNothing(MergingWorker):
    """Keeps the weights that vLLM was started with."""

    def tvmerge_apply(self, recipe: Row) -> Row:
        """Stay the target."""
        return {"end": []}


class RunsOut(MergingWorker):
    """Has no memory for the first of the tensors."""

    def tvmerge_open(self, function: str, settings: Mapping[str, Any]) -> Row:
        """Open the sources; from then on, fail to load as a GPU does."""
        worker: Any = self
        worker.reload_weights = self._tvmerge_refuse
        return super().tvmerge_open(function, settings)

    def _tvmerge_refuse(self, weights_iterator: Iterator[tuple[str, torch.Tensor]]) -> None:
        next(weights_iterator)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
