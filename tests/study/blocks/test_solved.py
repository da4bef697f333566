"""The linear algebra of a search by blocks against the same with inverses of all matrices."""

from __future__ import annotations

import numpy as np
import pytest

from tests.study.blocks.searches import some_ratings
from tvmerge.study.blocks.solved import Solved, Sums, inverted

SB2, SE2 = 1.7, 2.1


@pytest.fixture
def prior() -> np.ndarray:
    """A covariance of eight candidates, of which two are the same."""
    root = np.random.RandomState(2).standard_normal((8, 5))
    root[6] = root[1]
    return root @ root.T + 9


@pytest.fixture(params=[5, 9, 40])
def data(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Ratings of eight candidates, of which the fourth has none; fewer questions than that, and more."""
    _, ratings, counts = some_ratings(8, 3, request.param, seed=4)
    counts[3] = 0
    return ratings, counts


def test_all_follows_from_what_the_ratings_say(
    prior: np.ndarray, data: tuple[np.ndarray, np.ndarray]
) -> None:
    ratings, counts = data
    precision = counts / SE2
    shrunk = 1 / SB2 + precision.sum(0)
    weighted = precision * (ratings - (ratings * counts).sum() / counts.sum())
    said = np.diag(precision.sum(1)) - precision / shrunk @ precision.T
    told = weighted.sum(1) - precision @ (weighted.sum(0) / shrunk)
    sigma = prior - prior @ said @ np.linalg.inv(np.eye(8) + prior @ said) @ prior

    found = Solved.of(prior, Sums.of(ratings, counts, SB2, SE2))
    rooted = found.sums.rooted
    assert rooted**2 == pytest.approx(precision.sum(1))
    rated = counts.any(axis=0)
    assert found.mean == pytest.approx(rooted * (sigma @ told))
    assert found.alpha == pytest.approx(told - said @ sigma @ told)
    assert found.gain == pytest.approx(said - said @ sigma @ said, abs=1e-10)
    assert found.variance == pytest.approx(rooted**2 * np.diag(sigma), abs=1e-12)
    assert found.spread == pytest.approx(rooted[:, None] * (sigma @ precision[:, rated]))
    assert found.logdet == pytest.approx(np.linalg.slogdet(np.eye(8) + prior @ said)[1])


def test_questions_that_nobody_was_asked_cost_nothing(
    prior: np.ndarray, data: tuple[np.ndarray, np.ndarray]
) -> None:
    ratings, counts = data
    found = Solved.of(prior, Sums.of(ratings, counts, SB2, SE2))
    unasked = np.full((8, 30), np.nan)
    more = Solved.of(
        prior, Sums.of(np.hstack([ratings, unasked]), np.hstack([counts, np.zeros((8, 30))]), SB2, SE2)
    )
    assert more.common.shape == found.common.shape
    assert more.log_likelihood() == found.log_likelihood()
    assert more.noise_slopes() == found.noise_slopes()
    assert max(more.lower.shape) <= 8, "no matrix has more rows than there are candidates"


def test_without_a_rating_nothing_is_known(prior: np.ndarray) -> None:
    nothing = np.zeros((8, 4))
    found = Solved.of(prior, Sums.of(nothing, nothing, SB2, SE2))
    assert found.log_likelihood() == 0
    assert not found.gain.any()
    assert not found.alpha.any()


@pytest.mark.parametrize("noise", [1e-4, 1e3])
def test_ratings_may_be_nearly_exact_or_nearly_worthless(
    prior: np.ndarray, data: tuple[np.ndarray, np.ndarray], noise: float
) -> None:
    ratings, counts = data
    found = Solved.of(1e3 * prior, Sums.of(ratings, counts, 1e3, noise))
    assert np.isfinite(found.log_likelihood())
    assert np.linalg.eigvalsh(found.gain).min() > -1e-9 / noise
    assert found.variance.min() > -1e-9


def test_an_inverse_is_symmetric_to_the_last_bit(prior: np.ndarray) -> None:
    matrix = prior + np.eye(8)
    inverse, logdet = inverted(matrix.copy())
    assert inverse @ matrix == pytest.approx(np.eye(8), abs=1e-10)
    assert np.array_equal(inverse, inverse.T)
    assert logdet == pytest.approx(np.linalg.slogdet(matrix)[1])


@pytest.mark.parametrize("wrong", [-1.0, np.nan])
def test_what_is_no_covariance_is_refused(wrong: float) -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        inverted(np.diag([1.0, wrong, 1.0]))
