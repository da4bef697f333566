"""What tvmerge adds to vLLM's workers: each opens the source checkpoints itself and merges in place.

vLLM mixes this class into its worker (`worker_extension_cls`), so the names must be none of its own. Only
public calls of the worker are used: `get_model` and `reload_weights`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvmerge.errors import UserError
from tvmerge.generation.entry import Entry
from tvmerge.generation.wire import Row, pack_error, unpack_recipe

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
            stream = self._tvmerge_merger.merge(unpack_recipe(recipe))
            worker.reload_weights(weights_iterator=stream)
        except UserError as error:
            return pack_error(error)
        _refresh_tied_head(worker.get_model())
        return None


def _refresh_tied_head(model: Any) -> None:
    """Have a head that shares the embeddings packed again: on a CPU it is a copy that loading forgets."""
    head = getattr(model, "lm_head", None)
    method = getattr(head, "quant_method", None)
    if method is not None:
        method.process_weights_after_loading(head)
