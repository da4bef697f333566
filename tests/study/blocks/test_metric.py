"""What shares a length scale, by the names of the weights."""

from __future__ import annotations

import numpy as np
import pytest

from tvmerge.study.blocks.metric import matern52, metric_of

TENSORS = [
    "embed",
    *(f"model.layers.{i}.{kind}" for i in range(3) for kind in ("mlp.up", "mlp.down", "attn.q")),
    "norm",
]


def test_few_weights_without_structure_have_a_length_scale_each() -> None:
    metric = metric_of(["embeddings", *(f"layers.{i}" for i in range(4)), "norm"])
    # All layers are of one kind, so that their mean is a direction besides.
    assert [len(set(g)) for g in metric.groupings] == [3, 6]
    plain = metric_of(["up", "down", "gate"])
    assert (plain.scales, len(plain.groupings)) == (3, 1)
    assert np.array_equal(plain.directions, np.eye(3))


def test_kinds_in_one_part_of_a_layer_move_together_and_each_by_itself() -> None:
    names = ["embed", "q", "o", "up", "down", "head"]
    parts = {"q": "attn", "o": "attn", "up": "mlp", "down": "mlp"}
    metric = metric_of(names, parts)
    assert [g.tolist() for g in metric.groupings] == [[0, 1, 1, 2, 2, 3], list(range(6))]
    assert metric.scales == 4 + 1 + 6, "parts, all together, and each weight"
    moved = metric.project(np.array([[0.0, 1, 1, 0, 0, 0]]))[0]
    assert moved[:5] == pytest.approx([0, 2**0.5, 0, 0, 2 / 6**0.5])
    many = metric_of([f"k{i}" for i in range(20)], {f"k{i}": "attn" for i in range(9)})
    assert many.scales == 12 + 1 + 1, "too many weights for a length scale each"


@pytest.mark.parametrize("parts", [{}, {"up": "mlp"}, {"up": "mlp", "down": "mlp", "gate": "mlp"}])
def test_parts_that_tell_nothing_apart_change_nothing(parts: dict[str, str]) -> None:
    metric, plain = metric_of(["up", "down", "gate"], parts), metric_of(["up", "down", "gate"])
    assert np.array_equal(metric.directions, plain.directions)
    assert np.array_equal(metric.shared, plain.shared)
    assert len(metric.groupings) == 1


def test_the_structure_of_names_goes_before_parts() -> None:
    metric, plain = metric_of(TENSORS, dict.fromkeys(TENSORS[1:], "layers")), metric_of(TENSORS)
    assert np.array_equal(metric.directions, plain.directions)
    assert np.array_equal(metric.shared, plain.shared)


def test_many_weights_without_structure_share_one() -> None:
    metric = metric_of([f"tensor{i}" for i in range(40)])
    assert (metric.scales, metric.directions.shape) == (1, (40, 40))


def test_layers_and_kinds_are_directions_of_their_own() -> None:
    metric = metric_of(TENSORS)
    layers, kinds, each = metric.groupings
    assert layers.tolist() == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert kinds.tolist() == [0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 4]
    assert each.tolist() == list(range(11))
    assert metric.scales == 5 + 5 + 1
    assert metric.directions.shape == (5 + 5 + 11, 11)
    assert np.linalg.norm(metric.directions, axis=1) == pytest.approx(1)


def test_a_layer_that_moves_as_a_whole_moves_along_its_direction() -> None:
    metric = metric_of(TENSORS)
    moved = np.zeros((1, 11))
    moved[0, 4:7] = 1
    along = metric.project(moved)[0]
    assert along[2] == pytest.approx(3**0.5)
    assert along[[0, 1, 3, 4]] == pytest.approx(0)


def test_distances_are_in_units_of_the_length_scales() -> None:
    metric = metric_of(["up", "down"])
    a, b = np.array([[0.0, 0.0]]), np.array([[1.0, 2.0]])
    assert metric.squared_distances(a, b, np.log([0.5, 4.0])) == pytest.approx(4 + 0.25)


def test_the_kernel_falls_as_its_slope_says() -> None:
    squared = np.array([0.0, 0.3, 2.0])
    k, slope = matern52(squared)
    assert k[0] == pytest.approx(1)
    step = 1e-6
    found = -2 * (matern52(squared[1:] + step)[0] - matern52(squared[1:] - step)[0]) / (2 * step)
    assert slope[1:] == pytest.approx(found, rel=1e-5)
