"""Replies between their arrival and their storage, and what a kill leaves of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.judging.chats import LocalChat, a_request
from tvmerge._util.cache import ContentCache
from tvmerge._util.cache_rows import pack
from tvmerge._util.files import read_jsonl
from tvmerge.errors import UserError
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.journal import ReplyJournal, open_journal, read_journal
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.client.shared_journals import open_shared_journal
from tvmerge.judging.spec import JudgeSpec

SPEC = JudgeSpec("judge", "openai", model="m", price_input=1.0, price_output=2.0)
ROW = {"kind": "judgment"}


class Killed(BaseException):
    """Ends a task as a kill would: nothing that follows is done."""


class Folder:
    """A run folder and a cache, opened anew by each run."""

    def __init__(self, root: Path) -> None:
        self.ledger_file = root / "run" / "ledger.jsonl"
        self.journal_file = root / "run" / "ledger.journal"
        self.cache_folder = root / "cache"
        self.asked = 0

    async def ask(self, *texts: str) -> Ledger:
        """Ask for ratings of texts in a new run."""
        with closing(ContentCache(self.cache_folder)) as cache:
            ledger = Ledger(self.ledger_file)
            journal = open_journal(self.journal_file, cache, ledger)
            chat = pipeline(
                LocalChat(self._answer), SPEC, RequestPolicy(cache=cache, ledger=ledger, journal=journal)
            )
            try:
                for text in texts:
                    await chat.send(a_request(text))
            except Killed:
                journal.close()  # the end of a process closes its files
                raise
            await chat.close()
        return ledger

    async def _answer(self, request: ChatRequest) -> ChatReply:
        self.asked += 1
        return ChatReply("Rating: [[7]]", "stop", Usage(100, 20))

    @property
    def entered(self) -> list[dict[str, object]]:
        """The lines of the ledger."""
        return [row for _, row in read_jsonl(self.ledger_file)] if self.ledger_file.exists() else []


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@contextmanager
def used(journal: ReplyJournal) -> Iterator[ReplyJournal]:
    """A journal that a judge uses."""
    journal.open()
    try:
        yield journal
    finally:
        journal.close()


def kill(*_: object) -> None:
    raise Killed


def fail(*_: object) -> None:
    raise UserError("not stored")


@pytest.mark.parametrize("place", ["ledger.Ledger.record", "cache.ReplyStore.put"])
async def test_a_reply_that_has_arrived_when_the_run_is_killed_is_entered_and_stored_by_the_next(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(f"tvmerge.judging.client.{place}", kill)
        patched.setattr(ContentCache, "put_packed", fail)
        with pytest.raises(Killed):
            await folder.ask("a text")
    ledger = await folder.ask("a text")
    assert folder.asked == 1
    assert [(row["input"], row["cost"]) for row in folder.entered] == [(100, 0.00014)]
    assert (ledger.calls, ledger.hits) == (1, 1)
    assert not folder.journal_file.exists()


async def test_a_kill_while_the_next_run_takes_over_enters_nothing_twice(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("tvmerge.judging.client.cache.ReplyStore.put", kill)
        patched.setattr(ContentCache, "put_packed", fail)
        patched.setattr(Ledger, "record", kill)
        with pytest.raises(Killed):
            await folder.ask("a text")
    with monkeypatch.context() as patched:
        patched.setattr(ContentCache, "put_many", kill)
        with pytest.raises(Killed):
            await folder.ask("a text")
    assert len(folder.entered) == 1
    await folder.ask("a text")
    assert (folder.asked, len(folder.entered)) == (1, 1)


async def test_a_run_that_ends_leaves_no_journal_and_one_line_and_row_per_reply(folder: Folder) -> None:
    await folder.ask("a", "b", "c")
    assert not folder.journal_file.exists()
    assert len({row["call"] for row in folder.entered}) == 3
    with closing(ContentCache(folder.cache_folder)) as cache:
        assert len(cache) == 3


def test_what_another_run_has_stored_meanwhile_stays(folder: Folder) -> None:
    key = a_request("a").key
    with used(ReplyJournal(folder.journal_file)) as journal:
        journal.add([key], pack({"reply": "first"}), Ledger().line("j", None, 0, 1))
    with closing(ContentCache(folder.cache_folder)) as cache:
        cache.put(key, {"reply": "other"})
        open_journal(folder.journal_file, cache, Ledger(folder.ledger_file))
        assert cache.get(key) == {"reply": "other"}
    assert len(folder.entered) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-20],
        lambda content: content + b"half a rec",
        lambda content: content + b"\xff\xfe\tnull\t1:2:3\n",
        lambda content: content.replace(b'"judge": "j"', b'"judge": 4711'),
        lambda content: content.replace(b"judgment", b"jadgment"),
    ],
)
def test_records_that_are_cut_or_damaged_are_left_out(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "ledger.journal"
    whole, line = a_request("whole").key, Ledger().line("whole", None, 0.5, 1)
    with used(ReplyJournal(path)) as journal:
        journal.add([whole], pack({"kind": "whole"}), line)
        journal.add([a_request("b").key], pack(ROW), Ledger().line("j", None, 0, 1))
    path.write_bytes(damage(path.read_bytes()))
    first, *more = read_journal(path)
    assert (first.keys, first.row, first.line) == ([whole], {"kind": "whole"}, line)
    assert len(more) == (b"half" in path.read_bytes() or b"\xff" in path.read_bytes())


def test_replies_that_are_stored_take_no_room_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvmerge.judging.client.journal.LARGEST", 5000)
    path = tmp_path / "ledger.journal"
    keys = [a_request(str(number)).key for number in range(100)]
    with used(ReplyJournal(path)) as journal:
        for number, key in enumerate(keys):
            journal.add([key], pack({"text": "あ" * 100}), Ledger().line("j", None, 0, 1))
            if number > 1:
                journal.stored(keys[number - 2])
    assert path.stat().st_size < 8000
    assert [arrived.keys for arrived in read_journal(path)][-2:] == [[key] for key in keys[-2:]]


def test_a_journal_that_cannot_be_read_is_named(folder: Folder) -> None:
    folder.journal_file.mkdir(parents=True)
    with closing(ContentCache(folder.cache_folder)) as cache, pytest.raises(UserError, match=r"ledger\.jour"):
        open_journal(folder.journal_file, cache, Ledger())


def test_a_command_without_a_run_folder_takes_over_from_those_that_have_ended_and_from_no_other(
    tmp_path: Path,
) -> None:
    key = a_request("a").key
    with closing(ContentCache(tmp_path)) as cache:
        with used(open_shared_journal(cache)) as journal:
            journal.add([key], pack(ROW), Ledger().line("j", None, 0, 1))
            (path,) = (tmp_path / "arrived").glob("*.journal")
            open_shared_journal(cache)
            assert path.exists()
            assert cache.get(key) is None
        open_shared_journal(cache)
        assert cache.get(key) == ROW
        assert not list((tmp_path / "arrived").iterdir())


def test_a_command_that_ends_leaves_nothing_behind(tmp_path: Path) -> None:
    with closing(ContentCache(tmp_path)) as cache:
        with used(open_shared_journal(cache)) as journal:
            journal.add(["0" * 64], pack(ROW), {})
            journal.stored("0" * 64)
        assert not list((tmp_path / "arrived").iterdir())
