"""A reply without a rating: what is asked then, what it costs, and what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.judging.chats import LocalChat, a_request
from tests.judging.virtual_time import run
from tvmerge._util.cache import ContentCache
from tvmerge.errors import BudgetError, RequestError
from tvmerge.judging.client.budget import Budget
from tvmerge.judging.client.chat import ChatReply, ChatRequest, InvalidRequestError, TooLongError, Usage
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.reask import ReaskingChat, UnusableError
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.spec import JudgeSpec

TALK = ChatReply("<think>[[9]]</think>\nよい回答です。", "stop", Usage(100, 20))
NUMBER = ChatReply("6", "stop", Usage(130, 1))
GOOD = ChatReply("Rating: [[7]]", "stop", Usage(100, 20))
SPEC = JudgeSpec("test", "openai", model="m", price_input=1.0, price_output=10.0)


def answering(*replies: ChatReply | Exception) -> LocalChat:
    """A model that replies with these, one by one."""
    left = list(replies)

    async def answer(request: ChatRequest) -> ChatReply:
        reply = left.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return LocalChat(answer)


def sent(model: LocalChat) -> list[list[str]]:
    """The roles of the messages of each request."""
    return [[message["role"] for message in request.body["messages"]] for request in model.sent]


def ask(model: LocalChat, **policy: Any) -> ChatReply:
    """The reply to one request, by all wrappers."""

    async def once() -> ChatReply:
        chat = pipeline(model, SPEC, RequestPolicy(**policy))
        try:
            return await chat.send(a_request())
        finally:
            await chat.close()

    return run(once())


ANEW, REMINDED = ["user"], ["user", "assistant", "user"]


def test_a_judge_that_forgot_its_rating_is_asked_for_that_alone() -> None:
    model = answering(TALK, NUMBER)
    reply = ask(model)
    assert sent(model) == [ANEW, REMINDED]
    question, said, reminder = model.sent[1].body["messages"]
    assert question == a_request().body["messages"][0]
    assert said == {"role": "assistant", "content": "よい回答です。"}
    assert reminder["content"] == RatingFormat().reminder
    assert (reply.before, reply.text) == (TALK.text, "6")
    assert RatingFormat().read(reply.text, alone=True) == 6
    assert reply.whole.startswith(TALK.text)
    assert reply.whole.endswith("6")


def test_a_reminder_without_effect_is_followed_by_the_whole_question() -> None:
    model = answering(TALK, ChatReply("I cannot.", "stop"), GOOD)
    assert ask(model) == GOOD
    assert sent(model) == [ANEW, REMINDED, ANEW]


@pytest.mark.parametrize(
    "useless",
    [
        ChatReply("", "stop"),
        ChatReply("Ra", "length"),
        ChatReply("", "refused"),
        ChatReply("<think>[[3]]", "stop"),
        ChatReply("<think>[[3]]</think>", "stop"),
        ChatReply("Ra", "failed"),
    ],
)
def test_only_a_complete_reply_that_says_something_is_gone_on_from(useless: ChatReply) -> None:
    model = answering(useless, GOOD)
    assert ask(model) == GOOD
    assert sent(model) == [ANEW, ANEW]


def test_a_reminder_counts_as_one_of_the_tries() -> None:
    for reasks, requests in ((0, [ANEW]), (1, [ANEW, REMINDED]), (2, [ANEW, REMINDED, ANEW])):
        model = answering(*[TALK] * 5)
        with pytest.raises(UnusableError, match=r"no \[\[rating\]\]"):
            ask(model, reasks=reasks)
        assert sent(model) == requests


def test_a_reminder_is_paid_for_and_entered_like_any_call() -> None:
    ledger = Ledger()
    ask(answering(TALK, NUMBER), ledger=ledger)
    (usage,) = ledger.usage()
    assert (usage.calls, usage.input_tokens, usage.output_tokens) == (2, 230, 21)


def test_a_budget_without_room_for_the_reminder_stops_before_it() -> None:
    ledger = Ledger()
    model = answering(TALK)
    with pytest.raises(BudgetError):
        ask(model, ledger=ledger, budget=Budget(ledger, max_calls=1))
    assert sent(model) == [ANEW]


def test_what_was_said_in_two_replies_is_one_row_and_answers_the_question_again(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path)
    first = ask(answering(TALK, NUMBER), cache=cache)
    cache = ContentCache(tmp_path)
    assert list(cache) == [a_request().key]
    row = cache.get(a_request().key)
    assert row is not None
    assert row["reply"]["usage"] == {"input": 230, "output": 21}
    again = ask(answering(), cache=cache)
    assert again == first
    assert again.cached


@pytest.mark.parametrize("refusal", [TooLongError("too long"), InvalidRequestError("roles must alternate")])
def test_a_refused_reminder_is_followed_by_the_whole_question_and_stops_nobody(refusal: Exception) -> None:
    model = answering(TALK, refusal, GOOD)
    assert ask(model) == GOOD
    assert sent(model) == [ANEW, REMINDED, ANEW]


def test_a_refused_question_is_refused() -> None:
    with pytest.raises(RequestError):
        ask(answering(InvalidRequestError("no such model")))


def test_an_end_that_nobody_knows_is_remarked_once_and_the_rating_counts(tmp_path: Path) -> None:
    odd = ChatReply("Rating: [[7]]", "other", finish_detail="weary")
    notes: list[str] = []
    cache = ContentCache(tmp_path)

    async def twice() -> None:
        chat = pipeline(answering(odd, odd), SPEC, RequestPolicy(note=notes.append, cache=cache))
        for number in ("1", "2"):
            assert (await chat.send(a_request(number))).text == odd.text
        await chat.close()

    run(twice())
    assert notes == [
        "judge test: replies end with the unknown finish reason 'weary'; those with a rating count"
    ]
    again = LocalChat(lambda request: pytest.fail("it is in the cache"))
    cache = ContentCache(tmp_path)

    async def once_more() -> ChatReply:
        chat = pipeline(again, SPEC, RequestPolicy(cache=cache))
        try:
            return await chat.send(a_request("1"))
        finally:
            await chat.close()

    assert run(once_more()).finish == "stop"


async def test_a_failure_within_a_reply_is_waited_out_before_it_is_asked_again() -> None:
    failed = ChatReply("", "failed")
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    chat = ReaskingChat(answering(failed, failed, GOOD), sleep=sleep)
    assert await chat.send(a_request()) == GOOD
    assert waits == [1.0, 2.0]
    waits.clear()
    with pytest.raises(UnusableError, match="failed within its reply"):
        await ReaskingChat(answering(failed, failed), reasks=1, sleep=sleep).send(a_request())
    assert waits == [1.0]


def test_a_model_is_told_how_often_it_was_asked_the_same() -> None:
    other = ChatReply("まあまあです。", "stop", Usage(100, 20))
    model = answering(TALK, other, TALK, NUMBER)
    assert ask(model, reasks=3).text == NUMBER.text
    assert [(len(request.body["messages"]), request.attempt) for request in model.sent] == [
        *((1, 0), (3, 0)),
        *((1, 1), (3, 1)),
    ]
