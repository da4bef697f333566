"""Who goes from the search to the held-out comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tvmerge.errors import StudyError
from tvmerge.records import Recipe, Trial
from tvmerge.study.finalists import Candidate, choose_baselines, choose_finalists
from tvmerge.study.space import Space

SPACE = Space(("a", "b"), 0.0, 2.0)


def trial(number: int, a: float, score: float | None, *, state: str = "COMPLETE") -> Trial:
    return Trial(number, Recipe({"a": a, "b": 0.5}), score, state)


FIRST = trial(2, 0.1, 9.0)
ZERO, ONE = (Trial(n, SPACE.uniform(n), 5.0 + n, "COMPLETE") for n in (0, 1))


def test_finalists_are_the_best_with_different_weights_and_none_that_was_stopped() -> None:
    trials = [
        trial(0, 0.1, 5.0),
        trial(1, 0.2, 8.0),
        trial(2, 0.2, 9.0),
        trial(3, 0.3, 9.5, state="PRUNED"),
        trial(4, 0.4, None, state="FAIL"),
        trial(5, 0.5, 7.0),
    ]
    assert [t.number for t in choose_finalists(trials, 2)] == [2, 5]
    assert [t.number for t in choose_finalists(trials, 9)] == [2, 5, 0]
    with pytest.raises(StudyError, match="none of the 2 trials was scored"):
        choose_finalists(trials[3:5], 3)


def test_compared_are_both_baselines_and_the_best_uniform_weight() -> None:
    half, good = (Trial(n, SPACE.uniform(w), s, "COMPLETE") for n, w, s in ((2, 0.5, 8.0), (3, 0.75, 8.5)))
    stopped = Trial(4, SPACE.uniform(1.5), 9.9, "PRUNED")

    def named(candidates: Sequence[Candidate]) -> list[tuple[Any, ...]]:
        return [(e.key, e.recipe.weights["a"], e.trial and e.trial.number) for e in candidates]

    assert named(choose_baselines(SPACE, [ZERO, ONE, half, good, stopped, FIRST])) == [
        ("weight_0", 0.0, 0),
        ("weight_1", 1.0, 1),
        ("uniform", 0.75, 3),
    ]
    # Those that a race stopped have an estimate; a whole score goes before it.
    zero, low = (Trial(n, SPACE.uniform(w), s, "PRUNED") for n, w, s in ((5, 0.0, 4.2), (6, 0.25, 5.5)))
    assert named(choose_baselines(SPACE, [zero, low, ONE])) == [
        ("weight_0", 0.0, 5),
        ("weight_1", 1.0, 1),
        ("uniform", 1.0, 1),
    ]
    assert named(choose_baselines(SPACE, [zero, low]))[2] == ("uniform", 0.25, 6)
    assert named(choose_baselines(SPACE, [FIRST])) == [("weight_0", 0.0, None), ("weight_1", 1.0, None)]
