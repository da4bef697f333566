"""The sentence a run comes to claims no more than the interval allows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.report import results
from tvmerge.report.conclusion import conclude, conclusion, name


def test_a_gain_whose_interval_leaves_out_0_is_claimed() -> None:
    found = conclude(results.simple((0.52, 0.2, 0.84)))
    assert found.kind == "better"
    assert found.sentence == (
        "The winner, trial 23, beats weight 1 (the plain task vector) by 0.52 "
        "on 24 held-out questions (95% interval [+0.20, +0.84])."
    )


@pytest.mark.parametrize(
    ("gain", "amount"),
    [
        ((0.3, -0.1, 0.7), "0.30 higher than"),
        ((-0.3, -0.7, 0.1), "0.30 lower than"),
        ((0.001, -0.4, 0.4), "the same as"),
        ((0.4, 0.0, 0.8), "0.40 higher than"),
        ((-0.4, -0.8, 0.0), "0.40 lower than"),
    ],
)
def test_an_interval_that_includes_0_is_no_clear_difference(
    gain: tuple[float, float, float], amount: str
) -> None:
    found = conclude(results.simple(gain))
    assert found.kind == "unclear"
    assert f"scores {amount} weight 1 (the plain task vector) on 24" in found.sentence
    assert "includes 0: no clear difference" in found.sentence


def test_a_loss_is_called_worse() -> None:
    found = conclude(results.simple((-0.6, -0.9, -0.3)))
    assert found.kind == "worse"
    assert "is worse than weight 1 (the plain task vector) by 0.60" in found.sentence
    assert "[-0.90, -0.30]" in found.sentence


def test_the_strongest_baseline_is_the_one_that_is_compared_with() -> None:
    text = conclusion(results.simple(weight_0=6.5, weight_1=6.18))
    assert text.startswith("The winner, trial 23, beats weight 0 (the untouched target) by 0.20")


def test_without_held_out_questions_the_sentence_says_so_and_gives_no_interval() -> None:
    found = conclude(results.without_holdout())
    assert found.kind == "unmeasured"
    assert found.sentence.startswith("No questions were held out; on those of the search,")
    assert "trial 23, scores 1.10 higher than weight 1" in found.sentence
    assert "flatters" in found.sentence
    assert "interval" not in found.sentence


def test_a_best_that_is_a_baseline_is_named_and_set_against_the_other() -> None:
    run = results.simple()
    best, *others = run.contenders
    text = conclusion(replace(run, contenders=(replace(best, weights=results.uniform(1)), *others)))
    assert text.startswith("The search found nothing better than weight 1 (the plain task vector), which ")
    assert "scores 0.70 higher than the best uniform weight (0.7) on 24" in text


def test_a_best_that_is_the_untouched_target_is_named_too() -> None:
    run = results.simple((-0.1, -0.5, 0.3))
    best, *others = run.contenders
    text = conclusion(replace(run, contenders=(replace(best, weights=results.uniform(0)), *others)))
    assert text.startswith(
        "The search found nothing better than weight 0 (the untouched target), which scores 0.10"
    )


def test_a_best_that_is_a_baseline_without_a_holdout_is_named() -> None:
    run = results.without_holdout()
    best, *others = run.contenders
    text = conclusion(replace(run, contenders=(replace(best, weights=results.uniform(1)), *others)))
    assert "the search found nothing better than weight 1 (the plain task vector), which scores 2.90" in text


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("gain", [(0.5, 0.5, 0.5), (0.5, 0.2, 0.8), (-2.0, -2.5, -1.5), (4.0, 3.9, 4.1)])
def test_nothing_is_claimed_from_few_questions_whatever_their_interval(
    n: int, gain: tuple[float, float, float]
) -> None:
    found = conclude(results.few(n, gain))
    assert found.kind == "too_few"
    assert "too few questions to say which is better (fewer than 6)" in found.sentence
    assert "95%" not in found.sentence


def test_six_questions_are_enough_to_claim_something() -> None:
    assert conclude(results.few(6)).kind == "better"


def test_the_strongest_baseline_may_be_a_uniform_weight() -> None:
    run = results.simple()
    uniform = results.contender("uniform", results.uniform(0.75), 6.5, 6.4, (0.93, 0.67, 1.19), n=60)
    found = conclude(replace(run, contenders=(*run.contenders[:3], uniform)))
    assert found.sentence == (
        "The winner, trial 23, beats the best uniform weight (0.75) by 0.93 on 60 held-out questions "
        "(95% interval [+0.67, +1.19])."
    )
    assert found.rival is uniform


def test_a_gain_without_an_interval_is_no_claim() -> None:
    found = conclude(results.simple((0.5, math.nan, math.nan)))
    assert found.kind == "unmeasured"
    assert "(no 95% interval)" in found.sentence
    assert "nan" not in found.sentence


def test_no_question_rated_for_both_is_no_comparison() -> None:
    found = conclude(results.simple((math.nan, math.nan, math.nan)))
    assert found.kind == "unmeasured"
    assert "too few held-out questions were rated for both" in found.sentence


def test_a_baseline_without_a_score_is_not_compared() -> None:
    run = results.simple(weight_1=math.nan)
    assert "beats best uniform weight (0.7)" not in conclusion(run)
    assert "uniform weight (0.7) on 24" in conclusion(run)


def test_without_any_baseline_the_score_stands_alone() -> None:
    run = results.simple()
    found = conclude(replace(run, contenders=run.contenders[:1]))
    assert found.kind == "unmeasured"
    assert "scores 6.70 ± 0.25 on 24 held-out questions; there is no baseline" in found.sentence


def test_a_baseline_that_is_the_best_is_not_said_to_be_missing() -> None:
    run = results.simple()
    weight_0 = run.contender("weight_0")
    assert weight_0 is not None
    found = conclude(
        replace(run, contenders=(replace(run.contenders[0], weights=weight_0.weights), weight_0))
    )
    assert found.kind == "unmeasured"
    assert found.sentence.startswith(
        "The search found nothing better than weight 0 (the untouched target), which"
    )
    assert "there is no other baseline with a score" in found.sentence


def test_the_uniform_weight_is_named() -> None:
    uniform = results.simple().contender("uniform")
    assert uniform is not None
    assert name(uniform) == "best uniform weight (0.7)"
