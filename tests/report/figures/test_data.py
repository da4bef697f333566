"""What the figures show, before anything is drawn.

Several modules: the data of all figures.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.report import results
from tvmerge.records import Estimate, Recipe, Trial
from tvmerge.report import numbers
from tvmerge.report.figures import scores, weights
from tvmerge.report.history import history


def trial(number: int, value: float | None, state: str = "COMPLETE", **attrs: object) -> Trial:
    return Trial(number, Recipe({"norm": 1.0}), value, state, attrs)


def test_the_running_best_holds_the_trials_that_beat_all_before() -> None:
    told = [trial(n, value) for n, value in enumerate((5.0, 4.0, 5.0, 6.0, 5.5, 7.0))]
    data = history(replace(results.simple(), trials=tuple(told)))
    assert [point.number for point in data.running_best] == [0, 3, 5]
    assert "The best of the search is trial 5 with 7.00." in data.description


def test_failed_trials_are_marked_and_running_ones_left_out() -> None:
    told = (trial(0, 5.0), trial(1, None, "FAIL"), trial(2, None, "RUNNING"), trial(3, math.nan))
    data = history(replace(results.simple(), trials=told))
    assert [point.number for point in data.points] == [0]
    assert data.failed == (1,)


def test_baselines_are_drawn_at_their_search_scores() -> None:
    data = history(results.simple())
    assert [(r.label, r.value) for r in data.references] == [
        ("weight 0", 4.5),
        ("weight 1", 6.3),
        ("uniform 0.7", 6.5),
    ]


def test_hundreds_of_trials_get_no_error_bars() -> None:
    assert history(replace(results.simple(), trials=results.trials(60))).whiskers
    assert not history(replace(results.simple(), trials=results.trials(500))).whiskers


def test_weights_are_in_model_order_with_the_extremes_in_words() -> None:
    run = results.simple()
    best = replace(run.contenders[0], weights={"embeddings": 0.5, "layers.0": 2.0, "norm": -0.25})
    data = weights.weights(replace(run, contenders=(best,)))
    assert [name for name, _ in data.weights] == ["embeddings", "layers.0", "norm"]
    assert data.description == (
        "3 weights in model order. The smallest is -0.25 (norm), the largest 2 (layers.0)."
    )


def test_held_out_intervals_are_students_and_those_of_the_search_normal() -> None:
    row = scores.contenders(results.simple()).rows[-1]
    assert row.label == "winner"
    assert row.holdout is not None
    assert row.holdout.low == pytest.approx(6.7 - 2.069 * 0.25, abs=1e-3)  # of 24 questions
    assert row.holdout.high == pytest.approx(6.7 + 2.069 * 0.25, abs=1e-3)
    assert row.search is not None
    assert row.search.low == pytest.approx(7.4 - 1.96 * 0.21, abs=1e-3)


def test_an_estimate_of_a_search_by_blocks_has_its_interval_whatever_its_candidate_answered() -> None:
    run = results.simple()
    winner = replace(run.contenders[0], search=Estimate(7.4, 0.21, 4))
    run = replace(run, contenders=(winner, *run.contenders[1:]))
    for found, half in ((run, 0.0), (results.by_blocks(run), 1.96 * 0.21)):
        row = scores.contenders(found).rows[-1]
        assert row.search is not None
        assert row.search.low == pytest.approx(7.4 - half, abs=1e-3)


def test_too_few_questions_have_no_interval_and_no_colour() -> None:
    run = results.few(5)
    drawn = scores.contenders(run)
    row = drawn.rows[-1]
    assert row.holdout is not None
    assert row.holdout.low == row.holdout.high
    assert drawn.undecided
    svg = scores.draw_contenders(drawn)
    assert svg.count('class="undecided"') == len(drawn.rows)
    assert 'class="best"' not in svg
    assert "too few questions to say" in drawn.description
    assert 'class="best"' in scores.draw_contenders(scores.contenders(results.few(6)))


def test_a_mean_without_an_error_has_no_width_and_none_without_a_mean() -> None:
    run = results.simple()
    lone, lost = Estimate(6.0, math.nan, 1), Estimate(math.nan, math.nan, 0)
    best = replace(run.contenders[0], search=lone, holdout=lost)
    (row,) = scores.contenders(replace(run, contenders=(best,))).rows
    assert row.search is not None
    assert (row.search.low, row.search.high) == (6.0, 6.0)
    assert row.holdout is None


@pytest.mark.parametrize("se", [None, math.nan, "0.2"])
def test_an_error_that_was_not_recorded_is_unknown(se: object) -> None:
    assert numbers.standard_error(trial(0, 5.0, se=se)) is None
