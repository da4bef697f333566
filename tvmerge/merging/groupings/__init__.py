"""Groupings: which tensors share a weight. Each module in this folder is one, found by its file name.

A new grouping is a module that defines `GROUPING`, a `Grouping`: a file in this folder, or a module of an
installed package that is declared as an entry point:

    [project.entry-points."tvmerge.groupings"]
    halves = "my_package.halves"

Then `--optimize-mode halves` selects it. Names of groups must be readable and the same in every run, since
studies and `--weights` files contain them.

The study's fingerprint contains its name and a digest of every tensor's group, so a study can be resumed with
another version that groups tensors in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge._util.plugins import Plugins

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Place

Patterns = Sequence[tuple[str, str]]
"""The table `[[patterns]]`: names of groups and regular expressions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """A grouping, as its module defines it.

    Attributes:
        label: Returns the group of each tensor, given the tensors' places in the model, by name and in model
            order, and the user's patterns. A tensor that is left out gets no weight.
        by_layer: Whether the group of a tensor in layer N starts with `layers.N`; then `--layer-granularity`
            and `--smooth` can combine layers.
        patterns: Whether it requires the table `[[patterns]]`, which others reject.
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
