"""What tvmerge adds to vLLM's workers: each opens the source checkpoints itself and merges in place.

vLLM mixes this class into its worker (`worker_extension_cls`), so the names must be none of its own. Only
public calls of the worker are used: `get_model` and `reload_weights`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.messages import Row, pack_error, unpack_recipe
from tvmerge.errors import CandidateError, UserError
from tvmerge.records import Recipe

EXTENSION = f"{__name__}.MergingWorker"


class MergingWorker:
    """Merges recipes into the live model of the worker it is mixed into."""

    _tvmerge_merger: Any

    def tvmerge_open(self, function: str, settings: Mapping[str, Any]) -> Row | None:
        """Open the sources by an `Entry`; an error is returned, since vLLM keeps only an exception's text."""
        try:
            self._tvmerge_merger = Entry(function, settings).call()
        except UserError as error:
            return pack_error(error)
        return None

    def tvmerge_apply(self, recipe: Row) -> Row | None:
        """Become the merged model of `recipe`.

        Every tensor is loaded, also unchanged ones: vLLM fuses projections, and a fused tensor that is only
        loaded in part comes out as garbage.
        """
        worker: Any = self
        try:
            stream = _Unbroken(self._tvmerge_merger, unpack_recipe(recipe))
        except UserError as error:
            return pack_error(error)
        _forget_packed_experts(worker.get_model())
        worker.reload_weights(weights_iterator=iter(stream))
        if stream.problem is not None:
            return pack_error(stream.problem)
        _refresh_tied_head(worker.get_model())
        return None


class _Unbroken:
    """A merge that ends in any case: vLLM cannot load anything more once a reload has broken off.

    Args:
        merger: Makes tensors of recipes.
        recipe: The candidate. Where its tensors turn out to be unusable, the rest are the target's.

    Attributes:
        problem: What was wrong with the candidate, once the stream has ended; None: nothing.

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


def _forget_packed_experts(model: Any) -> None:
    """Have experts on a CPU packed again as they are loaded: vLLM packs them for its first kernel only.

    What is loaded later is taken for packed then, and the answers are garbage.
    """
    for module in model.modules():
        method: Any = getattr(module, "quant_method", None)
        on_cpu = any(parameter.is_cpu for parameter in module.parameters(recurse=False))
        if on_cpu and getattr(method, "moe_kernel", None) is not None:
            method.moe_kernel = None


def _refresh_tied_head(model: Any) -> None:
    """Have a head that shares the embeddings packed again: on a CPU it is a copy that loading forgets."""
    head = getattr(model, "lm_head", None)
    method = getattr(head, "quant_method", None)
    if method is not None:
        method.process_weights_after_loading(head)
