"""One weight per tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.merging.groupings import Grouping, Patterns

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place


def _label(places: Mapping[str, Place], _: Patterns) -> dict[str, str]:
    return {name: name for name in places}


GROUPING = Grouping(label=_label)
