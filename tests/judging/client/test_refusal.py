"""A text that is refused is told from a form that is, by whether others are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.judging.chats import KEY, LocalChat, a_spec
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, completion, error, user_prompt
from tvmerge._util.cache import ContentCache
from tvmerge.errors import BudgetError, CredentialsError
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.chat import ChatReply, ChatRequest, InvalidRequestError, TextRefusedError
from tvmerge.judging.client.concurrency import ConcurrencyLimitedChat, ConcurrencyLimiter
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.refusal import RefusalChat
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.registry import create_judge
from tvmerge.protocols import Judge
from tvmerge.records import Answer, Judgment, Question, Rating, Unrated
from tvmerge.run.rating_tasks import RatingTasks, all_rated

Prompts = dict[str, JudgePrompt]
QUESTION = Question("q", "writing", ("俳句を詠んで。",))
UNKNOWN = error(400, "Invalid request")


def refusing(response: Response, *texts: int) -> Callable[[Request, int], Response | None]:
    """A server that answers thus to some answers, and rates all others."""
    return lambda request, number: response if any(_says(request, text) for text in texts) else None


def _says(request: Request, text: int) -> bool:
    return f"第{text}番" in user_prompt(request)


@asynccontextmanager
async def judging(server: OpenAIServer, prompts: Prompts, **settings: Any) -> AsyncIterator[Judge]:
    policy = RequestPolicy(patience=0, **settings)
    judge = create_judge(a_spec(server.base_url), prompts, [QUESTION], policy=policy, env={"TEST_KEY": KEY})
    try:
        yield judge
    finally:
        await judge.close()


def answer(number: int) -> Answer:
    """A separate answer for every number."""
    return Answer("q", (f"第{number}番の答えです。",))


async def judge_all(
    server: OpenAIServer, prompts: Prompts, count: int, **settings: Any
) -> Sequence[Judgment]:
    """The judgments of so many answers, all asked for at once."""
    async with judging(server, prompts, **settings) as judge:
        ratings = RatingTasks(judge)
        try:
            rated = await all_rated([ratings.start(QUESTION, answer(number)) for number in range(count)])
        finally:
            await ratings.drain(10)
    return [judgment for _, judgments in rated for judgment in judgments]


@pytest.mark.parametrize(
    ("status", "refused"), [(400, 0), (400, 2), (400, 4), (403, 0), (403, 2), (404, 1), (415, 0), (422, 4)]
)
async def test_a_text_that_is_refused_among_others_is_unscored_wherever_it_comes(
    prompts: Prompts, status: int, refused: int
) -> None:
    with OpenAIServer(script=refusing(error(status, "Invalid request"), refused)) as server:
        judgments = await judge_all(server, prompts, 5)
        assert len(server.requests) == 5
    unscored = judgments[refused]
    assert isinstance(unscored, Unrated)
    assert unscored.reason == f"refused by the provider: HTTP {status}: Invalid request"
    assert sum(isinstance(judgment, Rating) for judgment in judgments) == 4


@pytest.mark.parametrize("concurrency", [1, 2, 8])
async def test_two_texts_refused_at_first_wait_for_the_one_that_is_answered(
    prompts: Prompts, concurrency: int
) -> None:
    with OpenAIServer(script=refusing(UNKNOWN, 0, 1)) as server:
        judgments = await judge_all(server, prompts, 4, concurrency=concurrency)
    assert [type(judgment) for judgment in judgments] == [Unrated, Unrated, Rating, Rating]


@pytest.mark.parametrize(("count", "sent"), [(2, 2), (3, 3), (40, 3)])
async def test_where_no_text_is_answered_it_is_the_form(prompts: Prompts, count: int, sent: int) -> None:
    with OpenAIServer(script=lambda request, number: UNKNOWN) as server:
        with pytest.raises(InvalidRequestError, match="HTTP 400: Invalid request"):
            await judge_all(server, prompts, count)
        # One more may have been on its way when the last of them was refused.
        assert sent <= len(server.requests) <= sent + 1


async def test_a_text_refused_alone_is_unscored_and_the_next_one_decides(prompts: Prompts) -> None:
    with OpenAIServer(script=lambda request, number: UNKNOWN) as server:
        async with judging(server, prompts) as judge:
            (first,) = await judge.judge(QUESTION, answer(0))
            with pytest.raises(InvalidRequestError):
                await judge.judge(QUESTION, answer(1))
    assert isinstance(first, Unrated)


async def test_refusals_in_a_row_stop_a_run_that_was_answered_before(prompts: Prompts) -> None:
    def later(request: Request, number: int) -> Response | None:
        return error(403, "No access") if number >= 3 else None

    with OpenAIServer(script=later) as server:
        with pytest.raises(InvalidRequestError, match="No access"):
            await judge_all(server, prompts, 40)
        assert 8 <= len(server.requests) <= 9


async def test_refusals_with_an_answer_between_stop_nothing(prompts: Prompts) -> None:
    odd = range(1, 40, 2)
    with OpenAIServer(script=refusing(UNKNOWN, *odd)) as server:
        judgments = await judge_all(server, prompts, 40)
    assert sum(isinstance(judgment, Unrated) for judgment in judgments) == len(odd)


MINDED = [
    error(400, "Content Exists Risk"),
    completion("", finish="content_filter"),
    completion(None, refusal="I cannot rate that."),
]


@pytest.mark.parametrize("minded", MINDED)
async def test_texts_that_are_all_refused_for_their_content_end_the_run_at_last(
    prompts: Prompts, minded: Response
) -> None:
    def script(request: Request, number: int) -> Response | None:
        return minded if number else None

    with OpenAIServer(script=script) as server:
        with pytest.raises(InvalidRequestError, match="refused 20 texts in a row and answered none between"):
            await judge_all(server, prompts, 40, reasks=0)
        assert 21 <= len(server.requests) <= 22


@pytest.mark.parametrize("minded", MINDED)
@pytest.mark.parametrize("count", [5, 40])
async def test_a_provider_that_minds_every_text_from_the_first_on_rates_none(
    prompts: Prompts, minded: Response, count: int
) -> None:
    with OpenAIServer(script=lambda request, number: minded) as server:
        with pytest.raises(InvalidRequestError, match="refused 5 texts in a row and answered none between"):
            await judge_all(server, prompts, count)
        assert 5 <= len(server.requests) <= 6


@pytest.mark.parametrize("minded", MINDED)
async def test_texts_minded_at_first_get_the_floor_when_another_is_answered(
    prompts: Prompts, minded: Response
) -> None:
    with OpenAIServer(script=refusing(minded, 0, 1)) as server:
        judgments = await judge_all(server, prompts, 4)
    scores = [judgment.score for judgment in judgments if isinstance(judgment, Rating)]
    assert len(scores) == 4
    assert scores[:2] == [1, 1]


@pytest.mark.parametrize("minded", MINDED)
@pytest.mark.parametrize("count", [1, 3])
async def test_the_only_texts_that_were_ever_asked_about_and_minded_get_no_rating(
    prompts: Prompts, minded: Response, count: int
) -> None:
    with OpenAIServer(script=lambda request, number: minded) as server:
        judgments = await judge_all(server, prompts, count)
        assert len(server.requests) == 4 * count
    for judgment in judgments:
        assert isinstance(judgment, Unrated)
        assert judgment.reason.startswith("refused by the provider: HTTP ")


async def test_a_text_minded_beside_stored_answers_gets_the_floor(prompts: Prompts, tmp_path: Path) -> None:
    with OpenAIServer(script=refusing(MINDED[0], 1)) as server:
        await judge_all(server, prompts, 1, cache=ContentCache(tmp_path))
        async with judging(server, prompts, cache=ContentCache(tmp_path)) as judge:
            await judge.judge(QUESTION, answer(0))
            (judgment,) = await judge.judge(QUESTION, answer(1))
    assert isinstance(judgment, Rating)
    assert judgment.score == 1


async def test_a_form_that_is_never_answered_is_not_saved_by_another_that_is() -> None:
    async def reply(request: ChatRequest) -> ChatReply:
        if "schema" in request.body:
            raise InvalidRequestError("no schema", status=400)
        return ChatReply("[[7]]", "stop")

    def request(number: int) -> ChatRequest:
        schema: dict[str, object] = {"schema": {}} if number % 2 else {}
        return ChatRequest("test", "nowhere", {"messages": [], **schema}, RatingFormat(), sample=number)

    limiter = ConcurrencyLimiter(1)
    chat = RefusalChat(ConcurrencyLimitedChat(LocalChat(reply), limiter), limiter)
    outcomes = await asyncio.gather(*(chat.send(request(n)) for n in range(8)), return_exceptions=True)
    assert any(isinstance(outcome, InvalidRequestError) for outcome in outcomes)
    assert not any(isinstance(outcome, TextRefusedError) for outcome in outcomes)


async def test_a_refused_key_is_a_matter_of_the_key(prompts: Prompts) -> None:
    with OpenAIServer(script=refusing(error(401, "no"), 2)) as server, pytest.raises(CredentialsError):
        await judge_all(server, prompts, 5)


async def test_a_model_that_is_not_there_is_asked_for_once_and_others_are_named(prompts: Prompts) -> None:
    gone = error(404, "The model `m` does not exist", code="model_not_found", param="model")
    with OpenAIServer(script=lambda request, number: gone) as server:
        with pytest.raises(
            InvalidRequestError, match=r"no such model \(HTTP 404: .*another judge, as .*claude"
        ):
            await judge_all(server, prompts, 40)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "param", ["model", "messages", "top_p", "stream", "n", "messages[0].content", "user"]
)
async def test_no_parameter_is_refused_without_end(prompts: Prompts, param: str) -> None:
    refusal = error(400, f"Unsupported: {param}", param=param)
    ledger = Ledger()
    with OpenAIServer(script=lambda request, number: refusal) as server:
        with pytest.raises((InvalidRequestError, BudgetError)):
            await judge_all(server, prompts, 3, ledger=ledger, budget=Budget(ledger, max_calls=5))
        assert len(server.requests) <= 5


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (UNKNOWN, Unrated),
        (error(400, "maximum context length is 8192 tokens"), Unrated),
        (error(400, "Content Exists Risk"), Rating),
        (error(451, "no"), Rating),
        (completion("", finish="content_filter"), Rating),
    ],
)
async def test_a_rerun_does_not_ask_for_a_refused_text_again(
    prompts: Prompts, tmp_path: Path, response: Response, kind: type[Judgment]
) -> None:
    with OpenAIServer(script=refusing(response, 3)) as server:
        first = await judge_all(server, prompts, 4, cache=ContentCache(tmp_path))
        sent = len(server.requests)
        again = await judge_all(server, prompts, 4, cache=ContentCache(tmp_path))
        assert len(server.requests) == sent
    assert isinstance(first[3], kind)
    assert again == first


BLOCKED = [error(403, "Your request was blocked."), Response("<html><title>Blocked</title></html>", 400)]


@pytest.mark.parametrize("blocked", BLOCKED)
async def test_a_block_of_the_network_rates_no_answer_and_ends_the_run(
    prompts: Prompts, blocked: Response
) -> None:
    async with judging_all_but_the_first(blocked, prompts) as judge:
        (first,) = await judge.judge(QUESTION, answer(0))
        assert isinstance(first, Rating)
        for number in range(1, 5):
            (judgment,) = await judge.judge(QUESTION, answer(number))
            assert isinstance(judgment, Unrated)
        with pytest.raises(InvalidRequestError, match="locked"):
            await judge.judge(QUESTION, answer(5))


@asynccontextmanager
async def judging_all_but_the_first(response: Response, prompts: Prompts) -> AsyncIterator[Judge]:
    with OpenAIServer(script=lambda request, number: response if number else None) as server:
        async with judging(server, prompts) as judge:
            yield judge


@pytest.mark.parametrize("blocked", BLOCKED)
async def test_an_answer_that_a_firewall_may_have_blocked_is_sent_again_by_the_next_run(
    prompts: Prompts, tmp_path: Path, blocked: Response
) -> None:
    blocks: tuple[int, ...] = (1, 3)

    def script(request: Request, number: int) -> Response | None:
        return blocked if any(_says(request, text) for text in blocks) else None

    with OpenAIServer(script=script) as server:
        first = await judge_all(server, prompts, 5, cache=ContentCache(tmp_path))
        blocks = ()
        again = await judge_all(server, prompts, 5, cache=ContentCache(tmp_path))
    assert [isinstance(judgment, Unrated) for judgment in first] == [False, True, False, True, False]
    assert all(isinstance(judgment, Rating) for judgment in again)


async def test_a_refusal_that_may_have_been_the_forms_is_asked_again(
    prompts: Prompts, tmp_path: Path
) -> None:
    ill = True

    def script(request: Request, number: int) -> Response | None:
        return UNKNOWN if ill else None

    with OpenAIServer(script=script) as server:
        with pytest.raises(InvalidRequestError):
            await judge_all(server, prompts, 4, cache=ContentCache(tmp_path))
        ill = False
        judgments = await judge_all(server, prompts, 4, cache=ContentCache(tmp_path))
    assert all(isinstance(judgment, Rating) for judgment in judgments)


async def test_a_refused_reminder_says_nothing_of_the_form(prompts: Prompts) -> None:
    def forgetful(request: Request, number: int) -> Response | None:
        if len(request.body["messages"]) > 2:
            return error(400, "Only one turn is allowed")
        return completion("I like it.") if number == 0 else None

    with OpenAIServer(script=forgetful) as server:
        judgments = await judge_all(server, prompts, 3)
    assert all(isinstance(judgment, Rating) for judgment in judgments)


async def test_a_refused_text_that_is_cancelled_while_it_waits_holds_nobody_up(prompts: Prompts) -> None:
    async def gate(request: Request) -> None:
        while _says(request, 1) and not ready:
            await asyncio.sleep(0.001)

    ready = False
    with OpenAIServer(script=refusing(UNKNOWN, 0), gate=gate) as server:
        async with judging(server, prompts, concurrency=2) as judge:
            other = asyncio.create_task(judge.judge(QUESTION, answer(1)))
            refused = asyncio.create_task(judge.judge(QUESTION, answer(0)))
            while len(server.requests) < 2:
                await asyncio.sleep(0.001)
            refused.cancel()
            with pytest.raises(asyncio.CancelledError):
                await refused
            ready = True
            (verdict,) = await other
    assert isinstance(verdict, Rating)


async def test_attempts_that_fail_are_within_the_budget(prompts: Prompts) -> None:
    ledger = Ledger()
    with OpenAIServer(
        script=lambda request, number: error(503, "down", headers={"retry-after": "0"})
    ) as server:
        judge = create_judge(
            a_spec(server.base_url),
            prompts,
            policy=RequestPolicy(ledger=ledger, budget=Budget(ledger, max_calls=3)),
            env={"TEST_KEY": KEY},
        )
        with pytest.raises(BudgetError, match="budget of 3 judge calls is used up"):
            await judge.judge(QUESTION, answer(0))
        await judge.close()
        assert len(server.requests) == 3
    assert (ledger.requests, ledger.calls) == (3, 0)
