"""Ctrl-C in the middle of a run with a paid judge: nothing is lost, nothing is done twice.

Several modules: a whole run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from tests.servers.openai_server import OpenAIServer, user_prompt

BENCH = 12  # questions
TRIALS = 8
DEADLINE = 600.0

START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tvmerge.__main__ import main
main()
"""
"""A suite that runs in the background of a shell ignores Ctrl-C, and so would its children."""


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


def start(folder: Path, bench: Path, models: Path, url: str) -> subprocess.Popen[str]:
    """A run in a separate process, as a user starts it."""
    argv = [
        *("optimize", "--bench-name", str(bench), "--judge", "gpt-4", "--judge-base-url", url),
        *(f"--{role}-model={models / role}" for role in ("target", "base", "tuned")),
        *("--run-dir", str(folder / "run"), "--study-name", "s", "--n-trials", str(TRIALS)),
        *("--trials-in-flight", "2", "--parallel", "8", "--max-new-tokens", "16", "--holdout", "0"),
    ]
    return subprocess.Popen(
        [sys.executable, "-c", START, *argv],
        env={**os.environ, "TVMERGE_CACHE_DIR": str(folder / "cache"), "OPENAI_API_KEY": "k"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and stderr."""
    _, errors = process.communicate(timeout=DEADLINE)
    return process.returncode, errors


def table(folder: Path) -> list[object]:
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 'run' / 'study.db'}")
    return [(t.number, t.params, t.values, t.state) for t in study.trials]


def wait_for(server: OpenAIServer, answered: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE
    while server.answered < answered and process.poll() is None and time.monotonic() < deadline:
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
        for answered in (30, 70):
            cut = start(tmp_path / "cut", bench, demo_models, server.base_url)
            wait_for(server, answered, cut)
            cut.send_signal(signal.SIGINT)
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
