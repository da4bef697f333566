"""Ctrl-C in the middle of a run with a paid judge: nothing is lost, nothing is done twice.

Several modules: a whole run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna
import pytest

from tests import ready
from tests.servers.openai_server import OpenAIServer, user_prompt
from tvmerge.__main__ import main

BENCH = 8  # questions
TRIALS = 6
DEADLINE = 600.0


@dataclass(frozen=True)
class Started:
    """A run in a process, and the folder with what it prints."""

    process: BaseProcess
    logs: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small benchmark of two-turn questions."""
    folder = tmp_path_factory.mktemp("bench")
    rows = [
        {"question_id": i, "category": "writing", "turns": [f"{i}たす2は？", "3たす4は？"]}
        for i in range(BENCH)
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "question.jsonl").write_text(text, encoding="utf-8")
    return folder


def play(argv: list[str], env: dict[str, str]) -> None:
    """The program as a user starts it."""
    # A suite that runs in the background of a shell ignores Ctrl-C, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ |= env
    sys.argv = ["tvmerge", *argv]
    main()


def start(folder: Path, bench: Path, models: Path, url: str) -> Started:
    """A run in a separate process."""
    argv = [
        *("optimize", "--bench-name", str(bench), "--judge", "gpt-4", "--judge-base-url", url),
        *(f"--{role}-model={models / role}" for role in ("target", "base", "tuned")),
        *("--run-dir", str(folder / "run"), "--study-name", "s", "--n-trials", str(TRIALS)),
        *("--trials-in-flight", "2", "--parallel", "8", "--max-new-tokens", "16", "--holdout", "0"),
    ]
    env = {"TVMERGE_CACHE_DIR": str(folder / "cache"), "OPENAI_API_KEY": "k"}
    logs = folder / "logs"
    return Started(ready.start(logs, play, argv, env), logs)


def finish(run: Started) -> tuple[int | None, str]:
    """Exit code and stderr."""
    done = ready.ended(run.process, run.logs)
    return done.returncode, done.stderr


def table(folder: Path) -> list[object]:
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'run' / 'study.db'}")
    return [(t.number, t.params, t.values, t.state) for t in study.trials]


def wait_for(server: OpenAIServer, answered: int, run: Started) -> None:
    deadline = time.monotonic() + DEADLINE
    while server.answered < answered and run.process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert server.answered >= answered


def test_a_run_interrupted_by_ctrl_c_goes_on_and_pays_for_nothing_twice(
    bench: Path, demo_models: Path, tmp_path: Path
) -> None:
    with OpenAIServer() as server:
        code, errors = finish(start(tmp_path / "whole", bench, demo_models, server.base_url))
        assert code == 0, errors
        expected, asked = table(tmp_path / "whole"), len(server.requests)
    with OpenAIServer() as server:
        for answered in (30, 60):
            cut = start(tmp_path / "cut", bench, demo_models, server.base_url)
            wait_for(server, answered, cut)
            os.kill(cut.process.pid or 0, signal.SIGINT)
            code, errors = finish(cut)
            assert code == 130, errors
            assert "Traceback" not in errors
        code, errors = finish(start(tmp_path / "cut", bench, demo_models, server.base_url))
        assert code == 0, errors
        assert table(tmp_path / "cut") == expected
        prompts = [user_prompt(request) for request in server.requests if request.body]
        assert len(prompts) == len(set(prompts))
        assert len(server.requests) <= asked + 3  # each start sees whether the server listens
    judged = (tmp_path / "cut" / "run" / "model_judgment" / "gpt-4_single.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in judged.splitlines()]
    seen = [(row["model"], row["question_id"], row["turn"]) for row in rows]
    assert len(seen) == len(set(seen)) == TRIALS * BENCH * 2
