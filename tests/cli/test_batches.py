"""`--judge-batch` from the command line; kill -9 at every step of a batch, and nothing is billed twice.

Several modules: the command, the batch client and its files.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.cli.batch_kill import code_of, start
from tests.cli.judged import make_bench, read_lines, write_lines
from tests.servers import anthropic_server, openai_server
from tests.servers.batches import AnthropicBatchServer, BatchServer, OpenAIBatchServer
from tests.servers.http import Response
from tvmerge._util.assets import bundled_demo_models
from tvmerge.cli.app import run as tvmerge

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")

QUESTIONS = 6
UNRATED, EXPIRING, SAID = "3たす2は？", "4たす2は？", "I would have to think about that."
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
    is_openai = isinstance(server, OpenAIBatchServer)
    unrated = openai_server.completion(SAID) if is_openai else anthropic_server.message(SAID)

    def unsure(prompt: str, number: int) -> Response | str | None:
        """One answer gets no rating at first, and another expires."""
        if number:
            return None
        return unrated if UNRATED in prompt else "expired" if EXPIRING in prompt else None

    server.answer = unsure
    return Judging(folder, server, f"{'openai' if is_openai else 'anthropic'}/m")


@pytest.fixture
def openai(tmp_path: Path) -> Iterator[Judging]:
    with OpenAIBatchServer() as server:
        yield judging(tmp_path, server)


@pytest.fixture
def anthropic(tmp_path: Path) -> Iterator[Judging]:
    with AnthropicBatchServer() as server:
        yield judging(tmp_path, server)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[type[BatchServer], tuple[Any, list[str]]]:
    """What is judged and billed when nobody kills anything."""
    found: dict[type[BatchServer], tuple[Any, list[str]]] = {}
    for kind in (OpenAIBatchServer, AnthropicBatchServer):
        with kind() as server:
            whole = judging(tmp_path_factory.mktemp("whole"), server)
            assert whole.run() == 0, whole.log
            assert len(server.billed) == QUESTIONS + 1
            assert len(server.batches) > 1
            found[kind] = (whole.judged(), sorted(server.billed))
    return found


def assert_billed_once(run: Judging, step: str, number: int, undisturbed: Any) -> None:
    """Kill a run at a step; the next one ends as if nothing had happened."""
    assert run.run(step, number) == -signal.SIGKILL, run.log
    assert run.run() == 0, run.log
    judged, billed = undisturbed[type(run.server)]
    assert run.judged() == judged
    assert sorted(run.server.billed) == billed


@pytest.mark.parametrize(
    ("step", "number"),
    [
        (f"{OPENAI}.upload", 1),
        (f"{OPENAI}.create", 1),
        (f"{STORE}.made", 1),
        (f"{OPENAI}.poll", 2),
        (f"{OPENAI}.results", 1),
        (f"{STORE}.receive", 1),
        (f"{LEDGER}.record", 3),
        (f"{CACHE}.put", 4),
        (f"{STORE}.made", 2),
        (f"{STORE}.receive", 2),
        (f"{STORE}.used", 1),
    ],
)
def test_a_run_killed_at_any_step_of_a_batch_at_openai_is_billed_once(
    openai: Judging, step: str, number: int, undisturbed: Any
) -> None:
    assert_billed_once(openai, step, number, undisturbed)


@pytest.mark.parametrize(
    ("step", "number"),
    [
        (f"{ANTHROPIC}.create", 1),
        (f"{STORE}.made", 1),
        (f"{ANTHROPIC}.poll", 2),
        (f"{ANTHROPIC}.results", 1),
        (f"{STORE}.receive", 2),
        (f"{LEDGER}.record", 3),
    ],
)
def test_a_run_killed_at_any_step_of_a_batch_at_anthropic_is_billed_once(
    anthropic: Judging, step: str, number: int, undisturbed: Any
) -> None:
    assert_billed_once(anthropic, step, number, undisturbed)


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        ("cohere/command", "of the provider 'cohere'"),
        ("local/model", "of the provider 'local'"),
        ("rules", "makes no calls"),
    ],
)
def test_judges_that_cannot_be_asked_in_batches_are_refused_in_one_line(
    judge: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CO_API_KEY", "k")
    bench = make_bench(tmp_path / "bench")
    argv = ["judge", f"--bench-name={bench}", f"--judge={judge}", "--judge-batch", "--answers=none.jsonl"]
    assert tvmerge(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert told in error
    assert re.search("leave (it|--judge-batch) out|leave out --judge-batch", error)


def study(folder: Path, bench: Path, server: BatchServer, *more: str, step: str = "", number: int = 1) -> str:
    """Run a small study with races; what it printed."""
    models = bundled_demo_models()
    argv = [
        *("optimize", f"--bench-name={bench}", "--judge=openai/m", f"--judge-base-url={server.base_url}"),
        *(f"--{role}-model={models / role}" for role in ("target", "base", "tuned")),
        *(f"--run-dir={folder / 'run'}", "--study-name=s", "--n-trials=6", "--trials-in-flight=3"),
        *("--max-new-tokens=8", "--holdout=0.25", "--parallel=8", *more),
        *("--optuna-sampler=TPE", "--racing-min-questions=6", "--racing-batch=3", "--racing-p=0.5"),
    ]
    env = {"TVMERGE_CACHE_DIR": str(folder / "cache"), "OPENAI_API_KEY": "sk-secret"}
    folder.mkdir(parents=True, exist_ok=True)
    code = code_of(start(argv, folder / "log", env, step, number))
    log = (folder / "log").read_text(encoding="utf-8")
    assert code == (-signal.SIGKILL if step else 0), log
    return log


def table(folder: Path) -> list[tuple[Any, ...]]:
    trials = optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'run' / 'study.db'}").trials
    return [(trial.number, trial.params, trial.values, trial.state.name) for trial in trials]


def test_a_study_in_batches_has_the_table_of_one_without_also_when_it_is_killed(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", 16)
    with OpenAIBatchServer() as server:
        server.polls = 0
        study(tmp_path / "live", bench, server)
        assert not server.batches
        billed = server.answered
    with OpenAIBatchServer() as server:
        server.polls = 0
        log = study(tmp_path / "whole", bench, server, "--judge-batch")
        whole, sizes = sorted(server.billed), [len(batch.requests) for batch in server.batches.values()]
    assert table(tmp_path / "whole") == table(tmp_path / "live")
    assert len(whole) == billed - 1  # the judge check is asked live
    assert sizes[0] > 12  # more than one trial asks: those of a window are sent together
    assert f"{len(whole)} of them in batches" in log
    with OpenAIBatchServer() as server:
        server.polls = 0
        study(tmp_path / "cut", bench, server, "--judge-batch", step=f"{STORE}.receive", number=2)
        study(tmp_path / "cut", bench, server, "--judge-batch", step=f"{LEDGER}.record", number=9)
        study(tmp_path / "cut", bench, server, "--judge-batch")
        assert sorted(server.billed) == whole
    assert table(tmp_path / "cut") == table(tmp_path / "live")
    ledger = read_lines(tmp_path / "cut" / "run" / "ledger.jsonl")
    assert len(ledger) == len(whole) + 1
