"""`--judge-turns together`, in `tvmerge judge` and in a run.

Several modules: two commands and the judges behind them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.judged import read_lines, write_lines
from tests.servers.openai_server import OpenAIServer, user_prompt
from tvmerge.cli.app import run

QUESTIONS = 4


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Two-turn questions, and a file of answers to them."""
    rows = [
        {"question_id": i, "category": "writing", "turns": [f"{i}たす2は？", "では、それに1をたすと？"]}
        for i in range(QUESTIONS)
    ]
    answers = [
        {"question_id": i, "choices": [{"index": 0, "turns": [f"{i + 2}です。", f"{i + 3}です。"]}]}
        for i in range(QUESTIONS)
    ]
    write_lines(tmp_path / "answers.jsonl", answers)
    return write_lines(tmp_path / "bench" / "question.jsonl", rows).parent


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")


Optimize = Callable[..., int]


@pytest.fixture
def optimize(bench: Path, demo_models: Path, tmp_path: Path) -> Optimize:
    """A search of two trials with a judge on a server."""

    def started(server: OpenAIServer, *more: str) -> int:
        flags = [f"--bench-name={bench}", "--judge=gpt-4o", f"--judge-base-url={server.base_url}"]
        flags += [f"--{role}-model={demo_models / role}" for role in ("target", "base", "tuned")]
        flags += ["--n-trials=2", "--max-new-tokens=8", "--holdout=0", "--study-name=s"]
        return run(["optimize", *flags, f"--run-dir={tmp_path / 'run'}", *more])

    return started


def judge(bench: Path, server: OpenAIServer, *more: str) -> int:
    flags = ["--judge=gpt-4o", f"--judge-base-url={server.base_url}"]
    answers = f"--answers={bench.parent / 'answers.jsonl'}"
    return run(["judge", f"--bench-name={bench}", answers, *flags, *more])


def test_answers_are_rated_with_one_call_each_and_written_turn_by_turn(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "judgments.jsonl"
    with OpenAIServer() as server:
        assert judge(bench, server, "--judge-turns=together", f"--out={out}") == 0
        assert server.answered == QUESTIONS
        screen = capsys.readouterr().out
        assert judge(bench, server, "--judge-turns=together") == 0
        assert server.answered == QUESTIONS
        assert judge(bench, server) == 0
        assert server.answered == 3 * QUESTIONS
    rows = read_lines(out)
    assert sorted((row["question_id"], row["turn"]) for row in rows) == [
        (number, turn) for number in range(QUESTIONS) for turn in (1, 2)
    ]
    assert {row["judge"][1] for row in rows} == {"single-v1-all-turns"}
    assert "turn 2" in screen
    assert f"{QUESTIONS} calls" in screen


def test_a_run_asks_once_for_each_answer_and_counts_it_once(optimize: Optimize, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        assert optimize(server, "--judge-turns=together") == 0
        prompts = [user_prompt(request) for request in server.requests if request.method == "POST"]
    assert len(set(prompts)) == len(prompts) <= 1 + 3 * QUESTIONS
    assert len(read_lines(tmp_path / "run" / "ledger.jsonl")) == len(prompts)
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["judging"]["usage"][0]["calls"] == len(prompts)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("The answers are what they are.") == page.count("gpt-4o: see turn 1") > 0


def test_a_study_of_turns_apart_is_never_continued_with_turns_together(
    optimize: Optimize, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer() as server:
        assert optimize(server) == 0
        paid = server.answered
        capsys.readouterr()
        assert optimize(server, "--judge-turns=together") == 2
        assert server.answered <= paid + 1  # the test answer
        (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "judge_turns was null, is together" in said
        assert "--fork" in said
        assert optimize(server) == 0
        fork = ("--fork=two", "--judge-turns=together", "--n-trials=3")
        assert optimize(server, *fork) == 0
    assert (tmp_path / "two" / "result.json").is_file()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--judge=rules"], "the judge 'rules' makes no calls, so --judge-turns together has no effect"),
        (["--judge=gpt-4o", "--judge-mode=pairwise"], "--judge-mode pairwise compares answers"),
    ],
)
def test_what_rates_nothing_together_is_told_in_one_line(
    bench: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    answers = f"--answers={bench.parent / 'answers.jsonl'}"
    assert run(["judge", f"--bench-name={bench}", answers, "--judge-turns=together", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_prompts_of_ones_own_for_single_turns_do_not_serve(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = {"name": "single-v1", "type": "single", "system_prompt": "", "description": "", "category": ""}
    form = {"prompt_template": "{question}{answer}", "output_format": "[[rating]]"}
    own = write_lines(tmp_path / "own.jsonl", [prompt | form])
    with OpenAIServer() as server:
        assert judge(bench, server, "--judge-turns=together", f"--judge-file={own}") == 2
        assert server.answered == 0
    assert "'single-v1-all-turns' is missing; add it, or leave out" in capsys.readouterr().err
