"""A vLLM worker whose reload goes wrong without an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tvmerge.engines.remote.messages import Row
from tvmerge.engines.vllm.worker import MergingWorker

FAULT = "fault.txt"
"""The file in the model's folder that names what goes wrong; without it, nothing does."""


class FaultyWorker(MergingWorker):
    """Applies a transformation of a weight once too often, as reloads of recurrent layers have done.

    Or keeps the weights that it has.
    """

    def tvmerge_apply(self, recipe: Row) -> Row:
        """Become the merged model, but for the fault."""
        worker: Any = self
        path = Path(worker.model_config.model) / FAULT
        fault = path.read_text(encoding="utf-8") if path.exists() else ""
        if fault == "changes nothing":
            return {"end": []}
        reply = super().tvmerge_apply(recipe)
        if fault == "doubles a norm":
            with torch.no_grad():
                dict(worker.get_model().named_parameters())["model.norm.weight"].mul_(2)
        return reply
