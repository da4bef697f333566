"""When a cheap rating of everything and an expensive one of a sample pay, beside the expensive one alone.

For n answers rated at a cost of k each, of which a fraction f is rated at a cost of 1 as well, the regression
estimator of the expensive mean has the variance S^2 / n * ((1 - rho^2) / f + rho^2) and costs n (k + f)
(Cochran, Sampling Techniques, 3rd edition 1977, section 12.6); rho is the correlation of the two ratings, S^2
the variance of the expensive one. The expensive rating alone has S^2 / n at a cost of n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_ONE_SIDED_95 = 1.645


def relative_variance(rho: float, ratio: float, fraction: float) -> float:
    """Variance at equal cost, as a multiple of that of the expensive rating alone.

    Args:
        rho: The correlation of the two ratings.
        ratio: Cost of a cheap rating divided by that of an expensive one.
        fraction: The fraction of answers with both, in (0, 1).
    """
    return (ratio + fraction) * ((1 - rho**2) / fraction + rho**2)


def least_correlation(ratio: float, fraction: float) -> float:
    """The correlation at which both ways are worth the same; more than 1 if the cheap rating never pays.

    It is where `relative_variance` is 1: rho^2 = k / ((k + f) (1 - f)).
    """
    if math.isinf(ratio):
        return math.inf
    return math.sqrt(ratio / ((ratio + fraction) * (1 - fraction)))


def correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's correlation; nan if the second rating never differs, 0 if only the first never does."""
    n = len(pairs)
    if n < 2:
        return math.nan
    x_mean, y_mean = (math.fsum(values) / n for values in zip(*pairs, strict=True))
    xx = math.fsum((x - x_mean) ** 2 for x, _ in pairs)
    yy = math.fsum((y - y_mean) ** 2 for _, y in pairs)
    if yy == 0:
        return math.nan
    xy = math.fsum((x - x_mean) * (y - y_mean) for x, y in pairs)
    return max(-1.0, min(1.0, xy / math.sqrt(xx * yy))) if xx else 0.0


def upper_limit(rho: float, n: int) -> float:
    """The upper end of the one-sided 95% interval of a correlation of `n` pairs, by Fisher's z."""
    if n < 4 or abs(rho) == 1:
        return 1.0 if n < 4 else rho
    return math.tanh(math.atanh(rho) + _ONE_SIDED_95 / math.sqrt(n - 3))
