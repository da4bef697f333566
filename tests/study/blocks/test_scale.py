"""Weights in [0, 2] and back."""

from __future__ import annotations

import numpy as np
import pytest

from tvmerge.records import Recipe
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.space import Space

SPACE = Space(("a", "b", "density"), -0.3, 1.7, {"density": (0.1, 0.37), "b": (0.5, 0.5)})


def test_weights_with_a_single_value_are_left_out_and_come_back() -> None:
    scale = Scale(SPACE)
    assert scale.names == ("a", "density")
    assert scale.recipe(np.array([0.0, 2.0])) == Recipe({"a": -0.3, "b": 0.5, "density": 0.37})


@pytest.mark.parametrize("seed", range(3))
def test_what_was_chosen_is_what_is_read_back(seed: int) -> None:
    scale = Scale(SPACE)
    rows = np.round(np.random.RandomState(seed).uniform(0, 2, (500, 2)), 6)
    read = np.array([scale.row(scale.recipe(row)) for row in rows])
    assert read.tobytes() == rows.tobytes()


def test_the_lower_bound_is_no_negative_zero() -> None:
    scale = Scale(Space(("a",), -0.1, 0.3))
    assert scale.row(Recipe({"a": -0.1})).tobytes() == np.zeros(1).tobytes()
    assert scale.row(Recipe({"a": -0.1 - 1e-12})).tobytes() == np.zeros(1).tobytes()
