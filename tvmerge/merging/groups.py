"""Which tensors share a weight.

Three modes, from fine to coarse to crosswise: `all` (a weight a tensor), `layer` (one a decoder layer, and
`embeddings`, `norm`, `head` around them), `parameter` (one a kind of module, whatever its layer).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tvmerge.merging.structure import Arrangement, Place, Structure

Mode = Literal["all", "layer", "parameter"]


def group_tensors(structure: Structure, arrangement: Arrangement, mode: Mode) -> dict[str, str]:
    """Map every floating-point tensor of a checkpoint, by its name there, to its group, in model order.

    A tied head has no group: it is the embeddings.

    Args:
        structure: The model.
        arrangement: The checkpoint's names, as `structure.arrange` sorted them.
        mode: How fine the groups are.
    """
    places = {
        name: place
        for own, name in arrangement.names.items()
        if (place := structure.place(own)) is not None and place.is_float
    }
    if mode == "all":
        return {name: name for name in places}
    if mode == "layer":
        return {name: _layer_group(place) for name, place in places.items()}
    kinds = {name: _kind(name) for name in places}
    labels = _shortest_labels(kinds.values())
    return {name: labels[kind] for name, kind in kinds.items()}


def group_names(groups: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the groups, each once, in the order of their first tensors."""
    return tuple(dict.fromkeys(groups.values()))


def _layer_group(place: Place) -> str:
    return place.section if place.layer is None else f"layers.{place.layer}"


def _kind(name: str) -> tuple[str, ...]:
    """The module a tensor belongs to, without indices of layers and experts.

    `weight` and `bias` of one module are one kind; a parameter with a name of its own (fused experts'
    `gate_up_proj`) is a kind by itself.
    """
    parts = tuple(part for part in name.split(".") if not part.isdecimal())
    return parts[:-1] if parts[-1] in {"weight", "bias"} and len(parts) > 1 else parts


def _shortest_labels(kinds: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """The shortest ending of each kind's path that no other kind's path has; the whole path at worst."""
    distinct = list(dict.fromkeys(kinds))
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
