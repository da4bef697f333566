"""The ledger of judging."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judging.chats import LocalChat, a_request
from tvmerge._util.cache import ContentCache
from tvmerge.errors import AssetError, TransientError, UserError
from tvmerge.judging.client.cache import CachedChat, ReplyStore
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.judge_usage import percentile
from tvmerge.judging.client.ledger import Ledger, Prices, read_ledger, read_usage
from tvmerge.judging.client.ledger_chat import LedgerChat
from tvmerge.judging.prompts.reply_format import RatingFormat


def enter_a_call(ledger: Ledger) -> None:
    ledger.record(ledger.line("a", Usage(1, 1), 0.1, 1.0))


def test_calls_are_summed_by_judge() -> None:
    ledger = Ledger()
    ledger.record(ledger.line("a", Usage(100, 10), 0.5, 1.0))
    ledger.record(ledger.line("a", Usage(200, 20), 0.25, 3.0))
    ledger.record(ledger.line("b", None, None, 2.0))
    ledger.hit("a")
    ledger.failed("b")
    first, second = ledger.usage()
    assert (first.judge, first.calls, first.hits, first.failures) == ("a", 2, 1, 0)
    assert (first.input_tokens, first.output_tokens, first.cost) == (300, 30, 0.75)
    assert first.latency == (1.0, 3.0, 3.0)
    assert (second.cost, second.failures, second.input_tokens) == (None, 1, 0)
    assert (ledger.calls, ledger.cost) == (3, 0.75)


def test_the_mean_of_a_call_is_read_without_changing_the_file_or_counting_a_line_that_is_being_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.jsonl"
    assert read_usage(path) == {}
    ledger = Ledger(path)
    ledger.record(ledger.line("a", Usage(100, 10), 0.5, 1.0))
    ledger.record(ledger.line("a", Usage(300, 20), 0.5, 1.0))
    ledger.failed("a")
    with path.open("a", encoding="utf-8") as file:
        file.write('{"judge": "a", "at"')
    before = path.read_bytes()
    assert read_usage(path) == {"a": (2, Usage(200, 15))}
    assert path.read_bytes() == before
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(AssetError, match="not a line of a ledger"):
        read_usage(path)


def test_sums_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.jsonl"
    ledger = Ledger(path, wall=lambda: 1000.0)
    ledger.record(ledger.line("a", Usage(100, 10), 0.5, 1.0))
    again = Ledger(path, wall=lambda: 2000.0)
    again.record(again.line("a", Usage(1, 1), 0.5, 1.0))
    last = Ledger(path)
    assert (last.calls, last.cost) == (2, 1.0)
    assert last.moments("a", since=1500.0) == [2000.0]


@pytest.mark.parametrize(("rest", "calls"), [('{"judge": "a", "at', 1), ("", 1)])
def test_a_line_that_a_crash_left_half_written_is_cut_off(tmp_path: Path, rest: str, calls: int) -> None:
    path = tmp_path / "ledger.jsonl"
    enter_a_call(Ledger(path))
    with path.open("a", encoding="utf-8") as file:
        file.write(rest)
    ledger = Ledger(path)
    assert ledger.calls == calls
    enter_a_call(ledger)
    assert Ledger(path).calls == calls + 1


def test_a_last_line_without_its_end_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    enter_a_call(Ledger(path))
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")
    enter_a_call(Ledger(path))
    assert Ledger(path).calls == 2


@pytest.mark.parametrize(
    "row",
    [
        '{"judge": "a"}',
        '{"judge": "a", "at": 1.0, "input": 1, "output": 1, "cost": "0.1", "seconds": 1.0}',
        '{"judge": "a", "at": 1.0, "input": null, "output": 1, "cost": 0.1, "seconds": 1.0}',
        '{"judge": ["a"], "at": 1.0, "input": 1, "output": 1, "cost": null, "seconds": 1.0}',
        '{"judge": "a", "at": 1.0, "input": 1, "output": 1, "seconds": 1.0}',
    ],
)
@pytest.mark.parametrize("read", [Ledger, read_ledger])
def test_a_file_that_is_no_ledger_is_an_error(
    tmp_path: Path, row: str, read: Callable[[Path], Ledger]
) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(f"{row}\n", encoding="utf-8")
    with pytest.raises(AssetError, match=r"ledger\.jsonl:1: not a line of a ledger"):
        read(path)


def test_failed_requests_are_counted_apart_over_all_runs_and_old_ledgers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"judge": "a", "at": 1.0, "input": 1, "output": 1, "cost": 0.1, "seconds": 1.0}\n')
    ledger = Ledger(path)
    ledger.failed("a")
    ledger.failed("a", sent=False)
    again = Ledger(path)
    assert (again.calls, again.requests, again.cost) == (1, 2, 0.1)
    assert [(row.calls, row.failures, row.cost) for row in again.usage()] == [(1, 1, 0.1)]
    assert len(again.moments("a", since=0.0)) == 2


def test_the_usage_can_be_written_into_a_result() -> None:
    ledger = Ledger()
    ledger.record(ledger.line("a", Usage(100, 10), 0.5, 1.23456))
    (usage,) = ledger.usage()
    written = json.loads(json.dumps(usage.as_json()))
    assert written["latency_seconds"] == {"p50": 1.235, "p90": 1.235, "p99": 1.235}
    assert written["cost_usd"] == 0.5


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_percentile_is_the_nearest_rank(values: list[float], share: float) -> None:
    value = percentile(values, share)
    assert value in values
    assert sum(v <= value for v in values) >= share * len(values)
    assert sum(v < value for v in values) < max(1, share * len(values))


def test_requests_in_batches_count_for_the_budget_and_for_no_rate() -> None:
    ledger = Ledger(wall=lambda: 1000.0)
    enter_a_call(ledger)
    ledger.record(ledger.line("a", Usage(1, 1), 0.1, 1.0, receipt="batch/1"))
    ledger.failed("a", receipt="batch/2")
    assert ledger.requests == 3
    assert ledger.moments("a", since=0.0) == [1000.0]


async def test_calls_and_failures_are_entered_as_they_happen() -> None:
    replies: list[ChatReply | Exception] = [
        TransientError("down"),
        ChatReply("[[1]]", "stop", Usage(1_000_000, 500_000)),
        ChatReply("[[1]]", "stop", None),
    ]

    async def answer(request: ChatRequest) -> ChatReply:
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    times = iter([0.0, 1.0, 1.0, 3.0, 10.0, 14.0])
    ledger = Ledger()
    chat = LedgerChat(LocalChat(answer), ledger, "a", prices=Prices(2.0, 10.0), clock=lambda: next(times))
    with pytest.raises(TransientError):
        await chat.send(a_request())
    await chat.send(a_request())
    known = ledger.cost
    await chat.send(a_request())
    (usage,) = ledger.usage()
    assert known == 7.0
    assert ledger.cost > known
    assert (usage.calls, usage.failures, usage.latency) == (2, 1, (2.0, 4.0, 4.0))


class LostError(TransientError):
    """A request was sent, and nothing came."""

    unanswered = True


@pytest.mark.parametrize(
    ("ends", "costs"),
    [(LostError("gone"), True), (asyncio.CancelledError(), True), (TransientError("503", status=503), False)],
)
async def test_a_request_that_the_provider_may_bill_counts_at_the_most_it_can_cost(
    tmp_path: Path, ends: BaseException, costs: bool
) -> None:
    async def answer(request: ChatRequest) -> ChatReply:
        raise ends

    path, prices = tmp_path / "ledger.jsonl", Prices(1.0, 10.0)
    ledger = Ledger(path)
    request = ChatRequest("test", "nowhere", {"user": "x" * 1000, "max_tokens": 5000}, RatingFormat())
    with pytest.raises(type(ends)):
        await LedgerChat(LocalChat(answer), ledger, "a", prices=prices).send(request)
    line = json.loads(path.read_text(encoding="utf-8"))
    assert line["failed"]
    assert line.get("at_most", False) is costs
    assert (ledger.cost > 0.05) is costs
    assert Ledger(path).cost == Ledger(path).at_most == ledger.cost == line["cost"]
    unpriced = Ledger()
    with pytest.raises(type(ends)):
        await LedgerChat(LocalChat(answer), unpriced, "a").send(request)
    unpriced.price("a", prices)
    assert unpriced.cost == ledger.cost


async def test_a_request_that_stays_in_a_batch_is_not_entered_when_a_connection_is_lost() -> None:
    async def answer(request: ChatRequest) -> ChatReply:
        raise LostError("gone")

    ledger = Ledger()
    with pytest.raises(LostError):
        await LedgerChat(LocalChat(answer), ledger, "a", prices=Prices(1.0, 1.0), left=True).send(a_request())
    assert ledger.cost == 0


async def test_calls_that_could_not_be_entered_are_written_when_the_judge_is_closed(tmp_path: Path) -> None:
    async def answer(request: ChatRequest) -> ChatReply:
        path.mkdir()  # it cannot be written now
        return ChatReply("[[1]]", "stop", Usage(1, 1))

    path = tmp_path / "ledger.jsonl"
    chat = LedgerChat(LocalChat(answer), Ledger(path), "a")
    await chat.send(a_request())
    with pytest.raises(UserError, match=r"the ledger .* cannot be written"):
        await chat.close()
    path.rmdir()
    await chat.close()
    assert Ledger(path).requests == 1


async def test_the_store_is_closed_although_the_ledger_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: ChatRequest) -> ChatReply:
        (tmp_path / "ledger.jsonl").mkdir()
        return ChatReply("[[1]]", "stop", Usage(1, 1))

    closed = []
    with closing(ContentCache(tmp_path / "cache")) as cache:
        store = ReplyStore(cache)
        chat = CachedChat(LedgerChat(LocalChat(answer), Ledger(tmp_path / "ledger.jsonl"), "a"), store)
        monkeypatch.setattr(cache, "close", lambda: closed.append(cache))
        await chat.send(a_request())
        with pytest.raises(UserError, match="the ledger"):
            await chat.close()
        monkeypatch.undo()
    assert closed == [cache]
