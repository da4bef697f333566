"""One easy answer is put to each judge first; a judge that cannot rate it is told of with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.http import Response
from tests.servers.openai_server import OpenAIServer, completion, error, user_prompt
from tvmerge._util.cache import ContentCache
from tvmerge.errors import CredentialsError, ProviderError, UserError
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.judges.prompted import PromptedJudge
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge
from tvmerge.judging.smoke_test import check
from tvmerge.records import Question

Prompts = dict[str, JudgePrompt]
PLAIN = Question("q", "writing", ("空の色は？", "なぜ？"))
MATH = Question("q", "math", ("1+1は？",), reference=("2です。",), needs_reference=True)


def opened(
    server: OpenAIServer,
    prompts: Prompts,
    question: Question = PLAIN,
    *,
    pairs: bool = False,
    together: bool = False,
    policy: RequestPolicy | None = None,
) -> PromptedJudge:
    judge = create_judge(
        a_spec(server.base_url),
        prompts,
        [question],
        compares=pairs,
        together=together,
        policy=policy or RequestPolicy(patience=0.0),
        env={"TEST_KEY": KEY},
    )
    assert isinstance(judge, PromptedJudge)
    return judge


async def checked(
    server: OpenAIServer, prompts: Prompts, question: Question = PLAIN, *, pairs: bool = False
) -> None:
    judge = opened(server, prompts, question, pairs=pairs)
    try:
        await check([judge], question)
    finally:
        await judge.close()


def asked(server: OpenAIServer) -> list[str]:
    return [user_prompt(request) for request in server.requests if request.method == "POST"]


@pytest.mark.parametrize(("question", "shown"), [(PLAIN, "東京"), (MATH, "Reference")])
async def test_a_good_judge_is_asked_once_by_the_prompt_of_its_benchmark(
    prompts: Prompts, question: Question, shown: str
) -> None:
    with OpenAIServer() as server:
        await checked(server, prompts, question)
        (prompt,) = asked(server)
    assert shown in prompt
    assert question.turns[0] not in prompt


async def test_a_judge_that_compares_is_asked_for_one_comparison(prompts: Prompts) -> None:
    with OpenAIServer(reply=lambda _: "[[A]]") as server:
        await checked(server, prompts, pairs=True)
        (prompt,) = asked(server)
    assert "東京" in prompt
    assert "大阪" in prompt


@pytest.mark.parametrize(("question", "turns"), [(PLAIN, 2), (MATH, 1)])
async def test_a_judge_of_all_turns_is_asked_about_two_if_the_benchmark_has_them(
    prompts: Prompts, question: Question, turns: int
) -> None:
    with OpenAIServer() as server:
        judge = opened(server, prompts, question, together=True)
        await check([judge], question)
        await judge.close()
        (prompt,) = asked(server)
    assert f"The number of turns is {turns}." in prompt
    assert ("パリ" in prompt) == (turns == 2)


async def test_a_judge_that_rates_one_turn_of_two_fails_the_check(prompts: Prompts) -> None:
    with OpenAIServer(reply=lambda _: "Rating: [[7]]") as server:
        judge = opened(server, prompts, together=True)
        with pytest.raises(ProviderError, match="1 rating in the reply, for 2 turns"):
            await check([judge], PLAIN)
        await judge.close()


async def test_the_reply_is_kept_and_counted(prompts: Prompts, tmp_path: Path) -> None:
    ledger, cache = Ledger(), ContentCache(tmp_path)
    with OpenAIServer() as server:
        for _ in range(2):
            judge = opened(server, prompts, policy=RequestPolicy(cache=cache, ledger=ledger))
            await check([judge], PLAIN)
            await judge.close()
        assert len(asked(server)) == 1
    assert ledger.calls == 1
    cache.close()


@pytest.mark.parametrize(
    ("response", "error_class", "said"),
    [
        (completion("I would rather not say."), ProviderError, "--judge-file"),
        (completion(None, finish="length"), ProviderError, "parameters.max_tokens"),
        (completion("<think>so", finish="stop"), ProviderError, "reasoning effort"),
        (completion(""), ProviderError, "reasoning parser"),
        (completion("", finish="content_filter"), ProviderError, "name another judge"),
        (error(401, "no"), CredentialsError, "TEST_KEY"),
        (error(404, "The model `m` does not exist", code="model_not_found"), ProviderError, "does not exist"),
        (error(503, "down for maintenance"), ProviderError, "down for maintenance"),
    ],
)
async def test_a_judge_that_cannot_rate_is_told_of_in_one_line_with_a_cure(
    prompts: Prompts, response: Response, error_class: type[Exception], said: str
) -> None:
    with OpenAIServer(script=lambda request, number: response) as server:
        with pytest.raises((ProviderError, UserError)) as raised:
            await checked(server, prompts)
        assert len(asked(server)) <= 4
    assert isinstance(raised.value, error_class)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
