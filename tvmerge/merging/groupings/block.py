"""One weight per block (attention, MLP, ...) of each layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.merging.checkpoints.shards import TensorSpec
from tvmerge.merging.groupings import Grouping, Patterns
from tvmerge.merging.groupings.layer import layer_of

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place


def label_blocks(specs: Mapping[str, TensorSpec]) -> dict[str, str]:
    """Map each tensor of one decoder layer to its block, such as `self_attn` or `mlp`.

    A child module of the layer that has a matrix is a block. Norms are in the order in which they are
    applied, so the first half belongs to the first block (attention) and the rest to the second.

    Args:
        specs: The layer's tensors in model order, each with at least one name part after the layer's index.
    """
    children = {name: _child(name) for name in specs}
    blocks = [c for c in dict.fromkeys(children.values()) if _has_matrix(c, children, specs)]
    small = [child for child in dict.fromkeys(children.values()) if child not in blocks]
    if not blocks:
        return children
    owner = {
        child: blocks[0 if 2 * i < len(small) else min(1, len(blocks) - 1)] for i, child in enumerate(small)
    }
    return {name: owner.get(child, child) for name, child in children.items()}


def _child(name: str) -> str:
    """Return the part of a name after the layer's index, which is the first number in it."""
    parts = name.split(".")
    index = next(i for i, part in enumerate(parts) if part.isdecimal())
    return parts[index + 1]


def _has_matrix(child: str, children: Mapping[str, str], specs: Mapping[str, TensorSpec]) -> bool:
    return any(len(specs[name].shape) > 1 for name, other in children.items() if other == child)


def _label(places: Mapping[str, Place], _: Patterns) -> dict[str, str]:
    layers: dict[int | None, dict[str, TensorSpec]] = defaultdict(dict)
    for name, place in places.items():
        layers[place.layer][name] = TensorSpec(place.shape, "F32")
    blocks = {
        name: block
        for layer, specs in layers.items()
        if layer is not None
        for name, block in label_blocks(specs).items()
    }
    return {
        name: f"{layer_of(place)}.{blocks[name]}" if name in blocks else layer_of(place)
        for name, place in places.items()
    }


GROUPING = Grouping(label=_label, by_layer=True)
