"""Small studies in processes that are killed: the demo's models, a judge over a loopback network.

With races, or by blocks of questions.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna
import torch

from examples.demo.generate import fresh_questions, question_row
from tests.cli.slowness import SlowEngine, SlowJudge
from tests.forking import forked
from tvmerge._util.assets import bundled_demo_models
from tvmerge._util.files import write_jsonl
from tvmerge.cli.app import run
from tvmerge.engines.open import EngineSettings, engine_of
from tvmerge.merging.open import Merge
from tvmerge.protocols import Engine
from tvmerge.study.blocks.table import BLOCKS

CONFIG = "blocks.toml"
PARALLEL = 8
DEADLINE = 1500.0

Row = tuple[int, dict[str, float], list[float] | None, str, dict[str, Any], dict[int, float]]
Table = list[Row]


@dataclass(frozen=True)
class Setting:
    """A study: `window` asks in flight, a quarter of its questions held out, races from 8 questions on."""

    sampler: str
    window: int
    trials: int = 20
    questions: int = 32
    engines: int = 1

    @property
    def races(self) -> bool:
        """Whether trials that do badly are stopped."""
        return self.sampler != "auto"

    def __str__(self) -> str:
        engines = "" if self.engines == 1 else f" engines={self.engines}"
        return f"{self.sampler} P={self.window}{engines}"


@dataclass(frozen=True)
class Kill:
    """When a run is killed, and how.

    Attributes:
        calls: After so many calls of the judge in this start of the run.
        seconds: So much later.
        held: Calls that come meanwhile are not answered, so that some are in flight.
        signals: What it is sent, one after another, before its end is awaited; without any it is kill -9.
    """

    calls: int
    seconds: float
    held: bool
    signals: tuple[signal.Signals, ...] = ()


@dataclass(frozen=True)
class Hit:
    """How things stood when a run was killed: asks told (trials or blocks), calls in flight, exit code."""

    told: int
    in_flight: int
    code: int | None


@dataclass
class Ended:
    """A study that came to its end.

    Attributes:
        table: Its trials: number, weights, scores, state, attributes, intermediate values.
        prompts: What the judge was asked, in order.
        hits: Its kills.
    """

    table: Table
    prompts: list[str]
    hits: list[Hit] = field(default_factory=list)

    @property
    def stopped(self) -> float:
        """Share of the trials that lost their race."""
        return sum(state == "PRUNED" for _, _, _, state, *_ in self.table) / len(self.table)

    @property
    def asked_again(self) -> int:
        """Calls that had been made before."""
        return len(self.prompts) - len(set(self.prompts))


def write_benchmark(folder: Path, setting: Setting) -> Path:
    """Fresh questions of the demo's kind."""
    folder.mkdir(parents=True)
    rows = [question_row(question) for question in fresh_questions(setting.questions, seed=6)]
    write_jsonl(folder / "question.jsonl", rows)
    # Two runs may choose other sizes of blocks, if one is slower.
    (folder / CONFIG).write_text("[sampler]\nblock = 4\n", encoding="utf-8")
    return folder


def play(
    folder: Path, bench: Path, setting: Setting, kills: Sequence[Kill] = (), delays: int | None = None
) -> Ended:
    """Run a study to its end, through its kills.

    Args:
        folder: A new folder for its results and its cache.
        bench: The benchmark.
        setting: The study.
        kills: One after another, each in a new start of the run.
        delays: Seed of random delays in engine and judge; None for none.

    Raises:
        RuntimeError: A start that was not killed failed; says what it printed.
    """
    hits = []
    with SlowJudge(delays) as judge:
        for kill in kills:
            process = _start(folder, bench, setting, judge.base_url, delays)
            hit = _strike(process, judge, kill, folder)
            hits += [hit] if hit is not None else []
        process = _start(folder, bench, setting, judge.base_url, delays)
        process.join(DEADLINE)
        if process.exitcode != 0:
            process.kill()
            raise RuntimeError((folder / "log").read_text(encoding="utf-8"))
        return Ended(table(folder), judge.prompts(), hits)


def table(folder: Path) -> Table:
    """The trials of a study as they are in its database."""
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'run' / 'study.db'}")
    return [
        (t.number, t.params, t.values, t.state.name, t.user_attrs, t.intermediate_values)
        for t in study.trials
    ]


def _strike(process: BaseProcess, judge: SlowJudge, kill: Kill, folder: Path) -> Hit | None:
    """Kill a run at its moment; None if it had ended before."""
    due = judge.calls + kill.calls
    if kill.held:
        judge.hold_after(due)
    deadline = time.monotonic() + DEADLINE
    while judge.calls < due + kill.held and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.join(kill.seconds)
    alive, in_flight = process.is_alive(), judge.in_flight
    for sent in kill.signals:
        os.kill(process.pid or 0, sent)
        process.join(0.1)
    if kill.signals:
        judge.release()  # the run awaits the calls in flight, which are paid for
        process.join(DEADLINE)
    process.kill()
    process.join()
    judge.release()
    return Hit(_told(folder / "run" / "study.db"), in_flight, process.exitcode) if alive else None


def _told(database: Path) -> int:
    """How many asks of a database were told; read from a copy, to leave it as the kill left it."""
    with tempfile.TemporaryDirectory() as folder:
        for path in database.parent.glob(f"{database.name}*"):
            shutil.copy(path, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / database.name)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if "trials" not in tables:
                return 0
            by_blocks = connection.execute(
                "SELECT value_json FROM trial_user_attributes WHERE key = ?", (BLOCKS,)
            ).fetchall()
            if by_blocks:
                return sum(scores is not None for (text,) in by_blocks for *_, scores in json.loads(text))
            return len(connection.execute("SELECT 1 FROM trials WHERE state != 'RUNNING'").fetchall())


_RACES = ("--racing", "wilcoxon", "--racing-min-questions", "8", "--racing-batch", "4")


def flags(folder: Path, bench: Path, setting: Setting, url: str) -> list[str]:
    """The command of a study whose judge listens at `url`."""
    models = bundled_demo_models()
    config = ["--config", str(bench / CONFIG)] if setting.sampler == "auto" else []
    return [
        *("optimize", *config, "--bench-name", str(bench), "--judge", "gpt-4", "--judge-base-url", url),
        *(f"--{role}-model={models / role}" for role in ("target", "base", "tuned")),
        *("--run-dir", str(folder / "run"), "--study-name", "s", "--n-trials", str(setting.trials)),
        *("--optuna-sampler", setting.sampler, "--trials-in-flight", str(setting.window)),
        *("--engines", str(setting.engines)),
        *("--parallel", str(PARALLEL), "--max-new-tokens", "16", "--holdout", "0.25"),
        *(() if setting.sampler == "auto" else _RACES),
    ]


def _start(folder: Path, bench: Path, setting: Setting, url: str, delays: int | None) -> BaseProcess:
    return forked(_run, flags(folder, bench, setting, url), folder, delays)


def _run(argv: Sequence[str], folder: Path, delays: int | None) -> None:
    """The whole of a run, as the command line does it, in a separate process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    os.environ |= {"TVMERGE_CACHE_DIR": str(folder / "cache"), "OPENAI_API_KEY": "k"}
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)

    def slow_engine(merge: Merge, settings: EngineSettings) -> Engine:
        return SlowEngine(engine_of(merge, settings), delays or 0)

    with (
        (folder / "log").open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
        contextlib.nullcontext()
        if delays is None
        else patch("tvmerge.engines.placement.engine_of", slow_engine),
    ):
        code = run(argv)
    raise SystemExit(code)
