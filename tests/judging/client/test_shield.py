"""What is on the wire arrives and is kept, whoever gives up meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from tests.judging.chats import LocalChat, a_request
from tvmerge._util.cache import ContentCache
from tvmerge.errors import BudgetError, CredentialsError, OutageError, QuotaError, TransientError
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, InvalidRequestError
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.judges.llm import LLMJudge
from tvmerge.judging.judges.panel import PanelJudge
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.spec import JudgeSpec
from tvmerge.records import Answer, Question
from tvmerge.run.rating_tasks import RatingTasks, all_rated

GOOD = ChatReply("Rating: [[7]]", "stop")
SPEC = JudgeSpec("test", "openai", model="m")


class Wire:
    """Holds every request until it is let go; fails the ones told to."""

    def __init__(self, *failing: int, error: Exception | None = None) -> None:
        self.open = asyncio.Event()
        self.begun = 0
        self.ended = 0
        self._failing = failing
        self._error = error
        self.model = LocalChat(self._answer)

    async def sent(self, number: int) -> None:
        """Wait until so many are on the wire."""
        while self.begun < number:
            await asyncio.sleep(0.001)

    async def _answer(self, request: ChatRequest) -> ChatReply:
        number = self.begun
        self.begun += 1
        if number in self._failing and self._error is not None:
            raise self._error
        try:
            await self.open.wait()
        finally:
            self.ended += 1
        return GOOD


async def _stored(chat: ChatModel, folder: Path) -> int:
    await chat.close()
    cache = ContentCache(folder)
    try:
        return len(cache)
    finally:
        cache.close()


async def test_a_turn_that_is_on_the_wire_when_the_other_fails_is_kept(
    tmp_path: Path, prompts: dict[str, JudgePrompt]
) -> None:
    wire = Wire(1, error=QuotaError("used up"))
    ledger = Ledger()
    chat = pipeline(
        wire.model, SPEC, RequestPolicy(cache=ContentCache(tmp_path), ledger=ledger, concurrency=2)
    )
    judge = LLMJudge(name="test", chat=chat, prompts=prompts, model={})
    question = Question("q", "writing", ("春？", "夏？"))
    rating = asyncio.create_task(judge.judge(question, Answer("q", ("春です。", "夏です。"))))
    await wire.sent(2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not rating.done()
    wire.open.set()
    with pytest.raises(QuotaError):
        await rating
    assert ledger.calls == 1
    assert await _stored(chat, tmp_path) == 1


@pytest.mark.parametrize("cached", [False, True])
async def test_a_cancelled_call_ends_when_its_reply_is_kept(tmp_path: Path, cached: bool) -> None:
    wire = Wire()
    ledger = Ledger()
    policy = RequestPolicy(cache=ContentCache(tmp_path) if cached else None, ledger=ledger)
    chat = pipeline(wire.model, SPEC, policy)
    call = asyncio.create_task(chat.send(a_request()))
    await wire.sent(1)
    call.cancel()
    wire.open.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ledger.calls == 1
    assert await _stored(chat, tmp_path) == cached


async def test_a_call_that_waits_in_line_is_cancelled_at_once_and_never_sent() -> None:
    wire = Wire()
    chat = pipeline(wire.model, SPEC, RequestPolicy(concurrency=1))
    first = asyncio.create_task(chat.send(a_request("first")))
    await wire.sent(1)
    second = asyncio.create_task(chat.send(a_request("second")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    wire.open.set()
    assert await first == GOOD
    assert wire.begun == 1


async def test_a_cancelled_call_whose_attempt_fails_is_not_tried_again() -> None:
    wire = Wire()
    failing = asyncio.Event()

    async def answer(request: ChatRequest) -> ChatReply:
        wire.begun += 1
        await failing.wait()
        raise TransientError("down", status=503)

    chat = pipeline(LocalChat(answer), SPEC, RequestPolicy())
    call = asyncio.create_task(chat.send(a_request()))
    await wire.sent(1)
    call.cancel()
    failing.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert wire.begun == 1


@pytest.mark.parametrize("cached", [False, True])
async def test_a_second_cancellation_waits_for_nothing(tmp_path: Path, cached: bool) -> None:
    wire = Wire()
    chat = pipeline(wire.model, SPEC, RequestPolicy(cache=ContentCache(tmp_path) if cached else None))
    call = asyncio.create_task(chat.send(a_request()))
    await wire.sent(1)
    for _ in range(2):
        call.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert wire.ended == 1
    assert await _stored(chat, tmp_path) == 0


def _question(number: int) -> tuple[Question, Answer]:
    return Question(f"q{number}", "writing", ("春？",)), Answer(f"q{number}", (f"{number}は春です。",))


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (CredentialsError("401"), CredentialsError),
        (QuotaError("used up"), QuotaError),
        (InvalidRequestError("no such model", status=404, certain=True), InvalidRequestError),
        (TransientError("down", status=503), OutageError),
    ],
)
async def test_after_a_failure_that_concerns_all_nothing_more_is_sent(
    prompts: dict[str, JudgePrompt], error: Exception, seen: type[Exception]
) -> None:
    wire = Wire(0, error=error)
    chat = pipeline(wire.model, SPEC, RequestPolicy(concurrency=1, patience=0))
    await _fails_at_once(LLMJudge(name="test", chat=chat, prompts=prompts, model={}), seen)
    assert wire.begun == 1


async def test_after_the_budget_nothing_more_is_sent_though_it_would_fit(
    prompts: dict[str, JudgePrompt],
) -> None:
    wire = Wire()
    ledger = Ledger()
    spec = JudgeSpec("test", "openai", model="m", price_input=1.0, price_output=0.0)
    policy = RequestPolicy(ledger=ledger, budget=Budget(ledger, max_cost=0.01), concurrency=2)
    judge = LLMJudge(name="test", chat=pipeline(wire.model, spec, policy), prompts=prompts, model={})
    # The first answer is too long for the budget, all others would fit.
    await _fails_at_once(judge, BudgetError, first="、".join(map(str, range(5_000))))
    assert wire.begun == 0


async def _fails_at_once(judge: LLMJudge, expected: type[Exception], first: str = "春です。") -> None:
    ratings = RatingTasks(judge)
    question, _ = _question(0)
    tasks = [ratings.start(question, Answer(question.question_id, (first,)))]
    tasks += [ratings.start(*_question(number)) for number in range(1, 34)]
    with pytest.raises(expected):
        await all_rated(tasks)
    await ratings.drain(10)


async def test_draining_sends_nothing_more_and_keeps_what_is_on_the_wire(
    tmp_path: Path, prompts: dict[str, JudgePrompt]
) -> None:
    wire = Wire()
    chat = pipeline(wire.model, SPEC, RequestPolicy(cache=ContentCache(tmp_path), concurrency=2))
    ratings = RatingTasks(LLMJudge(name="test", chat=chat, prompts=prompts, model={}))
    for number in range(34):
        ratings.start(*_question(number))
    await wire.sent(2)
    draining = asyncio.create_task(ratings.drain(60))
    await asyncio.sleep(0)
    wire.open.set()
    await draining
    assert (wire.begun, len(ratings)) == (2, 0)
    assert await _stored(chat, tmp_path) == 2


async def test_a_question_of_many_requests_loses_none_of_them_where_they_arrive_one_by_one(
    tmp_path: Path, prompts: dict[str, JudgePrompt]
) -> None:
    waiting: list[asyncio.Future[None]] = []

    async def answer(request: ChatRequest) -> ChatReply:
        waiting.append(asyncio.get_running_loop().create_future())
        await waiting[-1]
        return GOOD

    ledger = Ledger()
    policy = RequestPolicy(cache=ContentCache(tmp_path), ledger=ledger, concurrency=6)
    chat = pipeline(LocalChat(answer), SPEC, policy)
    ratings = RatingTasks(LLMJudge(name="test", chat=chat, prompts=prompts, model={}, samples=3))
    ratings.start(Question("q", "writing", ("春？", "夏？")), Answer("q", ("春です。", "夏です。")))
    while len(waiting) < 6:
        await asyncio.sleep(0.001)
    draining = asyncio.create_task(ratings.drain(60))
    for arriving in waiting:
        await asyncio.sleep(0.01)
        arriving.set_result(None)
    await draining
    assert (ledger.calls, await _stored(chat, tmp_path)) == (6, 6)


async def test_a_panel_that_one_judge_has_failed_keeps_what_others_have_in_flight_when_the_run_ends(
    tmp_path: Path, prompts: dict[str, JudgePrompt]
) -> None:
    slow = Wire()

    async def fail(request: ChatRequest) -> ChatReply:
        await slow.sent(1)
        raise QuotaError("HTTP 402")

    judges = [
        LLMJudge(
            name=name,
            chat=pipeline(model, SPEC, RequestPolicy(cache=ContentCache(tmp_path / name))),
            prompts=prompts,
            model={},
        )
        for name, model in (("failing", LocalChat(fail)), ("slow", slow.model))
    ]
    panel = PanelJudge(judges)
    ratings = RatingTasks(panel)
    ratings.start(*_question(0))
    await slow.sent(1)
    await asyncio.sleep(0.05)  # the failure stops the other judge
    draining = asyncio.create_task(ratings.drain(60))
    await asyncio.sleep(0.05)
    slow.open.set()
    await draining
    await panel.close()
    with closing(ContentCache(tmp_path / "slow")) as cache:
        assert len(cache) == 1


@pytest.mark.parametrize("grace", [0, 0.01])
async def test_draining_gives_up_what_outlasts_the_grace(
    tmp_path: Path, prompts: dict[str, JudgePrompt], grace: float
) -> None:
    wire = Wire()
    chat = pipeline(wire.model, SPEC, RequestPolicy(cache=ContentCache(tmp_path), concurrency=3))
    ratings = RatingTasks(LLMJudge(name="test", chat=chat, prompts=prompts, model={}))
    for number in range(3):
        ratings.start(*_question(number))
    await wire.sent(3)
    await ratings.drain(grace)
    assert (wire.ended, len(ratings)) == (3, 0)
    assert await _stored(chat, tmp_path) == 0
