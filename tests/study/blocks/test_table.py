"""The table of asks as ratings for the model."""

from __future__ import annotations

import numpy as np

from tvmerge.study.blocks.table import Ask, Table

WEIGHTS = np.array([[0.0], [1.0], [2.0], [0.5]])
ASKS = (
    Ask(0, 0, 0, 2, (4.0, None)),
    Ask(1, 1, 0, 2, (2.0, 6.0)),
    Ask(2, 2, 0, 2, ()),
    Ask(3, 0, 2, 3, (8.0,)),
)
PENDING = (Ask(4, 3, 1, 3), Ask(5, 1, 2, 3))


def test_ratings_are_those_of_usable_candidates_and_the_others_are_left_out() -> None:
    data, trials, waiting = Table(WEIGHTS, ASKS, PENDING, 3).ratings(2.0)
    assert trials == [0, 1, 3]
    assert data.weights.tolist() == [[0.0], [1.0], [0.5]]
    assert (data.ratings * (data.counts > 0)).tolist() == [[2, 0, 4], [1, 3, 0], [0, 0, 0]]
    assert data.counts.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert waiting.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 1]]


def test_the_ratings_of_the_first_asks_know_nothing_of_later_ones() -> None:
    data, trials, waiting = Table(WEIGHTS, ASKS, PENDING, 3).ratings(1.0, first=2)
    assert trials == [0, 1]
    assert data.counts.sum() == 3
    assert not waiting.any()
