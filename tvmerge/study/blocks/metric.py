"""How alike two candidates are: a Matern kernel over directions in the space of the weights.

With few weights, each is a direction with a length scale. With many, scores do not tell hundreds of length
scales apart; but weights have names such as `model.layers.3.mlp.up_proj`, and what matters is mostly a layer
or a kind of tensor as a whole. So each layer's mean and each kind's mean is a direction with a length scale,
and all weights by themselves share one more. Names of whole kinds, such as `q_proj` and `o_proj`, show no
structure, but their tensors are in one part of a layer: then each part's mean is a direction, and so is the
mean of all weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Ints = NDArray[int64]

MOST_SEPARATE = 16
"""Weights that each have a length scale, where their names show no structure to share one by."""

_ROOT5 = 5**0.5


@dataclass(frozen=True)
class Metric:
    """Directions in the space of the weights, and which of them share a length scale.

    Attributes:
        directions: One row a direction, shape (p, d); a distance is taken of what it makes of the weights.
        shared: By direction, the number of its length scale, shape (p,).
        groupings: Partitions of the weights, coarse ones first, each an array of d group numbers. The last
            has each weight by itself.
    """

    directions: Floats
    shared: Ints
    groupings: tuple[Ints, ...]

    @cached_property
    def scales(self) -> int:
        """How many length scales there are."""
        return int(self.shared.max()) + 1

    def project(self, weights: Floats) -> Floats:
        """The weights' coordinates along the directions: shape (m, d) to (m, p)."""
        return weights @ self.directions.T

    def squared_distances(self, a: Floats, b: Floats, log_scales: Floats) -> Floats:
        """Squared distances between projected weights.

        Args:
            a: Shape (m, p).
            b: Shape (n, p).
            log_scales: Logarithms of the length scales, shape (`scales`,).

        Returns:
            Shape (m, n).
        """
        import numpy as np

        inverse = np.exp(-log_scales)[self.shared]
        same = a is b
        a = a * inverse
        b = a if same else b * inverse
        squares: Floats = (a * a).sum(1)[:, None] + (b * b).sum(1)[None]
        squares -= 2 * a @ b.T
        return np.maximum(squares, 0, out=squares)

    def scale_slopes(self, weights: Floats, squared: Floats, points: Floats, log_scales: Floats) -> Floats:
        """Half the negative gradient of a weighted sum of squared distances in the logarithms of the scales.

        Args:
            weights: The weights in the sum, symmetric, shape (m, m).
            squared: The squared distances, shape (m, m).
            points: Projected weights, shape (m, p).
            log_scales: Logarithms of the length scales, which may have more behind them.

        Returns:
            Shape (`scales`,).
        """
        import numpy as np

        # The scale that most directions share gets what the others leave of the sum, without their product.
        most = np.bincount(self.shared).argmax()
        alone = np.flatnonzero(self.shared != most)
        scaled = points[:, alone] * np.exp(-log_scales[self.shared[alone]])
        slopes = weights.sum(1) @ (scaled * scaled) - (scaled * (weights @ scaled)).sum(0)
        found: Floats = np.bincount(self.shared[alone], slopes, self.scales).astype(float)
        found[most] = 0.5 * (weights * squared).sum() - slopes.sum()
        return found


def metric_of(names: Sequence[str], parts: Mapping[str, str] | None = None) -> Metric:
    """The metric for weights of these names.

    Args:
        names: Names of the weights, in order; a number between dots is the number of a layer.
        parts: By name, the part of a layer that a weight is of; used where the names show no structure.
    """
    import numpy as np

    d = len(names)
    coarse = _distinct([_numbered([_layer(n) for n in names]), _numbered([_kind(n) for n in names])], d)
    by_part = _distinct([_numbered([(parts or {}).get(n, n) for n in names])], d)
    if coarse:
        means = [_means(grouping) for grouping in coarse]
    elif by_part:
        means = [_means(by_part[0]), _means(np.zeros(d, dtype=int))]
    else:
        means = []
    directions = np.vstack([*means, np.eye(d)])
    shared = np.arange(len(directions))
    if coarse or d > MOST_SEPARATE:
        shared[-d:] = len(directions) - d
    return Metric(directions, shared, (*(coarse or by_part), np.arange(d)))


def _means(grouping: Ints) -> Floats:
    """Directions along which all weights of a group move together, of length 1: shape (d,) to (groups, d)."""
    import numpy as np

    members = grouping == np.arange(grouping.max() + 1)[:, None]
    found: Floats = members / np.sqrt(members.sum(1, keepdims=True))
    return found


def matern52(squared: Floats) -> tuple[Floats, Floats]:
    """The Matern kernel with smoothness 5/2 and its slope.

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equation 4.17.

    Args:
        squared: Squared distances in units of the length scale.

    Returns:
        k, and -2 dk / d(squared distance), both in the shape of `squared`.
    """
    import numpy as np

    distance = _ROOT5 * np.sqrt(np.maximum(squared, 1e-18))
    decay = np.exp(-distance)
    linear = 1 + distance
    return (linear + 5 * squared / 3) * decay, 5 / 3 * linear * decay


def _layer(name: str) -> str:
    """The part of a name up to its first number; the name where it has none."""
    parts = name.split(".")
    first = next((index for index, part in enumerate(parts) if part.isdecimal()), len(parts) - 1)
    return ".".join(parts[: first + 1])


def _kind(name: str) -> str:
    """A name without its numbers."""
    return ".".join(part for part in name.split(".") if not part.isdecimal())


def _numbered(labels: Sequence[str]) -> Ints:
    import numpy as np

    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return np.array([places[label] for label in labels])


def _distinct(groupings: Sequence[Ints], d: int) -> list[Ints]:
    """Those that join some weights and keep others apart, each once."""
    import numpy as np

    found: list[Ints] = []
    for grouping in groupings:
        joins = 1 < grouping.max() + 1 < d
        if joins and not any(np.array_equal(grouping, other) for other in found):
            found.append(grouping)
    return found
