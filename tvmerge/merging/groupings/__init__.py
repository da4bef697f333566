"""Groupings: which tensors share a weight. Each module here is one, and is found by its name.

A new grouping is a module that defines `GROUPING`, a `Grouping`: a file in this folder, or one of an
installed package, which names it as an entry point:

    [project.entry-points."tvmerge.groupings"]
    halves = "my_package.halves"

Then `--optimize-mode halves` takes it. Names of groups must mean something and be the same on every run,
since studies and `--weights` files hold them.

The study's fingerprint has its name, and a digest of every tensor's group: another version that groups alike
continues with the same study.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge._util.plugins import Plugins

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place

Patterns = Sequence[tuple[str, str]]
"""The table `[[patterns]]`: name of a group, regular expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """What a module of a grouping defines.

    Attributes:
        label: From the tensors, by name and in model order, with where each stands in the model, and the
            user's patterns, to the group of each tensor. A tensor that is left out gets no weight.
        by_layer: The group of a tensor in layer N begins with `layers.N`; then `--layer-granularity` and
            `--smooth` can join the layers.
        patterns: It needs the table `[[patterns]]`, which others refuse.
    """

    label: Callable[[Mapping[str, Place], Patterns], Mapping[str, str]]
    by_layer: bool = False
    patterns: bool = False


GROUPINGS = Plugins(
    what="optimize_mode",
    kind=Grouping,
    attribute="GROUPING",
    package=__name__,
    group="tvmerge.groupings",
)
