"""What was paid for is stored although the disk fills up, and no more is sent.

Several modules: the cache, the ledger and what sends requests.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.openai_server import OpenAIServer
from tvmerge._util.cache import ContentCache
from tvmerge.errors import UserError
from tvmerge.judging.client.chat import ChatReply
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.judging.registry import create_chat

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Filling(ContentCache):
    """A cache on a disk that is full `but for the reserve`, or `wholly`, from when that is set."""

    full = ""

    def put_packed(self, values: Mapping[str, str]) -> None:
        reserved = (self.folder / "reserve").exists()
        if self.full == "wholly" or (self.full and reserved):
            raise UserError("the cache cannot be written: No space left on device")
        super().put_packed(values)


async def ask(server: OpenAIServer, count: int, policy: RequestPolicy) -> list[ChatReply | BaseException]:
    """Ask for so many ratings at once."""
    spec = a_spec(server.base_url)
    chat = pipeline(create_chat(spec, {"TEST_KEY": KEY}), spec, policy)
    try:
        requests = [chat.request("", f"text {number}", RatingFormat()) for number in range(count)]
        return await asyncio.gather(*(chat.send(request) for request in requests), return_exceptions=True)
    finally:
        await chat.close()


async def test_replies_on_their_way_are_stored_and_no_more_are_sent(tmp_path: Path) -> None:
    cache = Filling(tmp_path)

    async def fill(_: object) -> None:
        cache.full = "but for the reserve"

    with OpenAIServer(gate=fill) as server:
        came = await ask(server, 20, RequestPolicy(cache=cache, concurrency=4))
        paid = server.answered
        assert paid <= 8
        assert {str(outcome) for outcome in came} == {
            "the cache cannot be written: No space left on device; what was paid for is stored: free "
            "disk space, "
            "then run again"
        }
        cache.full = ""
        again = await ask(server, 20, RequestPolicy(cache=Filling(tmp_path), concurrency=4))
        assert all(isinstance(reply, ChatReply) for reply in again)
        assert server.answered == 20


async def test_replies_that_cannot_be_stored_at_last_are_told_of(tmp_path: Path) -> None:
    cache = Filling(tmp_path)
    cache.full = "wholly"
    with OpenAIServer() as server, pytest.raises(UserError, match="1 replies that were paid for are lost"):
        await ask(server, 1, RequestPolicy(cache=cache))


async def test_a_reply_is_stored_although_the_ledger_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, cache = Ledger(tmp_path / "ledger.jsonl"), ContentCache(tmp_path / "cache")

    tries = iter(range(9))

    class FullDisk(FileIO):
        def write(self, content: ReadableBuffer, /) -> int:
            if next(tries) == 2:  # when the judge is closed
                return super().write(content)
            super().write(bytes(content)[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with OpenAIServer() as server:
        with monkeypatch.context() as patched:
            patched.setattr("tvmerge._util.files.FileIO", FullDisk)
            first, second = await ask(server, 2, RequestPolicy(cache=cache, ledger=ledger))
        assert isinstance(first, ChatReply)
        assert "ledger.jsonl cannot be written: No space left" in str(second)
        assert server.answered == 1
        assert Ledger(tmp_path / "ledger.jsonl").calls == 1
        await ask(server, 2, RequestPolicy(cache=cache, ledger=ledger))
        assert server.answered == 2
    assert Ledger(tmp_path / "ledger.jsonl").calls == 2
