"""vLLM workers whose reload goes wrong without an error."""

from __future__ import annotations

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
