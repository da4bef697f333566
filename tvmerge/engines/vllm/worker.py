"""An extension of vLLM's workers: each opens the source checkpoints and merges in place.

vLLM mixes this class into its worker (`worker_extension_cls`), so names must not collide with vLLM's. Only
public calls of the worker are used: `get_model` and `reload_weights`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.messages import Row, pack_error, unpack_recipe
from tvmerge.engines.vllm.placing import MergePlace
from tvmerge.errors import CandidateError, CheckpointError, UserError
from tvmerge.merging.device.cuda import open_device
from tvmerge.pretrained.out_of_memory import ran_out
from tvmerge.records import Recipe

EXTENSION = f"{__name__}.MergingWorker"
ADAPTER_EXTENSION = f"{__name__}.AdapterWorker"


class MergingWorker:
    """Merges recipes into the worker's live model."""

    _tvmerge_merger: Any

    def tvmerge_open(self, function: str, settings: Mapping[str, Any]) -> Row:
        """Open the sources of an `Entry`; return errors, since vLLM keeps only an exception's text."""
        worker: Any = self
        device = next(parameter.device for parameter in worker.get_model().parameters())
        try:
            self._tvmerge_merger = MergePlace(Entry(function, settings).call(), open_device(device))
        except UserError as error:
            return pack_error(error)
        return {"end": None}

    def tvmerge_apply(self, recipe: Row) -> Row:
        """Become the merged model of `recipe`; return what merging has remarked so far.

        Every tensor is loaded, even unchanged ones: vLLM fuses projections, and a partly loaded fused tensor
        is garbage.
        """
        worker: Any = self
        try:
            stream = _Unbroken(self._tvmerge_merger, unpack_recipe(recipe))
        except UserError as error:
            return pack_error(error)
        _forget_packed_experts(worker.get_model())
        try:
            worker.reload_weights(weights_iterator=iter(stream))
        except UserError as error:  # such as no memory to merge; vLLM cannot load anything after it
            return pack_error(error)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            return pack_error(_no_memory(worker.get_model()))
        if stream.problem is not None:
            return pack_error(stream.problem)
        _refresh_tied_head(worker.get_model())
        return {"end": list(self._tvmerge_merger.remarks)}


class AdapterWorker:
    """Says what vLLM does not say of an adapter."""

    def tvmerge_left_out(self, number: int) -> Row:
        """Return the modules of a loaded adapter that the worker computes without it.

        vLLM knows the last part of a module's name, and ignores modules whose other parts it does not have.
        """
        worker: Any = self
        manager = worker.get_model().lora_manager
        loaded = manager.get_adapter(number)
        return {"end": [name for name in loaded.loras if name not in manager.modules]}


class _Unbroken:
    """A stream of merged tensors that always completes.

    vLLM cannot load anything after a reload that was interrupted.

    Args:
        merger: Makes tensors of recipes.
        recipe: The candidate. If one of its tensors is unusable, the remaining ones are the target's.

    Attributes:
        problem: The candidate's error once the stream has ended, or None.

    Raises:
        CheckpointError: The recipe does not fit.
    """

    def __init__(self, merger: Any, recipe: Recipe) -> None:
        self.problem: CandidateError | None = None
        self._merger, self._recipe = merger, recipe
        self._stream = merger.merge(recipe)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        given: set[str] = set()
        try:
            for name, tensor in self._stream:
                given.add(name)
                yield name, tensor
        except CandidateError as error:
            self.problem = error
            target = self._merger.merge(Recipe(dict.fromkeys(self._recipe.weights, 0.0)))
            yield from ((name, tensor) for name, tensor in target if name not in given)


def _no_memory(model: Any) -> CheckpointError:
    place = next(model.parameters()).device
    return CheckpointError(
        f"{place} has no memory left for vLLM to load the merged model; lower gpu_memory_utilization in the "
        "table [vllm], or free memory of the device"
    )


def _forget_packed_experts(model: Any) -> None:
    """Make vLLM pack the experts on a CPU again after a reload.

    It packs them only at the first load. Weights loaded later would be read as if they were packed, and
    answers would be garbage.
    """
    for module in model.modules():
        method: Any = getattr(module, "quant_method", None)
        on_cpu = any(parameter.is_cpu for parameter in module.parameters(recurse=False))
        if on_cpu and getattr(method, "moe_kernel", None) is not None:
            method.moe_kernel = None


def _refresh_tied_head(model: Any) -> None:
    """Pack a tied head again, since on a CPU it is a packed copy that a reload does not update."""
    head = getattr(model, "lm_head", None)
    method = getattr(head, "quant_method", None)
    if method is not None:
        method.process_weights_after_loading(head)
