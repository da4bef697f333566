"""Groups tensors that share a weight, and finds those without one.

A tensor's weight is a sum of named weights times factors: a single name with factor 1 in most modes, or two
neighbouring knots if weights are interpolated over the layers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.merging.expressions import found_in
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.groupings import GROUPINGS
from tvmerge.merging.suggest import near_tensor

if TYPE_CHECKING:
    from tvmerge.merging.checkpoints.arrangement import Arrangement, Place, Structure

Share = tuple[tuple[str, float], ...]
"""(weight name, factor) pairs; the tensor's weight is the sum of weight times factor."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The named weights of each float tensor.

    Attributes:
        shares: The share of each tensor in the named weights, by its name in the checkpoint and in model
            order.
        idle: Why a tensor has no weight, by its name.
    """

    shares: Mapping[str, Share]
    idle: Mapping[str, str]


def group_tensors(
    structure: Structure, arrangement: Arrangement, rules: GroupRules, followers: Sequence[str] = ()
) -> Groups:
    """Put every float tensor of a checkpoint into a group; a tied head belongs to the embeddings.

    Args:
        structure: The model.
        arrangement: The checkpoint's names, as `structure.arrange` sorted them.
        rules: The grouping rules.
        followers: Tensors that no score depends on, such as those of prediction heads. They get the mean of
            the weights of the last layer, or of all if it has none.

    Raises:
        ConfigError: There are more knots than layers, or a pattern matches no tensor.
    """
    if rules.knots is not None and rules.knots > structure.layers:
        raise ConfigError(
            f"smooth has {rules.knots} knots for the {structure.layers} layers of {structure.name}"
        )
    places = {
        name: place
        for own, name in arrangement.names.items()
        if (place := structure.place(own)) is not None and place.is_float
    }
    idle = {name: "outside the language model" for name, place in places.items() if place.section == "other"}
    idle |= _frozen([*(name for name in places if name not in idle), *followers], places, rules.freeze)
    active = {name: place for name, place in places.items() if name not in idle}
    labels = _labels(active, rules)
    why_not = "no pattern fits" if rules.patterns else f"optimize_mode {rules.mode} leaves it out"
    unmatched = {name: why_not for name in active if name not in labels}
    shares = {
        name: layer_share(label, active[name].layer, structure.layers, rules)
        for name, label in labels.items()
    }
    last = [share for name, share in shares.items() if active[name].layer == structure.layers - 1]
    common = _mean(last or list(shares.values()))
    shares |= {name: common for name in followers if common and name not in idle}
    why = idle | unmatched | dict.fromkeys(followers if not common else (), "no tensor has a weight")
    return Groups(shares, {name: why[name] for name in (*places, *followers) if name in why})


def _mean(shares: Iterable[Share]) -> Share:
    """Return the mean of all distinct shares."""
    distinct = list(dict.fromkeys(shares))
    sums: dict[str, float] = defaultdict(float)
    for share in distinct:
        for name, factor in share:
            sums[name] += factor / len(distinct)
    return tuple(sums.items())


def group_names(shares: Iterable[Share]) -> tuple[str, ...]:
    """Return the names of the weights in the order of their first tensors."""
    return tuple(dict.fromkeys(name for share in shares for name, _ in share))


def _frozen(names: Iterable[str], places: Mapping[str, Place], expressions: Iterable[str]) -> dict[str, str]:
    frozen: dict[str, str] = {}
    given = list(expressions)
    for expression, found in zip(given, found_in(given, names, "freeze"), strict=True):
        if not found:
            raise ConfigError(
                f"freeze: {expression!r} matches no tensor{near_tensor(expression, places)}, such as "
                f"{next(iter(places), 'none')}"
            )
        frozen |= dict.fromkeys(found, f"frozen by {expression!r}")
    return frozen


def _labels(places: Mapping[str, Place], rules: GroupRules) -> Mapping[str, str]:
    """Return the group of each tensor before layers are combined; that of a layer starts with `layers.N`."""
    labels = GROUPINGS.load(rules.mode).label(places, rules.patterns)
    if unknown := [name for name in labels if name not in places]:
        raise ConfigError(
            f"optimize_mode {rules.mode} groups {unknown[0]!r}, which is no tensor with a weight"
        )
    return labels


def layer_share(label: str, layer: int | None, layers: int, rules: GroupRules) -> Share:
    """Return the share of a tensor in the weights of its group, after layers are combined or interpolated.

    Args:
        label: Its group before that; in a layer it starts with `layers.N`.
        layer: Its layer; None outside the layers.
        layers: Number of layers.
        rules: The grouping rules.
    """
    if layer is None or (rules.knots is None and rules.layer_granularity == 1):
        return ((label, 1.0),)
    suffix = label.removeprefix(f"layers.{layer}")
    if rules.knots is None:
        first = layer - layer % rules.layer_granularity
        last = min(first + rules.layer_granularity, layers) - 1
        return ((f"layers.{first}{f'-{last}' if last > first else ''}{suffix}", 1.0),)
    at = layer * (rules.knots - 1) / (layers - 1) if layers > 1 else 0.0
    left = min(math.floor(at), rules.knots - 2)
    pair = ((left, left + 1 - at), (left + 1, at - left))
    return tuple((f"knots.{knot}{suffix}", factor) for knot, factor in pair if factor > 0)
