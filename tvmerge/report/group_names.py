"""Reads the names of weights: their task vector, their layer and their kind."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"(\d+)(?:-\d+)?")
_DENSITY = "density"


@dataclass(frozen=True, slots=True)
class GroupName:
    """What the name of a weight says.

    Attributes:
        vector: Its task vector; empty if there is only one.
        layer: Its layer, the first of several, or its knot; None outside of the layers.
        kind: What is left of the name, such as `mlp.up_proj`, or the name of the part outside of the layers.
    """

    vector: str
    layer: int | None
    kind: str

    @property
    def row(self) -> str:
        """The kind with its task vector."""
        return f"{self.vector}/{self.kind}" if self.vector else self.kind


def read_group(name: str) -> GroupName:
    """Return what the name of a weight says. The first number between dots is the layer."""
    vector, _, rest = name.rpartition("/")
    parts = rest.removesuffix(".weight").split(".")
    at = next((place for place, part in enumerate(parts) if _NUMBER.fullmatch(part)), None)
    if at is None:
        return GroupName(vector, None, ".".join(parts).removeprefix("model."))
    inside = [part for part in parts[at + 1 :] if not part.isdecimal()]
    number = _NUMBER.fullmatch(parts[at])
    layer = int(number[1]) if number else None
    return GroupName(vector, layer, ".".join(inside) or ".".join(parts[:at]).removeprefix("model."))


def is_density(name: str) -> bool:
    """Return whether a parameter is the density of a task vector and no weight."""
    return name.rpartition("/")[2] == _DENSITY
