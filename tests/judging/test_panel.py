"""Several judges, and how far they agree."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judging.chats import KEY, a_spec
from tests.servers.openai_server import OpenAIServer, error
from tvmerge.errors import ConfigError, QuotaError
from tvmerge.judging.panel import PanelJudge, agreement
from tvmerge.judging.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.judging.rules import RulesJudge
from tvmerge.records import Answer, Question, Unscored, Verdict

QUESTION = Question("q", "writing", ("空の色は？", "なぜ？"))
ANSWER = Answer("q", ("青です。", "光が散乱するからです。"))


def verdict(score: float, judge: str, *, question: str = "q", turn: int = 1, sample: int = 0) -> Verdict:
    return Verdict(question, turn, score, judge, "single-v1", sample=sample)


async def test_every_judge_rates_every_turn(server: OpenAIServer, prompts: dict[str, JudgePrompt]) -> None:
    llm = create_judge(a_spec(server.base_url), prompts, [QUESTION], env={"TEST_KEY": KEY})
    panel = PanelJudge([llm, RulesJudge()])
    judgments = await panel.judge(QUESTION, ANSWER)
    await panel.close()
    assert [(j.turn, j.judge) for j in judgments] == [
        (1, "loopback"),
        (1, "rules"),
        (2, "loopback"),
        (2, "rules"),
    ]
    assert panel.name == "loopback+rules"
    assert panel.fingerprint == {"panel": {"loopback": llm.fingerprint, "rules": RulesJudge().fingerprint}}


def test_a_judge_sits_on_a_panel_once() -> None:
    with pytest.raises(ConfigError, match="'rules' is named twice"):
        PanelJudge([RulesJudge(), RulesJudge()])


async def test_a_judge_that_cannot_go_on_stops_the_panel(prompts: dict[str, JudgePrompt]) -> None:
    with OpenAIServer(script=lambda request, number: error(402, "pay")) as server:
        llm = create_judge(a_spec(server.base_url), prompts, [QUESTION], env={"TEST_KEY": KEY})
        panel = PanelJudge([RulesJudge(), llm])
        with pytest.raises(QuotaError):
            await panel.judge(QUESTION, ANSWER)
        await panel.close()


def test_agreement_is_krippendorffs_alpha() -> None:
    # Krippendorff's own example of two observers: units (1,1) (2,2) (3,3) (3,4) (1,1) by hand.
    units = [(1, 1), (2, 2), (3, 3), (3, 4), (1, 1)]
    evaluation = [
        verdict(score, judge, question=str(index))
        for index, pair in enumerate(units)
        for judge, score in zip("ab", pair, strict=True)
    ]
    values = [score for pair in units for score in pair]
    observed = sum((a - b) ** 2 + (b - a) ** 2 for a, b in units) / 10
    expected = sum((a - b) ** 2 for a in values for b in values) / (10 * 9)
    found = agreement([evaluation])
    assert found is not None
    assert found.alpha == pytest.approx(1 - observed / expected)
    assert (found.units, found.difference) == (5, 0.2)


def test_turns_of_different_candidates_are_not_mixed_up() -> None:
    first = [verdict(2, "a"), verdict(2, "b")]
    second = [verdict(9, "a"), verdict(9, "b")]
    found = agreement([first, second])
    assert found is not None
    assert (found.units, found.alpha) == (2, 1.0)


def test_samples_of_a_judge_count_as_one_rating() -> None:
    found = agreement(
        [[verdict(4, "a"), verdict(6, "a", sample=1), verdict(5, "b"), verdict(1, "b", turn=2)]]
    )
    assert found is not None
    assert (found.units, found.difference) == (1, 0.0)
    assert math.isnan(found.alpha)
    assert found.noise == pytest.approx(math.sqrt(2))


def test_one_judge_agrees_with_nobody() -> None:
    assert agreement([[verdict(4, "a"), Unscored("q", 1, "b", "p", "empty reply")]]) is None


def test_the_noise_of_a_judge_is_pooled_over_turns() -> None:
    evaluation = [
        verdict(4, "a"),
        verdict(6, "a", sample=1),
        verdict(7, "a", turn=2),
        verdict(7, "a", turn=2, sample=1),
    ]
    found = agreement([evaluation])
    assert found is not None
    assert found.as_json() == {"units": 0, "mean_difference": None, "alpha": None, "noise": 1.0}


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=2, max_size=20))
def test_alpha_is_one_only_for_full_agreement(pairs: list[tuple[int, int]]) -> None:
    evaluation = [
        verdict(score, judge, question=str(index))
        for index, pair in enumerate(pairs)
        for judge, score in zip("ab", pair, strict=True)
    ]
    found = agreement([evaluation])
    assert found is not None
    if len({score for pair in pairs for score in pair}) == 1:
        assert math.isnan(found.alpha)
    else:
        assert (found.alpha == 1.0) == all(a == b for a, b in pairs)
        assert found.alpha <= 1.0
