"""Which weights are of one part of a layer, such as those of all projections of its attention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tvmerge.merging.groupings.parameter import kind_of

if TYPE_CHECKING:
    from tvmerge.merging.plan import Row


def layer_parts(rows: Iterable[Row]) -> dict[str, str]:
    """Map names of weights to the part of a layer that all their tensors are in, without numbers.

    `q_proj` and `o_proj` are both in `model.layers.self_attn`. A weight of tensors in several parts, or
    outside the layers, is left out. Each task vector has parts of its own.

    Args:
        rows: The tensors of the merged model.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        part = _part(row.name)
        for term in row.terms:
            for name, _ in term.share:
                parts[name].add(part)
    return {
        name: f"{name.rpartition('/')[0]}/{next(iter(found))}"
        for name, found in parts.items()
        if len(found) == 1 and "" not in found
    }


def _part(tensor: str) -> str:
    """The path of the module that contains a tensor's module, without numbers; empty outside the layers."""
    is_in_layer = any(part.isdecimal() for part in tensor.split("."))
    return ".".join(kind_of(tensor)[:-1]) if is_in_layer else ""
