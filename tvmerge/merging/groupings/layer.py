"""One weight per decoder layer, and one for each section outside the layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.merging.groupings import Grouping, Patterns

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place


def layer_of(place: Place) -> str:
    """Return the layer of a tensor, or its section outside the layers."""
    return place.section if place.layer is None else f"layers.{place.layer}"


def _label(places: Mapping[str, Place], _: Patterns) -> dict[str, str]:
    return {name: layer_of(place) for name, place in places.items()}


GROUPING = Grouping(label=_label, by_layer=True)
