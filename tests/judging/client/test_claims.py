"""Runs that share a cache pay once for the same request, and wait for nobody who cannot answer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.judging.chats import Answering, LocalChat, a_request
from tvmerge._util.cache import ContentCache
from tvmerge.errors import CredentialsError
from tvmerge.judging.client.chat import (
    ChatModel,
    ChatReply,
    ChatRequest,
    InvalidRequestError,
    TextRefusedError,
    Usage,
)
from tvmerge.judging.client.claims import RequestClaims
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.spec import JudgeSpec

SPEC = JudgeSpec("test", "openai", model="m")
GOOD = ChatReply("Rating: [[7]]", "stop", Usage(100, 20))


@dataclass
class Run:
    """One of several runs: what it asks, what it has sent, and its books."""

    chat: ChatModel
    model: LocalChat
    ledger: Ledger


@asynccontextmanager
async def runs(
    folder: Path, *answering: Answering, concurrency: int = 4, pauses: Pauses | None = None
) -> AsyncIterator[Sequence[Run]]:
    """So many runs that share a cache, each with its own connection to it."""
    caches = [ContentCache(folder) for _ in answering]
    made = []
    for answer, cache in zip(answering, caches, strict=True):
        model, ledger = LocalChat(answer), Ledger()
        policy = RequestPolicy(cache=cache, ledger=ledger, concurrency=concurrency, pauses=pauses)
        made.append(Run(pipeline(model, SPEC, policy), model, ledger))
    try:
        yield made
    finally:
        for run, cache in zip(made, caches, strict=True):
            await run.chat.close()
            cache.close()


def signs_of_life(folder: Path, others: Collection[threading.Thread]) -> list[str]:
    """Locks of owners of claims, and threads besides `others` that count up their heartbeats."""
    locks = [path.name for path in folder.glob("*.lock")]
    threads = [thread for thread in threading.enumerate() if thread not in others]
    return locks + [thread.name for thread in threads if thread.name == "claims"]


async def answer_well(request: ChatRequest) -> ChatReply:
    await asyncio.sleep(0.02)
    return GOOD


def answer_when_all_have_begun(run: int, begun: set[int], all_have: asyncio.Event) -> Answering:
    """Answers of one of three runs, which wait until each of them has sent a request."""

    async def answer(request: ChatRequest) -> ChatReply:
        begun.add(run)
        if len(begun) == 3:
            all_have.set()
        async with asyncio.timeout(30):
            await all_have.wait()
        return await answer_well(request)

    return answer


async def test_three_runs_share_the_work_and_pay_once(tmp_path: Path) -> None:
    begun, all_have = set[int](), asyncio.Event()
    answering = [answer_when_all_have_begun(run, begun, all_have) for run in range(3)]
    async with runs(tmp_path, *answering) as three:
        replies = await asyncio.gather(
            *(run.chat.send(a_request(str(n))) for run in three for n in range(24))
        )
    assert {reply.text for reply in replies} == {GOOD.text}
    sent = [request.key for run in three for request in run.model.sent]
    assert len(sent) == len(set(sent)) == 24
    assert sum(run.ledger.calls for run in three) == 24
    assert sum(run.ledger.hits for run in three) == 48
    assert all(run.ledger.calls == len(run.model.sent) for run in three)
    assert min(len(run.model.sent) for run in three) > 0


async def test_when_one_fails_another_takes_over(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def fail(request: ChatRequest) -> ChatReply:
        begun.set()
        await asyncio.sleep(0.1)
        raise CredentialsError("the key was refused")

    async with runs(tmp_path, fail, answer_well) as (one, other):
        failing = asyncio.create_task(one.chat.send(a_request()))
        await begun.wait()
        assert await other.chat.send(a_request()) == GOOD
        with pytest.raises(CredentialsError):
            await failing
    assert (len(other.model.sent), other.ledger.hits) == (1, 0)


async def test_after_a_reply_that_is_no_rating_one_of_them_asks_again(tmp_path: Path) -> None:
    bad = [ChatReply("", "stop", Usage(1, 1))]

    async def answer(request: ChatRequest) -> ChatReply:
        await asyncio.sleep(0.02)
        return bad.pop() if bad else GOOD

    async with runs(tmp_path, answer, answer) as (one, other):
        replies = await asyncio.gather(one.chat.send(a_request()), other.chat.send(a_request()))
    assert {reply.text for reply in replies} == {GOOD.text}
    assert len(one.model.sent) + len(other.model.sent) == 2


async def test_a_text_that_is_refused_is_sent_by_one_run_only(tmp_path: Path) -> None:
    async def answer(request: ChatRequest) -> ChatReply:
        bad = "bad" in str(request.body)
        await asyncio.sleep(0.05 if bad else 0.4)
        if bad:
            raise InvalidRequestError("HTTP 400: invalid", status=400)
        return GOOD

    async with runs(tmp_path, *[answer] * 3) as three:
        bad = [run.chat.send(a_request("bad")) for run in three]
        good = [run.chat.send(a_request(f"good {n}")) for n, run in enumerate(three)]
        refused = (await asyncio.gather(*bad, *good, return_exceptions=True))[:3]
    assert {type(error) for error in refused} == {TextRefusedError}
    sent = [request for run in three for request in run.model.sent if "bad" in str(request.body)]
    assert len(sent) == 1


@pytest.mark.parametrize("shapes", [("x", "y"), ("x", "x")])
async def test_two_runs_that_wait_for_each_others_refusals_both_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shapes: Sequence[str]
) -> None:
    monkeypatch.setattr("tvmerge.judging.client.claims.DECIDED", 0.3)

    async def refuse(request: ChatRequest) -> ChatReply:
        await asyncio.sleep(0.05)
        raise InvalidRequestError("HTTP 400: invalid", status=400)

    async with runs(tmp_path, refuse, refuse) as two:
        asked = [run.chat.send(a_request(text)) for run in two for text in shapes]
        refused = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)
    assert all(isinstance(error, InvalidRequestError | TextRefusedError) for error in refused)


async def test_who_waits_for_another_run_ends_at_once_when_cancelled_and_claims_nothing(
    tmp_path: Path,
) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def hold(request: ChatRequest) -> ChatReply:
        begun.set()
        await end.wait()
        return GOOD

    async with runs(tmp_path, hold, answer_well, answer_well) as (one, other, third):
        holding = asyncio.create_task(one.chat.send(a_request()))
        await begun.wait()
        waiting = asyncio.create_task(other.chat.send(a_request()))
        await asyncio.sleep(0.2)
        waiting.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert time.monotonic() - started < 1
        end.set()
        assert await holding == GOOD
        assert (await third.chat.send(a_request())).cached
    assert (other.model.sent, third.model.sent) == ([], [])


async def test_a_claim_takes_no_place_of_other_requests(tmp_path: Path) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def hold(request: ChatRequest) -> ChatReply:
        begun.set()
        await end.wait()
        return GOOD

    async with runs(tmp_path, hold, answer_well, concurrency=1) as (one, other):
        holding = asyncio.create_task(one.chat.send(a_request("held")))
        await begun.wait()
        waiting = asyncio.create_task(other.chat.send(a_request("held")))
        assert await other.chat.send(a_request("free")) == GOOD
        end.set()
        assert (await holding, await waiting) == (GOOD, GOOD)
    assert len(other.model.sent) == 1


async def test_a_long_wait_for_another_run_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvmerge.judging.client.claims.SHOWN_AFTER", 0.0)
    begun, shown = asyncio.Event(), asyncio.Event()
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        shown.set()

    async def hold(request: ChatRequest) -> ChatReply:
        begun.set()
        await shown.wait()
        return GOOD

    async with asyncio.timeout(10), runs(tmp_path, hold, hold, pauses=Pauses(show)) as (one, other):
        await asyncio.gather(one.chat.send(a_request()), other.chat.send(a_request()))
    assert lines == ["waiting: another run is asking for the same ratings", ""]


@pytest.mark.parametrize("later", ["take", "let_go", "close"])
async def test_after_a_fault_of_the_claims_nobody_waits_for_them(tmp_path: Path, later: str) -> None:
    notes: list[str] = []
    others = threading.enumerate()
    one, other = RequestClaims(tmp_path, notes.append), RequestClaims(tmp_path, notes.append)
    assert await one.take("1" * 64)
    assert await other.taken("1" * 64)
    with closing(sqlite3.connect(tmp_path / "claims.db")) as database, database:
        database.execute("ALTER TABLE claims RENAME TO elsewhere")
    match later:
        case "take":
            assert await one.take("2" * 64), "it is asked without a claim"
        case "let_go":
            one.let_go("1" * 64)
        case "close":
            await one.close()
    while not notes:
        await asyncio.sleep(0.01)
    with closing(sqlite3.connect(tmp_path / "claims.db")) as database, database:
        database.execute("ALTER TABLE elsewhere RENAME TO claims")
    assert not await other.taken("1" * 64)
    assert await other.take("1" * 64)
    for claims in {one, other} if later != "close" else {other}:
        await claims.close()
    (note,) = notes
    assert "may pay for the same ratings" in note
    assert signs_of_life(tmp_path, others) == []


async def test_without_a_place_for_claims_ratings_are_paid_for_and_a_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("not a folder", encoding="utf-8")
    lines: list[str] = []
    cache, model = ContentCache(tmp_path), LocalChat(answer_well)
    chat = pipeline(model, SPEC, RequestPolicy(cache=cache, concurrency=2, note=lines.append))
    for text in ("one", "two"):
        assert await chat.send(a_request(text)) == GOOD
    await chat.close()
    cache.close()
    (line,) = lines
    assert "runs that share the cache may pay for the same ratings" in line
