"""The model of many candidates against the one that approximates nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.study.blocks.searches import some_ratings
from tvmerge.study.blocks import sparse
from tvmerge.study.blocks.metric import metric_of
from tvmerge.study.blocks.model import Model, Posterior, Ratings

NAMES = [f"layers.{i}" for i in range(3)]
CANDIDATES = 40
MODEL = Model(metric_of(NAMES))


@pytest.fixture
def data() -> Ratings:
    return Ratings(*some_ratings(CANDIDATES, len(NAMES), 9, seed=3))


@pytest.fixture
def points() -> np.ndarray:
    return np.random.RandomState(5).uniform(0, 2, (6, len(NAMES)))


def through(monkeypatch: pytest.MonkeyPatch, count: int, data: Ratings) -> Posterior:
    """What is known if all are seen through so many."""
    monkeypatch.setattr(sparse, "EXACT", count - 1)
    monkeypatch.setattr(sparse, "THROUGH", count)
    return MODEL.condition(data, MODEL.prior)


@pytest.mark.parametrize("questions", [9, 3 * CANDIDATES])
def test_seen_through_all_of_them_candidates_are_worth_the_same(
    monkeypatch: pytest.MonkeyPatch, points: np.ndarray, questions: int
) -> None:
    data = Ratings(*some_ratings(CANDIDATES, len(NAMES), questions, seed=3))
    exact = MODEL.condition(data, MODEL.prior)
    found = through(monkeypatch, CANDIDATES, data)
    assert found.mean(points) == pytest.approx(exact.mean(points), abs=1e-3)
    assert found.covariance(points) == pytest.approx(exact.covariance(points), abs=1e-3)


def test_seen_through_half_of_them_close_candidates_are_worth_the_same(
    monkeypatch: pytest.MonkeyPatch, data: Ratings, points: np.ndarray
) -> None:
    close = replace(data, weights=1 + (data.weights - 1) / 4)
    around = 1 + (points - 1) / 4
    exact = MODEL.condition(close, MODEL.prior)
    found = through(monkeypatch, CANDIDATES // 2, close)
    assert len(found.projected) == CANDIDATES // 2
    assert found.mean(around) == pytest.approx(exact.mean(around), abs=0.2 * exact.sd(around).min())
    assert found.sd(around) == pytest.approx(exact.sd(around), rel=0.1)


def test_ratings_in_flight_leave_means_and_shrink_what_is_to_be_learnt(
    monkeypatch: pytest.MonkeyPatch, data: Ratings
) -> None:
    before = through(monkeypatch, CANDIDATES // 2, data)
    pending = np.zeros_like(data.counts)
    pending[-1] = data.counts[-1] == 0
    after = MODEL.expect(before, data, pending)
    assert np.array_equal(after.mean(data.weights), before.mean(data.weights))
    assert after.sd(data.weights)[-1] < before.sd(data.weights)[-1]


def test_a_fit_uses_the_candidates_that_the_others_are_seen_through(
    monkeypatch: pytest.MonkeyPatch, data: Ratings
) -> None:
    monkeypatch.setattr(sparse, "EXACT", 20)
    monkeypatch.setattr(sparse, "THROUGH", 12)
    rows = sparse.chosen(data.counts)
    few = Ratings(data.weights[rows], data.ratings[rows], data.counts[rows])
    assert np.array_equal(MODEL.fit(data, MODEL.prior, 3), MODEL.fit(few, MODEL.prior, 3))


def test_up_to_a_number_of_candidates_all_count_exactly() -> None:
    assert sparse.chosen(np.ones((sparse.EXACT, 3))) is None
    assert sparse.chosen(np.ones((sparse.EXACT + 1, 3))) is not None


def test_half_of_the_chosen_have_most_ratings_and_half_are_the_newest() -> None:
    counts = np.ones((1000, 8))
    counts[100:400, 0] = 2
    counts[7] = 3
    found = sparse.chosen(counts)
    assert found is not None
    assert found.tolist() == [7, *range(251, 400), *range(850, 1000)]
