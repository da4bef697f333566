"""`--judge-batch` from the command line; kill -9 at every step of a batch, and nothing is billed twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.batch_kill import code_of, start
from tests.cli.judged import make_bench, read_lines, write_lines
from tests.servers.batches import AnthropicBatchServer, BatchServer, OpenAIBatchServer

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")

QUESTIONS = 6
OPENAI = "tvmerge.judging.batch.openai:OpenAIBatches"
ANTHROPIC = "tvmerge.judging.batch.anthropic:AnthropicBatches"
STORE = "tvmerge.judging.batch.store:BatchStore"
LEDGER = "tvmerge.judging.client.ledger:Ledger"
CACHE = "tvmerge.judging.client.cache:ReplyStore"


@dataclass
class Judging:
    """`tvmerge judge --judge-batch` on the same answers, run after run."""

    folder: Path
    server: BatchServer
    judge: str
    runs: int = 0
    more: list[str] = field(default_factory=list)

    def run(self, step: str = "", number: int = 1) -> int | None:
        """Judge; the exit code."""
        self.runs += 1
        argv = [
            *("judge", f"--bench-name={self.folder / 'bench'}", f"--answers={self.folder / 'model.jsonl'}"),
            *(f"--judge={self.judge}", f"--judge-base-url={self.server.base_url}", "--judge-batch"),
            *(f"--out={self.folder / 'out.jsonl'}", *self.more),
        ]
        env = {
            "TVMERGE_CACHE_DIR": str(self.folder / "cache"),
            "OPENAI_API_KEY": "sk-secret",
            "ANTHROPIC_API_KEY": "sk-secret",
        }
        return code_of(start(argv, self.folder / "log", env, step, number))

    @property
    def log(self) -> str:
        """All that was printed."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def judged(self) -> list[dict[str, Any]]:
        """The judgments, as they were written."""
        rows = read_lines(self.folder / "out.jsonl")
        return [{name: value for name, value in row.items() if name != "tstamp"} for row in rows]


def judging(folder: Path, server: BatchServer) -> Judging:
    make_bench(folder / "bench", QUESTIONS)
    rows = [
        {"question_id": str(i), "choices": [{"index": 0, "turns": [f"{i + 2}です。"]}]}
        for i in range(1, QUESTIONS + 1)
    ]
    write_lines(folder / "model.jsonl", rows)
    provider = "openai" if isinstance(server, OpenAIBatchServer) else "anthropic"
    return Judging(folder, server, f"{provider}/m")


@pytest.fixture
def openai(tmp_path: Path) -> Iterator[Judging]:
    with OpenAIBatchServer() as server:
        server.answer = unsure
        yield judging(tmp_path, server)


@pytest.fixture
def anthropic(tmp_path: Path) -> Iterator[Judging]:
    with AnthropicBatchServer() as server:
        server.answer = unsure
        yield judging(tmp_path, server)


def unsure(prompt: str, number: int) -> None:
    """Rates."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[type[BatchServer], tuple[Any, list[str]]]:
    """What is judged and billed when nobody kills anything."""
    found: dict[type[BatchServer], tuple[Any, list[str]]] = {}
    for kind in (OpenAIBatchServer, AnthropicBatchServer):
        with kind() as server:
            whole = judging(tmp_path_factory.mktemp("whole"), server)
            assert whole.run() == 0, whole.log
            found[kind] = (whole.judged(), sorted(server.billed))
    return found


def check(run: Judging, step: str, number: int, undisturbed: Any) -> None:
    """Kill a run at a step; the next one ends as if nothing had happened."""
    assert run.run(step, number) == -signal.SIGKILL, run.log
    assert run.run() == 0, run.log
    judged, billed = undisturbed[type(run.server)]
    assert run.judged() == judged
    assert sorted(run.server.billed) == billed
    assert len(run.server.billed) == QUESTIONS


@pytest.mark.parametrize(
    ("step", "number"),
    [
        (f"{OPENAI}.upload", 1),
        (f"{OPENAI}.create", 1),
        (f"{STORE}.made", 1),
        (f"{OPENAI}.look", 2),
        (f"{OPENAI}.results", 1),
        (f"{STORE}.receive", 1),
        (f"{LEDGER}.called", 3),
        (f"{CACHE}.put", 4),
        (f"{STORE}.used", 1),
    ],
)
def test_a_run_killed_at_any_step_of_a_batch_at_openai_is_billed_once(
    openai: Judging, step: str, number: int, undisturbed: Any
) -> None:
    check(openai, step, number, undisturbed)


@pytest.mark.parametrize(
    ("step", "number"),
    [
        (f"{ANTHROPIC}.create", 1),
        (f"{STORE}.made", 1),
        (f"{ANTHROPIC}.look", 2),
        (f"{ANTHROPIC}.results", 1),
        (f"{LEDGER}.called", 3),
    ],
)
def test_a_run_killed_at_any_step_of_a_batch_at_anthropic_is_billed_once(
    anthropic: Judging, step: str, number: int, undisturbed: Any
) -> None:
    check(anthropic, step, number, undisturbed)
