"""One weight per pattern of the user; tensors that match none get no weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.merging.expressions import found_in
from tvmerge.merging.groupings import Grouping, Patterns
from tvmerge.merging.suggest import near_tensor

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place


def _label(places: Mapping[str, Place], patterns: Patterns) -> dict[str, str]:
    found: dict[str, str] = {}
    unused = dict(patterns)
    expressions = [expression for _, expression in patterns]
    matches = [set(names) for names in found_in(expressions, places, "patterns")]
    for name in places:
        hits = zip(patterns, matches, strict=True)
        label = next((label for (label, _), names in hits if name in names), None)
        if label is not None:
            found[name] = label
            unused.pop(label, None)
    if unused:
        label, expression = next(iter(unused.items()))
        if matches[expressions.index(expression)]:
            why = "matches no tensor that an earlier pattern has not matched"
        else:
            why = f"matches no tensor{near_tensor(expression, places)}"
        raise ConfigError(f"pattern '{label}': {expression!r} {why}")
    return found


GROUPING = Grouping(label=_label, patterns=True)
