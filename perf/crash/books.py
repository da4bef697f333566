"""What was sent to the judge, what the ledger has of it, and what the cache has of it."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.slowness import SlowJudge
from tvmerge._util.cache import ContentCache
from tvmerge._util.files import read_growing_jsonl
from tvmerge.judging.client.journal import read_journal


@dataclass(frozen=True)
class Books:
    """The state of a study's requests.

    Attributes:
        sent: How often each prompt reached the judge.
        entered: Number of requests in the ledger, or in the journal and still to be entered.
        stored: Prompts whose replies are in the cache, or in the journal and still to be stored.
    """

    sent: Counter[str]
    entered: int
    stored: frozenset[str]

    @property
    def not_entered(self) -> int:
        """Number of requests that reached the judge and are not in the ledger."""
        return self.sent.total() - self.entered

    @property
    def not_stored(self) -> frozenset[str]:
        """Prompts that reached the judge and have no reply in the cache."""
        return frozenset(self.sent) - self.stored


def read_books(folder: Path, judge: SlowJudge) -> Books:
    """Read the books of a study whose process has ended; its files stay as they are."""
    ledger = folder / "run" / "ledger.jsonl"
    journal = ledger.with_suffix(".journal")
    rows = [row for _, row in read_growing_jsonl(ledger)] if ledger.exists() else []
    kept = list(read_journal(journal)) if journal.exists() else []
    calls = {row.get("call") for row in rows}
    entered = len(rows) + sum(arrived.line["call"] not in calls for arrived in kept)
    stored = _prompts([arrived.row for arrived in kept]) | _stored(folder / "cache" / "judgments")
    return Books(Counter(judge.prompts()), entered, stored)


def _stored(cache: Path) -> frozenset[str]:
    if not cache.is_dir():
        return frozenset()
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(cache, copy, dirs_exist_ok=True)
        with closing(ContentCache(Path(copy))) as judgments:
            rows = [row for key in judgments if (row := judgments.get(key)) is not None]
    return _prompts(rows)


def _prompts(rows: Iterable[Any]) -> frozenset[str]:
    replies = [row["request"] for row in rows if row["kind"] == "judgment"]
    return frozenset(request["body"]["messages"][-1]["content"] for request in replies)
