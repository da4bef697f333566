"""What qualifies a conclusion is said, and only where it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tests.report import results
from tvmerge.report.answer_stats import answer_stats
from tvmerge.report.caveats import caveats
from tvmerge.report.conclusion import conclude
from tvmerge.report.result import ContenderKey, RunRecord, Sample

JAPANESE = "今日はとても良い天気なので、散歩に行きましょう。"


def run(gain: tuple[float, float, float] = (0.9, 0.5, 1.3), **answers: Sequence[Sample]) -> RunRecord:
    """A run without anything to remark, but for the answers given."""
    made = results.simple(gain)
    contenders = [
        replace(c, samples=tuple(answers.get(c.key, ()))) for c in made.contenders if c.key != "uniform"
    ]
    told = [trial for trial in made.trials if trial.state != "FAIL"]
    found = replace(made, contenders=tuple(contenders), trials=tuple(told))
    return _with_search(found, "best", 7.0)


def _with_search(made: RunRecord, key: ContenderKey, mean: float) -> RunRecord:
    changed = [
        replace(c, search=replace(c.search, mean=mean)) if c.key == key else c for c in made.contenders
    ]
    return replace(made, contenders=tuple(changed))


def answers(text: str = JAPANESE, *, cut_off: bool = False, rating: float | None = 7) -> list[Sample]:
    return [
        results.sample(results.question(n), [rating, rating], text=text, cut_off=cut_off) for n in range(4)
    ]


def only(made: RunRecord) -> str:
    (remark,) = caveats(made)
    return remark


def test_a_sound_gain_gets_no_remark() -> None:
    assert caveats(run(best=answers(), weight_1=answers())) == ()


def test_a_lead_beyond_the_held_out_interval_is_called_luck() -> None:
    remark = only(_with_search(run((0.2, 0.1, 0.3)), "best", 7.4))
    assert "led weight 1 (the plain task vector) by +1.10" in remark
    assert "luck" in remark


def test_a_lead_over_the_estimate_of_a_baseline_that_was_stopped_is_not_called_luck() -> None:
    made = _with_search(run((0.2, 0.1, 0.3)), "best", 7.4)
    stopped = [
        replace(c, search=replace(c.search, se=math.nan)) if c.key == "weight_1" else c
        for c in made.contenders
    ]
    assert caveats(replace(made, contenders=tuple(stopped))) == ()


def test_a_uniform_weight_that_may_do_as_well_is_mentioned() -> None:
    assert any("0.7, may do as well: the winner is +0.70" in remark for remark in caveats(results.simple()))


def test_a_uniform_weight_that_is_the_strongest_rival_is_left_to_the_conclusion() -> None:
    made = results.simple()
    uniform = results.contender("uniform", results.uniform(0.7), 6.5, 7.2, (-0.5, -0.9, -0.1))
    told = replace(made, contenders=(*made.contenders[:3], uniform))
    assert conclude(told).sentence.startswith(
        "The winner, trial 23, is worse than the best uniform weight (0.7)"
    )
    assert not any("0.7, may do" in remark for remark in caveats(told))


def test_a_best_that_is_a_uniform_weight_is_mentioned() -> None:
    made = results.simple()
    best, *others = made.contenders
    same = replace(made, contenders=(replace(best, weights=results.uniform(0.7)), *others))
    assert "The winner is a single weight for everything, 0.7." in caveats(same)


def test_answers_cut_off_more_often_are_mentioned() -> None:
    remark = only(run(best=answers(), weight_1=answers(cut_off=True)))
    assert "cut off 0% of the winner's answers and 100% of those of weight 1" in remark


def test_much_longer_answers_are_mentioned() -> None:
    assert "2.0 times as long" in only(run(best=answers(JAPANESE * 2), weight_1=answers()))


def test_much_shorter_answers_are_mentioned() -> None:
    assert "0.5 times as long" in only(run(best=answers(), weight_1=answers(JAPANESE * 2)))


def test_less_japanese_is_mentioned() -> None:
    mixed = "It is fine today. 散歩に行こう。"
    remark = only(run(best=answers(mixed), weight_1=answers(JAPANESE)))
    assert "less in Japanese" in remark
    assert "100% of those of weight 1" in remark


def test_judgments_without_a_rating_are_mentioned() -> None:
    remark = only(run(best=answers(rating=None), weight_1=answers()))
    assert "no rating for 8 answers of the winner and 0 of weight 1" in remark


def test_failed_trials_are_counted() -> None:
    assert "3 of 40 trials failed" in caveats(results.simple())[-1]


def test_the_first_failed_trial_says_why_it_failed() -> None:
    result = results.simple()
    why = [replace(t, attrs={"failure": "no rating"}) if t.state == "FAIL" else t for t in result.trials]
    first = next(trial.number for trial in why if trial.state == "FAIL")
    assert caveats(replace(result, trials=tuple(why)))[-1] == f"Trial {first}: no rating."


def test_an_english_benchmark_has_no_share_of_japanese() -> None:
    asked = replace(results.question(1), turns=("Name a colour.", "Why?"))
    found = answer_stats([results.sample(asked, [7, 7], text="Blue.")])
    assert found is not None
    assert found.japanese is None


def test_half_width_katakana_and_kanji_count_as_japanese() -> None:
    found = answer_stats([results.sample(results.question(0), [7], text="ﾊﾛｰ世界")])
    assert found is not None
    assert found.japanese == 1.0


def test_no_answers_have_no_traits() -> None:
    assert answer_stats([]) is None


def test_answers_cut_in_thought_are_mentioned_with_what_helps() -> None:
    unfinished = [
        replace(one, answer=replace(one.answer, finish=("thought", "stop"), thoughts=("hm", "so")))
        for one in answers()
    ]
    remark = only(run(best=answers(), weight_1=unfinished))
    assert "0% of the winner's answers and 50% of those of weight 1" in remark
    assert "--max-thinking-tokens" in remark
