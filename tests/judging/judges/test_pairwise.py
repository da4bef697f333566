"""Comparing with a baseline, in both orders, against a real server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion
from tvmerge.errors import ConfigError
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.judges.comparing import with_baseline
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge, find_spec
from tvmerge.records import Answer, Judgment, Question, QuestionId, Rating, Unrated

Prompts = dict[str, JudgePrompt]
ONE = Question("q", "writing", ("空の色は？",))
TWO = Question("q", "writing", ("空の色は？", "なぜ？"))
MATH = Question("q", "math", ("1+1は？",), reference=("2です。",), needs_reference=True)


def says(better: str) -> Callable[[str], str]:
    """A judge that prefers the answer that holds `better`."""

    def reply(prompt: str) -> str:
        where = prompt.rindex(better) if better in prompt else -1
        other = prompt.rindex("baseline") if "baseline" in prompt else -1
        return f"Verdict: [[{'A' if where < other else 'B'}]]"

    return reply


async def compare(
    server: OpenAIServer,
    prompts: Prompts,
    answer: Sequence[str] = ("candidate",),
    baseline: Sequence[str] = ("baseline",),
    question: Question = ONE,
    **settings: Any,
) -> Sequence[Judgment]:
    answers: dict[QuestionId, Answer] = {"q": Answer("q", tuple(baseline))}
    judge = create_judge(
        a_spec(server.base_url),
        prompts,
        [question],
        compares=True,
        policy=RequestPolicy(**settings),
        env={"TEST_KEY": KEY},
    )
    try:
        return await with_baseline(judge, answers).judge(question, Answer("q", tuple(answer)))
    finally:
        await judge.close()


async def score_of(server: OpenAIServer, prompts: Prompts, **settings: Any) -> float:
    (verdict,) = await compare(server, prompts, **settings)
    assert isinstance(verdict, Rating)
    return verdict.score


async def test_the_better_answer_wins_in_both_orders(prompts: Prompts) -> None:
    with OpenAIServer(reply=says("candidate")) as server:
        (verdict,) = await compare(server, prompts)
        assert server.answered == 2
    assert isinstance(verdict, Rating)
    assert (verdict.score, verdict.prompt) == (1.0, "pair-v2")
    assert "[[A]]" in verdict.reply
    assert "[[B]]" in verdict.reply


async def test_the_worse_answer_loses(prompts: Prompts) -> None:
    def prefers_baseline(prompt: str) -> str:
        return "[[A]]" if prompt.rindex("baseline") < prompt.rindex("candidate") else "[[B]]"

    with OpenAIServer(reply=prefers_baseline) as server:
        assert await score_of(server, prompts) == 0.0


@pytest.mark.parametrize("reply", ["[[A]]", "[[B]]", "[[C]]"])
async def test_a_judge_that_looks_at_the_order_gives_a_tie(prompts: Prompts, reply: str) -> None:
    with OpenAIServer(reply=lambda prompt: reply) as server:
        assert await score_of(server, prompts) == 0.5


async def test_each_turn_is_compared_by_its_prompt(prompts: Prompts) -> None:
    with OpenAIServer(reply=says("candidate")) as server:
        first, second = await compare(
            server, prompts, ("candidate", "candidate 2"), ("baseline", "baseline 2"), TWO
        )
        (math,) = await compare(server, prompts, question=MATH)
        assert any("2です。" in str(request.body) for request in server.requests)
    assert [first.prompt, second.prompt, math.prompt] == ["pair-v2", "pair-v2-multi-turn", "pair-math-v1"]


@pytest.mark.parametrize(
    ("answer", "baseline", "score"),
    [
        ("same", "same", 0.5),
        ("", "baseline", 0.0),
        ("candidate", "", 1.0),
        ("loop " * 20, "", 0.5),
    ],
)
async def test_what_needs_no_judge_costs_no_call(
    server: OpenAIServer, prompts: Prompts, answer: str, baseline: str, score: float
) -> None:
    (verdict,) = await compare(server, prompts, (answer,), (baseline,))
    assert isinstance(verdict, Rating)
    assert verdict.score == score
    assert verdict.note
    assert server.requests == []


async def test_one_order_without_a_verdict_leaves_it_unscored(prompts: Prompts) -> None:
    def half(prompt: str) -> str:
        return "[[A]]" if prompt.rindex("candidate") < prompt.rindex("baseline") else "neither"

    with OpenAIServer(reply=half) as server:
        (unscored,) = await compare(server, prompts)
    assert isinstance(unscored, Unrated)
    assert unscored.reason == "no [[A]], [[B]] or [[C]] in the reply"


async def test_a_pair_refused_every_time_is_nobodys_loss(prompts: Prompts) -> None:
    def refuse(request: Request, number: int) -> Response:
        return completion("", finish="content_filter")

    with OpenAIServer(script=refuse) as server:
        (unscored,) = await compare(server, prompts)
    assert isinstance(unscored, Unrated)
    assert unscored.reason.startswith("refused by the provider")


async def test_a_turn_that_the_baseline_lacks_is_unscored(server: OpenAIServer, prompts: Prompts) -> None:
    first, second = await compare(server, prompts, ("same", "candidate 2"), ("same",), TWO)
    assert isinstance(first, Rating)
    assert isinstance(second, Unrated)
    assert (second.turn, second.reason) == (2, "the baseline has no answer to this turn")
    assert server.requests == []


async def test_a_turn_that_the_candidate_lacks_is_not_judged(server: OpenAIServer, prompts: Prompts) -> None:
    (first,) = await compare(server, prompts, ("same",), ("same", "baseline 2"), TWO)
    assert first.turn == 1


async def test_a_question_without_a_baseline_is_an_error(server: OpenAIServer, prompts: Prompts) -> None:
    judge = create_judge(a_spec(server.base_url), prompts, [ONE], compares=True, env={"TEST_KEY": KEY})
    with pytest.raises(ConfigError, match="no answer to question q"):
        await judge.judge(ONE, Answer("q", ("candidate",)))
    await judge.close()


def test_the_rules_cannot_compare() -> None:
    with pytest.raises(ConfigError, match="cannot compare"):
        create_judge(find_spec("rules"), {}, compares=True)


def test_comparing_has_a_fingerprint_of_its_own(prompts: Prompts) -> None:
    spec = a_spec("http://127.0.0.1:1/v1")
    rating = create_judge(spec, prompts, env={"TEST_KEY": KEY})
    comparing = create_judge(spec, prompts, compares=True, env={"TEST_KEY": KEY})
    assert rating.fingerprint != comparing.fingerprint
