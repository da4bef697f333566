"""When two judges pay."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tvmerge.scoring.double_sampling import correlation, least_correlation, relative_variance, upper_limit


@pytest.mark.parametrize(("ratio", "fraction"), [(0.05, 0.1), (0.2, 0.3), (0.01, 0.5)])
def test_at_the_least_correlation_both_ways_are_worth_the_same(ratio: float, fraction: float) -> None:
    least = least_correlation(ratio, fraction)
    assert relative_variance(least, ratio, fraction) == pytest.approx(1)
    assert (
        relative_variance(least + 0.05, ratio, fraction)
        < 1
        < relative_variance(least - 0.05, ratio, fraction)
    )


def test_a_cheap_judge_that_is_not_cheap_never_pays() -> None:
    assert least_correlation(0.9, 0.1) >= 1
    assert least_correlation(math.inf, 0.1) > 1


def test_the_variance_is_that_of_the_regression_estimator() -> None:
    rng, n, fraction, rho, ratio = np.random.RandomState(0), 400, 0.25, 0.8, 0.1
    estimates = []
    for _ in range(2000):
        y = rng.standard_normal(n)
        x = rho * y + math.sqrt(1 - rho**2) * rng.standard_normal(n)
        sample = int(n * fraction)
        slope = np.polyfit(x[:sample], y[:sample], 1)[0]
        estimates.append(y[:sample].mean() + slope * (x.mean() - x[:sample].mean()))
    at_equal_cost = np.var(estimates) * n * (ratio + fraction)
    assert at_equal_cost == pytest.approx(relative_variance(rho, ratio, fraction), rel=0.1)


def test_a_correlation_of_ratings() -> None:
    assert correlation([(1, 2), (2, 4), (3, 6)]) == pytest.approx(1)
    assert correlation([(1, 2), (2, 1), (3, 2), (4, 1)]) == pytest.approx(-0.447, abs=1e-3)
    assert correlation([(5, 1), (5, 9)]) == 0
    assert math.isnan(correlation([(1, 5), (9, 5)]))
    assert math.isnan(correlation([]))


def test_the_upper_limit_is_passed_once_in_twenty_times() -> None:
    rng, rho, n = np.random.RandomState(0), 0.5, 40
    passed = 0
    for _ in range(2000):
        x = rng.standard_normal(n)
        y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(n)
        passed += upper_limit(correlation(list(zip(x, y, strict=True))), n) < rho
    assert passed / 2000 == pytest.approx(0.05, abs=0.015)
    assert upper_limit(0.5, 3) == 1
    assert upper_limit(1.0, 40) == 1


def test_a_correlation_is_at_most_1_where_rounding_makes_it_more() -> None:
    pairs = [(0.3, 0.8999999999999999), (0.8, 2.4000000000000004), (0.6, 1.7999999999999998)]
    assert correlation(pairs) == 1
    assert correlation([(x, -y) for x, y in pairs]) == -1
