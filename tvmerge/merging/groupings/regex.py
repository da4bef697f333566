"""One weight per pattern of the user; tensors that match none get no weight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.merging.groupings import Grouping, Patterns

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
        raise ConfigError(
            f"pattern '{label}': {expression!r} matches no tensor that an earlier pattern has not matched"
        )
    return found


GROUPING = Grouping(label=_label, patterns=True)
