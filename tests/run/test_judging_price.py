"""What judging an answer costs: a function of what the candidates' judgments cost, whoever paid for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from tvmerge._util.caches import Caches
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import JUDGING_USD, Recipe, Trial
from tvmerge.run.judging_price import JudgingPrice, usd_per_answer
from tvmerge.tasks.build import build_suite
from tvmerge.tasks.suite import TaskSuite
from tvmerge.testing import demo_config

CHEAP = JudgeSpec("cheap", "openai", price_input=1.0, price_output=2.0)
DEAR = JudgeSpec("dear", "openai", price_input=10.0, price_output=30.0)
UNPRICED = JudgeSpec("unpriced", "openai")
FREE_SERVER = JudgeSpec("mine", "openai", base_url="http://127.0.0.1:1/v1", price_input=0.0, price_output=0.0)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskSuite]:
    with closing(Caches(tmp_path_factory.mktemp("caches"))) as caches:
        yield build_suite(demo_config(), caches, lambda _: None)


def price_of(suite: TaskSuite, *specs: JudgeSpec) -> JudgingPrice:
    return JudgingPrice(replace(suite, specs=specs), batched=False)


def trial(usd: float | None, *blocks: list[object]) -> Trial:
    priced = {} if usd is None else {JUDGING_USD: usd}
    return Trial(0, Recipe({"a": 1.0}), attrs={"blocks": list(blocks), **priced})


TRIALS = [trial(0.08, [0, 0, 4, [1.0] * 4], [2, 4, 8, [1.0] * 4]), trial(0.02, [1, 0, 2, [1.0, None]])]


def test_rules_and_judges_of_price_zero_are_free(suite: TaskSuite) -> None:
    for price in (price_of(suite, *suite.specs), price_of(suite, *suite.specs, FREE_SERVER)):
        assert price.is_free
        assert price.is_known
        assert price.usd(()) == 0.0


def test_a_price_is_the_mean_of_the_answers_that_were_judged(suite: TaskSuite) -> None:
    price = price_of(suite, DEAR, CHEAP, *suite.specs)
    assert price.is_known
    assert not price.is_free
    assert price.usd(TRIALS) == pytest.approx(0.01)


def test_blocks_in_flight_and_models_that_are_not_usable_have_no_answers_to_judge() -> None:
    others = [trial(0.04, [3, 0, 4, [1.0] * 4], [4, 4, 8, None]), trial(0.0, [5, 0, 4, []])]
    assert usd_per_answer([*TRIALS, *others]) == pytest.approx(0.01)


def test_candidates_of_which_nothing_was_recorded_do_not_count() -> None:
    assert usd_per_answer([*TRIALS, trial(None, [3, 0, 4, [1.0] * 4])]) == pytest.approx(0.01)


@pytest.mark.parametrize("trials", [[], [trial(None, [0, 0, 4, [1.0] * 4])], [trial(0.0, [0, 0, 1, [1.0]])]])
def test_before_anything_has_cost_no_price_is_known(trials: list[Trial], suite: TaskSuite) -> None:
    assert price_of(suite, CHEAP).usd(trials) is None


@pytest.mark.parametrize("specs", [(UNPRICED,), (CHEAP, UNPRICED)])
def test_with_a_judge_without_a_price_none_is_known(specs: tuple[JudgeSpec, ...], suite: TaskSuite) -> None:
    price = price_of(suite, *specs)
    assert not price.is_known
    assert not price.is_free
    assert price.usd(TRIALS) is None


def test_a_judge_of_the_callers_own_may_cost_anything(suite: TaskSuite) -> None:
    price = price_of(suite)
    assert not price.is_free
    assert not price.is_known
    assert price.usd(TRIALS) is None
    assert JudgingPrice(replace(suite, specs=(), rater=None), batched=False).is_free, "tasks rate themselves"
