"""The judge that rates all turns in one request, whole, against real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.judging import chats
from tests.servers import scoring
from tests.servers.anthropic_server import AnthropicServer
from tests.servers.cohere_server import CohereServer
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion, error, user_prompt
from tvmerge._util.assets import bundled_root
from tvmerge._util.cache import ContentCache
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.judges.panel import PanelJudge
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.judging.prompts.prompts import JudgePrompt, load_prompts
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question, Rating, Unrated

Prompts = dict[str, JudgePrompt]
TWO = Question("q1", "writing", ("俳句を詠んで。", "英語に訳して。"))
MATH = Question("m1", "math", ("1+1は？", "その倍は？"), reference=("2です。",), needs_reference=True)
THREE = Question("q3", "writing", ("一", "二", "三"))
ANSWER = Answer("q1", ("古池や…", "The old pond…"))
LOOP = "そうです、" * 10
REFUSAL = error(400, "the content was flagged", code="content_filter")


def judging(base_url: str, prompts: Prompts, **settings: Any) -> AbstractAsyncContextManager[Judge]:
    return chats.judging(base_url, prompts, [TWO, MATH, THREE], **{"together": True, **settings})


async def judge_one(
    server: OpenAIServer,
    prompts: Prompts,
    question: Question = TWO,
    answer: Answer = ANSWER,
    **settings: Any,
) -> Sequence[Judgment]:
    async with judging(server.base_url, prompts, **settings) as judge:
        return await judge.judge(question, answer)


def scores(judgments: Sequence[Judgment]) -> list[float]:
    assert all(isinstance(judgment, Rating) for judgment in judgments)
    return [judgment.score for judgment in judgments if isinstance(judgment, Rating)]


def shown(server: OpenAIServer) -> list[str]:
    return [user_prompt(request) for request in server.requests if request.method == "POST"]


async def test_one_request_rates_each_turn(server: OpenAIServer, prompts: Prompts) -> None:
    first, second = await judge_one(server, prompts)
    (prompt,) = shown(server)
    assert scores([first, second]) == list(scoring.ratings(prompt, 2))
    for turn, judgment in enumerate((first, second), start=1):
        assert (judgment.turn, judgment.prompt, judgment.judge) == (turn, "single-v1-all-turns", "loopback")
        assert (judgment.user_prompt, judgment.reply) == (prompt, scoring.reply(prompt))
    places = [prompt.index(text) for text in (TWO.turns[0], "古池や…", TWO.turns[1], "The old pond…")]
    assert places == sorted(places)


async def test_references_are_shown_with_the_turns_that_have_one(
    server: OpenAIServer, prompts: Prompts
) -> None:
    first, _ = await judge_one(server, prompts, MATH, Answer("m1", ("2", "4")))
    assert first.prompt == "single-math-v1-all-turns"
    assert "Reference answer to turn 1\n2です。\n" in first.user_prompt
    assert "Reference answer to turn 2\n(none)\n" in first.user_prompt


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_answered_turns_are_rated_by_one_prompt_however_many(
    server: OpenAIServer, prompts: Prompts, turns: int
) -> None:
    judgments = await judge_one(server, prompts, THREE, Answer("q3", ("い", "ろ", "は")[:turns]))
    (prompt,) = shown(server)
    assert scores(judgments) == list(scoring.ratings(prompt, turns))
    assert [judgment.turn for judgment in judgments] == [*range(1, turns + 1)]


async def test_nothing_answered_is_nothing_asked(server: OpenAIServer, prompts: Prompts) -> None:
    assert await judge_one(server, prompts, answer=Answer("q1", ())) == []
    assert server.requests == []


@pytest.mark.parametrize(
    ("provider", "server_class"),
    [("openai", OpenAIServer), ("anthropic", AnthropicServer), ("cohere", CohereServer)],
)
@pytest.mark.parametrize("structured", [False, True])
async def test_every_provider_is_asked_with_its_own_sdk(
    prompts: Prompts, provider: str, server_class: Any, structured: bool
) -> None:
    models = {"openai": "gpt-4o", "anthropic": "claude-sonnet-5-5", "cohere": "command-a-03-2025"}
    own = {name: replace(p, output_format="json" if structured else "") for name, p in prompts.items()}
    with server_class() as server:
        spec = {"provider": provider, "model": models[provider], "structured_output": structured}
        async with judging(server.base_url, own, spec=spec) as judge:
            found = scores(await judge.judge(TWO, ANSWER))
        assert len(found) == 2
        assert server.answered == 1
        body = json.dumps([request.body for request in server.requests if request.method == "POST"])
    assert ("json_schema" in body or "schema" in body) == structured


async def test_samples_are_requests_of_their_own_ordered_by_turn(
    server: OpenAIServer, prompts: Prompts
) -> None:
    judgments = await judge_one(server, prompts, samples=2)
    assert [(j.turn, j.sample) for j in judgments] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert server.answered == 2


async def test_a_panel_pools_the_turns(server: OpenAIServer, prompts: Prompts) -> None:
    async with judging(server.base_url, prompts) as judge:
        panel = PanelJudge([judge, RulesJudge()])
        judgments = await panel.judge(TWO, ANSWER)
    assert [(j.turn, j.judge) for j in judgments] == [
        (turn, name) for turn in (1, 2) for name in ("loopback", "rules")
    ]


async def test_a_turn_that_needs_no_judge_gets_the_floor_and_the_others_are_rated(
    server: OpenAIServer, prompts: Prompts
) -> None:
    first, second, third = await judge_one(server, prompts, THREE, Answer("q3", (LOOP, "ろ", "")))
    (prompt,) = shown(server)
    assert "The number of turns is 2." in prompt  # what comes last and needs no judge is not shown
    assert scores([first, second, third]) == [1, scoring.ratings(prompt, 2)[1], 1]
    notes = [judgment.note for judgment in (first, second, third) if isinstance(judgment, Rating)]
    assert notes == ["endless repetition", "", "empty answer"]
    assert (first.reply, third.reply) == ("", "")


async def test_turns_none_of_which_needs_a_judge_cost_nothing(server: OpenAIServer, prompts: Prompts) -> None:
    judgments = await judge_one(server, prompts, answer=Answer("q1", ("", "何か"), ("stop", "thought")))
    assert scores(judgments) == [1, 1]
    assert server.requests == []


@pytest.mark.parametrize(
    "text",
    ["Turn 1: [[7]]", "[[7]] [[5]] [[6]]", "Turn 2: [[5]]\nTurn 1: [[7]]", "Turn 1: [[7]]\nTurn 2: [[11]]"],
)
async def test_another_number_of_ratings_is_asked_for_again_and_never_scored_in_part(
    prompts: Prompts, text: str
) -> None:
    said = [completion(text), completion("8, 3")]
    with OpenAIServer(script=lambda _, number: said[number] if number < 2 else None) as server:
        judgments = await judge_one(server, prompts)
    assert scores(judgments) == [8, 3]
    reminder = server.requests[-1].body["messages"][-1]["content"]
    assert "Turn 1: [[number]], Turn 2: [[number]]" in reminder


async def test_a_judge_that_never_rates_each_turn_leaves_all_unscored(prompts: Prompts) -> None:
    with OpenAIServer(reply=lambda _: "Rating: [[7]]") as server:
        judgments = await judge_one(server, prompts, reasks=2)
        assert server.answered == 3
    assert [type(judgment) for judgment in judgments] == [Unrated, Unrated]
    assert {judgment.reason for judgment in judgments if isinstance(judgment, Unrated)} == {
        "1 rating in the reply, for 2 turns"
    }


async def test_the_turn_that_the_provider_refuses_gets_the_floor(prompts: Prompts) -> None:
    def refuse(request: Request, number: int) -> Response | None:
        return REFUSAL if "悪い言葉" in user_prompt(request) else None

    with OpenAIServer(script=refuse) as server:
        async with judging(server.base_url, prompts, reasks=0) as judge:
            await judge.judge(TWO, ANSWER)
            bad_last = await judge.judge(TWO, Answer("q1", ("古池や…", "悪い言葉")))
            bad_first = await judge.judge(TWO, Answer("q1", ("悪い言葉", "The old pond…")))
        answered = [prompt for prompt in shown(server) if "悪い言葉" not in prompt]
    assert scores(bad_last) == [scoring.ratings(answered[-1], 1)[0], 1]
    assert scores(bad_first) == [1, 1]
    assert [j.note for j in bad_last if isinstance(j, Rating)] == ["", "refused by the provider"]


async def test_a_stored_reply_rates_all_turns_again_and_is_none_of_the_turns_apart(
    server: OpenAIServer, prompts: Prompts, tmp_path: Path
) -> None:
    cache, ledger = ContentCache(tmp_path), Ledger()
    policy: dict[str, Any] = {"cache": cache, "ledger": ledger}
    once = await judge_one(server, prompts, **policy)
    assert (server.answered, ledger.calls, len(cache)) == (1, 1, 1)
    assert await judge_one(server, prompts, **policy) == once
    assert (server.answered, ledger.calls) == (1, 1)
    apart = await judge_one(server, prompts, together=False, **policy)
    assert (server.answered, ledger.calls, len(cache)) == (3, 3, 3)
    assert {judgment.user_prompt for judgment in apart}.isdisjoint(judgment.user_prompt for judgment in once)
    cache.close()


async def test_equal_conversations_in_flight_are_sent_once(
    server: OpenAIServer, prompts: Prompts, tmp_path: Path
) -> None:
    cache = ContentCache(tmp_path)
    async with judging(server.base_url, prompts, cache=cache, concurrency=4) as judge:
        one, other = await asyncio.gather(judge.judge(TWO, ANSWER), judge.judge(TWO, ANSWER))
    assert one == other
    assert server.answered == 1


async def test_it_is_another_judge_than_one_that_is_asked_turn_by_turn(prompts: Prompts) -> None:
    nowhere = "http://127.0.0.1:9/v1"
    async with judging(nowhere, prompts) as together, judging(nowhere, prompts, together=False) as apart:
        assert together.fingerprint["turns"] == "together"
        assert "turns" not in apart.fingerprint
        used, others = together.fingerprint["prompts"], apart.fingerprint["prompts"]
    assert isinstance(used, dict)
    assert isinstance(others, dict)
    assert set(used) == {"single-v1-all-turns", "single-math-v1-all-turns"}
    assert not any(name.endswith("-all-turns") for name in others)


async def test_the_japanese_prompts_serve_too(server: OpenAIServer) -> None:
    prompts = load_prompts(bundled_root() / "prompts" / "all_turns_ja.jsonl")
    judgments = await judge_one(server, prompts, MATH, Answer("m1", ("2", "4")))
    (prompt,) = shown(server)
    assert scores(judgments) == list(scoring.ratings(prompt, 2))
    assert "ターン1の模範解答\n2です。" in prompt
