"""One weight per kind of module, such as `q_proj`, for all layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tvmerge.merging.groupings import Grouping, Patterns

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place


def label_kinds(names: Iterable[str]) -> dict[str, str]:
    """Map each tensor to its kind of module: the shortest unambiguous suffix of the module's path.

    `weight` and `bias` of a module are one kind. Indices of layers and experts are ignored. A parameter with
    another name (`gate_up_proj` of fused experts) is a separate kind.
    """
    kinds = {name: kind_of(name) for name in names}
    labels = _shortest_labels(kinds.values())
    return {name: labels[kind] for name, kind in kinds.items()}


def kind_of(name: str) -> tuple[str, ...]:
    """Return the path of a tensor's module without indices; its own path if it is no `weight` or `bias`."""
    parts = tuple(part for part in name.split(".") if not part.isdecimal())
    return parts[:-1] if parts[-1] in {"weight", "bias"} and len(parts) > 1 else parts


def _shortest_labels(kinds: Iterable[Sequence[str]]) -> dict[tuple[str, ...], str]:
    """Return the shortest suffix of each kind's path that no other path has, or else the whole path."""
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


def _label(places: Mapping[str, Place], _: Patterns) -> dict[str, str]:
    return label_kinds(places)


GROUPING = Grouping(label=_label)
