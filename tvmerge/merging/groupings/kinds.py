"""Names for what a tensor is, read from where it stands: its kind of module, its block of a layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tvmerge.merging.checkpoints.shards import TensorSpec


def label_kinds(names: Iterable[str]) -> dict[str, str]:
    """Map each tensor to its kind of module: the shortest ending of the module's path that is unambiguous.

    `weight` and `bias` of one module are one kind; indices of layers and experts do not count; a parameter
    with a name of its own (fused experts' `gate_up_proj`) is a kind by itself.
    """
    kinds = {name: _kind(name) for name in names}
    labels = _shortest_labels(kinds.values())
    return {name: labels[kind] for name, kind in kinds.items()}


def label_blocks(specs: Mapping[str, TensorSpec]) -> dict[str, str]:
    """Map each tensor of one decoder layer to its block: `self_attn`, `mlp` or what the model calls them.

    A child of the layer with a matrix in it is a block. Its norms stand in the order in which they
    are applied, so the first half goes with the first block (attention), the rest with the second.

    Args:
        specs: The layer's tensors, each with at least one name part behind the layer's index, in model order.
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
    """The part of a name right behind the layer's index, which is the first number in it."""
    parts = name.split(".")
    index = next(i for i, part in enumerate(parts) if part.isdecimal())
    return parts[index + 1]


def _has_matrix(child: str, children: Mapping[str, str], specs: Mapping[str, TensorSpec]) -> bool:
    return any(len(specs[name].shape) > 1 for name, other in children.items() if other == child)


def _kind(name: str) -> tuple[str, ...]:
    parts = tuple(part for part in name.split(".") if not part.isdecimal())
    return parts[:-1] if parts[-1] in {"weight", "bias"} and len(parts) > 1 else parts


def _shortest_labels(kinds: Iterable[Sequence[str]]) -> dict[tuple[str, ...], str]:
    """The shortest ending of each kind's path that no other kind's path has; the whole path at worst."""
    distinct = list(dict.fromkeys(tuple(kind) for kind in kinds))
    owners: dict[tuple[str, ...], int] = defaultdict(int)
    for kind in distinct:
        for start in range(len(kind)):
            owners[kind[start:]] += 1
    return {
        kind: ".".join(
            next((kind[start:] for start in reversed(range(len(kind))) if owners[kind[start:]] == 1), kind)
        )
        for kind in distinct
    }
