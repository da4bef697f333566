"""New points: in their bounds, rounded, along the groups of the weights."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState

from tvmerge.study.blocks.metric import metric_of
from tvmerge.study.blocks.steps import Steps

TENSORS = [f"layers.{i}.{kind}" for i in range(4) for kind in ("up", "down", "q")]


@pytest.mark.parametrize("names", [["one"], ["a", "b"], TENSORS], ids=["one", "two", "many"])
def test_points_are_in_bounds_and_rounded_and_the_same_again(names: list[str]) -> None:
    steps = Steps(metric_of(names).groupings, 0.25)
    best = RandomState(0).uniform(0, 2, (3, len(names)))
    best[0] = 0.0
    points = steps.draw(RandomState(1), best, 40, 200)
    assert points.shape == (200, len(names))
    assert points.min() == 0.0
    assert points.max() <= 2.0
    assert np.array_equal(points, np.round(points, 6))
    assert not np.signbit(points).any()
    assert np.array_equal(points, steps.draw(RandomState(1), best, 40, 200))


def test_a_point_around_another_differs_by_whole_layers() -> None:
    steps = Steps(metric_of(TENSORS).groupings, 0.25)
    point = steps.around(RandomState(2), np.ones(len(TENSORS)), 0.2).reshape(4, 3)
    assert len(np.unique(point)) == 4
    assert (point == point[:, :1]).all()


def test_steps_become_shorter_and_finer() -> None:
    steps = Steps(metric_of(TENSORS).groupings, 0.25)
    best = np.ones((1, len(TENSORS)))
    early, late = (steps.draw(RandomState(3), best, asks, 400) for asks in (0, 1200))
    assert np.abs(late - 1).mean() < 0.8 * np.abs(early - 1).mean()

    def whole_layers(points: np.ndarray) -> float:
        by_layer = points.reshape(-1, 4, 3)
        return float((by_layer == by_layer[:, :, :1]).all(axis=(1, 2)).mean())

    assert whole_layers(early) > 1.5 * whole_layers(late)
