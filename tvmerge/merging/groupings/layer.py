"""A weight for each decoder layer, and one each for what is outside the layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvmerge.merging.groupings import Grouping, Patterns

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place


def layer_of(place: Place) -> str:
    """The layer that a tensor stands in, or the section outside the layers."""
    return place.section if place.layer is None else f"layers.{place.layer}"


def _label(places: Mapping[str, Place], _: Patterns) -> dict[str, str]:
    return {name: layer_of(place) for name, place in places.items()}


GROUPING = Grouping(label=_label, by_layer=True)
