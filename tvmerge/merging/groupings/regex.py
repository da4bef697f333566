"""One weight per pattern of the user; tensors that match none get no weight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.merging.groupings import Grouping, Patterns
from tvmerge.merging.suggest import near_tensor

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place


def _label(places: Mapping[str, Place], patterns: Patterns) -> dict[str, str]:
    found: dict[str, str] = {}
    unused = dict(patterns)
    for name in places:
        label = next((label for label, expression in patterns if re.search(expression, name)), None)
        if label is not None:
            found[name] = label
            unused.pop(label, None)
    if unused:
        label, expression = next(iter(unused.items()))
        if any(re.search(expression, name) for name in places):
            why = "matches no tensor that an earlier pattern has not matched"
        else:
            why = f"matches no tensor{near_tensor(expression, places)}"
        raise ConfigError(f"pattern '{label}': {expression!r} {why}")
    return found


GROUPING = Grouping(label=_label, patterns=True)
