"""How a study ended, and whether it is what it would have been if nobody had broken it off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.crash.books import Books
from perf.crash.study import Hit, Study
from tests.cli.judged import read_lines
from tests.cli.killing import PARALLEL, Table, table

_OF_THIS_RUN = ("seconds", "settings", "output", "judging")
"""Keys of `result.json` that name folders and addresses, or count time and requests."""

_OF_THIS_LINE = ("tstamp", "answer_id")

_TRANSIENT = ("-wal", "-shm")
"""Ends of the names of SQLite's files beside a database that was not closed."""


@dataclass(frozen=True)
class Ended:
    """A study that came to its end.

    Attributes:
        table: The trials.
        result: `result.json`, without what differs between runs.
        logs: The rows of each log of answers and judgments.
        files: All files, by their paths in the folder of the study.
        model: The weights of the merged model.
        report: The last characters of the report.
        books: The books.
        size: Bytes that all files take.
    """

    table: Table
    result: dict[str, Any]
    logs: dict[str, list[dict[str, Any]]]
    files: frozenset[str]
    model: bytes
    report: str
    books: Books
    size: int

    def differs_from(self, whole: Ended) -> list[str]:
        """Return what is not as in the study that nobody broke off, in words."""
        left = sorted(self.files - whole.files)
        missing = sorted(whole.files - self.files)
        logs = sorted(name for name in self.logs if self.logs[name] != whole.logs.get(name))
        found = {
            "another table": self.table != whole.table,
            "another result": self.result != whole.result,
            f"other logs: {', '.join(logs)}": bool(logs),
            "another model": self.model != whole.model,
            "a report that is cut": self.report != whole.report,
            f"left over: {', '.join(left)}": bool(left),
            f"missing: {', '.join(missing)}": bool(missing),
        }
        return [words for words, wrong in found.items() if wrong]


def read_ended(study: Study) -> Ended:
    """Read a study that is done."""
    run = study.folder / "run"
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    paths = [path for path in study.folder.rglob("*") if not path.name.endswith(_TRANSIENT)]
    return Ended(
        table=table(study.folder),
        result={key: value for key, value in result.items() if key not in _OF_THIS_RUN},
        logs={str(path.relative_to(run)): _rows(path) for path in sorted(run.rglob("model_*/*.jsonl"))},
        files=frozenset(str(path.relative_to(study.folder)) for path in paths),
        model=(run / "model" / "model.safetensors").read_bytes(),
        report=(run / "report.html").read_text(encoding="utf-8")[-20:],
        books=study.books(),
        size=sum(path.stat().st_size for path in paths if path.is_file()),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in row.items() if key not in _OF_THIS_LINE} for row in read_lines(path)
    ]


@dataclass(frozen=True)
class Account:
    """Where the requests of a study went.

    Attributes:
        sent: Requests that reached the judge.
        entered: Those in the ledger.
        on_the_wire: Those that a kill cut off before their reply was entered; whether the judge's provider
            bills them cannot be known.
        stored: Replies in the cache, of different prompts.
        again: Prompts sent again, because a kill cut off their reply before it arrived.
        twice: Prompts sent again although their reply had arrived: paid twice.
        unexplained: Requests that are neither entered nor on the wire of a kill.
        missed: Those on the wire whose reply the SDK had handed over, without time to write it.
    """

    sent: int
    entered: int
    on_the_wire: int
    stored: int
    again: int
    twice: int
    unexplained: int
    missed: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each request is accounted for, and none was paid twice."""
        return not self.twice and not self.unexplained

    def __str__(self) -> str:
        unexplained = f" + UNEXPLAINED {self.unexplained}" if self.unexplained else ""
        twice = f" - PAID TWICE {self.twice}" if self.twice else ""
        missed = f" ({self.missed} of them read)" if self.missed else ""
        return (
            f"sent {self.sent} = entered {self.entered} + on the wire {self.on_the_wire}{missed}"
            f"{unexplained}; sent {self.sent} = stored {self.stored} + again {self.again}{twice}"
        )


def account(hits: Sequence[Hit], books: Books) -> Account:
    """Return where the requests of a study went, given how it was broken off and how it ended."""
    made = _increments([hit.books.entered for hit in hits])
    lost: Counter[str] = Counter()
    for hit in hits:
        lost.update(hit.books.not_stored)
    again = {prompt: times - 1 for prompt, times in books.sent.items() if times > 1}
    stored = sum(max(0, times - lost[prompt]) for prompt, times in again.items())
    wires = _increments([hit.books.not_entered for hit in hits])
    allowed = sum(min(wire, PARALLEL) for wire in wires)
    # A reply that had arrived is entered, and so is none of those on the wire.
    twice = max(stored, sum(again.values()) - sum(wires))
    return Account(
        sent=books.sent.total(),
        entered=books.entered,
        on_the_wire=sum(wires),
        stored=len(books.stored),
        again=sum(again.values()) - twice,
        twice=twice,
        unexplained=books.not_entered - allowed,
        missed=sum(max(0, hit.arrived - entered) for hit, entered in zip(hits, made, strict=True)),
    )


def _increments(counts: Sequence[int]) -> list[int]:
    """Return by how much each of the counts is larger than the one before."""
    return [count - before for before, count in zip((0, *counts), counts, strict=False)]
