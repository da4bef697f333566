"""The model of blocks against the same computed with dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from tests.study.blocks.searches import some_ratings
from tvmerge.study.blocks.metric import Metric, metric_of
from tvmerge.study.blocks.model import SPREAD, Model, Ratings

LAYERS = [f"layers.{i}" for i in range(3)]
TENSORS = [f"layers.{i}.{kind}" for i in range(3) for kind in ("up", "down")]


def kernel(metric: Metric, a: np.ndarray, b: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Prior covariance of mu + f, entry by entry."""
    lengths = np.exp(theta[: metric.scales])[metric.shared]
    found = np.empty((len(a), len(b)))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            r = np.sqrt(5 * (((metric.directions @ (one - other)) / lengths) ** 2).sum())
            found[i, j] = np.exp(2 * theta[metric.scales]) * (1 + r + r * r / 3) * np.exp(-r)
    return found + SPREAD**2


def dense(
    metric: Metric, data: Ratings, theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Covariance of all ratings, their deviations from the mean, and the row and column of each."""
    row, column = np.nonzero(data.counts)
    n = data.counts[row, column]
    covariance = kernel(metric, data.weights, data.weights, theta)[np.ix_(row, row)]
    covariance += np.exp(2 * theta[metric.scales + 1]) * (column[:, None] == column)
    covariance += np.diag(np.exp(2 * theta[metric.scales + 2]) / n)
    y = data.ratings[row, column]
    return covariance, y - (y * n).sum() / n.sum(), row, column


@pytest.fixture(params=[LAYERS, TENSORS], ids=["few weights", "layers and kinds"])
def case(request: pytest.FixtureRequest) -> tuple[Metric, Ratings, np.ndarray]:
    metric = metric_of(request.param)
    data = Ratings(*some_ratings(7, len(request.param), 9, seed=3))
    theta = Model(metric).prior + 0.3 * np.random.RandomState(1).standard_normal(metric.scales + 3)
    return metric, data, theta


def test_the_likelihood_is_that_of_the_joint_normal_distribution(
    case: tuple[Metric, Ratings, np.ndarray],
) -> None:
    metric, data, theta = case
    covariance, y, *_ = dense(metric, data, theta)
    _, logdet = np.linalg.slogdet(covariance)
    expected = -0.5 * (y @ np.linalg.solve(covariance, y) + logdet + len(y) * np.log(2 * np.pi))
    assert Model(metric).log_likelihood(data, theta)[0] == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_finite_differences(case: tuple[Metric, Ratings, np.ndarray]) -> None:
    metric, data, theta = case
    model, step = Model(metric), 1e-5
    differences = [
        (model.log_likelihood(data, theta + e)[0] - model.log_likelihood(data, theta - e)[0]) / (2 * step)
        for e in step * np.eye(len(theta))
    ]
    assert model.log_likelihood(data, theta)[1] == pytest.approx(np.array(differences), rel=1e-3, abs=1e-3)


def test_the_posterior_is_that_of_the_joint_normal_distribution(
    case: tuple[Metric, Ratings, np.ndarray],
) -> None:
    metric, data, theta = case
    covariance, y, row, _ = dense(metric, data, theta)
    points = np.random.RandomState(5).uniform(0, 2, (4, data.weights.shape[1]))
    cross = kernel(metric, points, data.weights, theta)[:, row]
    left = kernel(metric, points, points, theta) - cross @ np.linalg.solve(covariance, cross.T)
    n = data.counts[data.counts > 0]
    mu = (data.ratings[data.counts > 0] * n).sum() / n.sum()
    found = Model(metric).condition(data, theta)
    assert found.mean(points) == pytest.approx(mu + cross @ np.linalg.solve(covariance, y), rel=1e-4)
    assert found.covariance(points) == pytest.approx(left, rel=1e-3, abs=1e-4)
    assert found.sd(points) == pytest.approx(np.sqrt(np.diag(left)), rel=1e-3)


def test_pending_ratings_leave_means_and_shrink_what_is_to_be_learnt(
    case: tuple[Metric, Ratings, np.ndarray],
) -> None:
    metric, data, theta = case
    pending = np.zeros_like(data.counts)
    pending[2] = data.counts[2] == 0
    model = Model(metric)
    before = model.condition(data, theta)
    after = model.expect(before, data, pending)
    whole = Ratings(data.weights, data.ratings, data.counts + pending)
    assert after.mean(data.weights) == pytest.approx(before.mean(data.weights))
    assert after.covariance(data.weights) == pytest.approx(
        model.condition(whole, theta).covariance(data.weights)
    )
    assert after.sd(data.weights)[2] < before.sd(data.weights)[2]


def test_a_fit_is_more_probable_than_its_start_and_rounded(case: tuple[Metric, Ratings, np.ndarray]) -> None:
    metric, data, _ = case
    model = Model(metric)

    def posterior(theta: np.ndarray) -> float:
        z = (theta - model.prior) / 0.7
        return model.log_likelihood(data, theta)[0] - 0.5 * float(z @ z)

    found = model.fit(data, model.prior, 25)
    assert posterior(found) > posterior(model.prior)
    assert np.array_equal(found, np.round(found, 2))
    assert np.array_equal(found, model.fit(data, model.prior, 25))


def test_without_a_rating_the_prior_is_left() -> None:
    metric = metric_of(LAYERS)
    weights = np.ones((2, 3))
    empty = Ratings(weights, np.zeros((2, 4)), np.zeros((2, 4)))
    found = Model(metric).condition(empty, Model(metric).prior)
    assert found.mean(weights) == pytest.approx([0, 0])
    assert found.sd(weights) == pytest.approx(np.hypot(SPREAD, 1.5))
