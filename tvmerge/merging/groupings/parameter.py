"""A weight for each kind of module, such as `q_proj`, over all layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tvmerge.merging.groupings import Grouping, Patterns

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place


def label_kinds(names: Iterable[str]) -> dict[str, str]:
    """Map each tensor to its kind of module: the shortest ending of the module's path that is unambiguous.

    `weight` and `bias` of one module are one kind; indices of layers and experts do not count; a parameter
    with its own name (fused experts' `gate_up_proj`) is a kind by itself.
    """
    kinds = {name: _kind(name) for name in names}
    labels = _shortest_labels(kinds.values())
    return {name: labels[kind] for name, kind in kinds.items()}


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


def _label(places: Mapping[str, Place], _: Patterns) -> dict[str, str]:
    return label_kinds(places)


GROUPING = Grouping(label=_label)
