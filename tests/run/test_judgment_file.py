"""What `tvmerge judge --out` may replace: nothing but judgments that it writes again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.judged import make_bench, read_lines, write_lines
from tests.servers.openai_server import OpenAIServer
from tvmerge.cli.app import run

QUESTIONS = 3
OURS: dict[str, Any] = {"question_id": 1, "model": "m", "judge": ["rules", "x"], "score": 7, "turn": 1}


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    rows = [
        {"question_id": i, "choices": [{"index": 0, "turns": [f"{i + 2}です。"]}]}
        for i in range(1, QUESTIONS + 1)
    ]
    write_lines(tmp_path / "m.jsonl", rows)
    return make_bench(tmp_path / "bench", QUESTIONS)


def judge(bench: Path, out: Path, *more: str) -> int:
    answers = f"--answers={bench.parent / 'm.jsonl'}"
    return run(["judge", f"--bench-name={bench}", answers, f"--out={out}", *more])


def test_the_same_command_writes_its_file_again(bench: Path, tmp_path: Path) -> None:
    (out := tmp_path / "out.jsonl").touch()
    for _ in range(2):
        assert judge(bench, out, "--judge=rules") == 0
        assert len(read_lines(out)) == QUESTIONS


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("my notes\n", "not a file of judgments"),
        ("\n\n{}", "not a file of judgments"),
        ("\x00", "not a file of judgments"),
        (json.dumps({"question_id": 1, "choices": [{"turns": ["x"]}]}), "not a file of judgments"),
        (json.dumps(OURS) + "\nnotes", "not a file of judgments"),
        (json.dumps(OURS | {"model": "other"}), "a judgment that would be lost (rules about the answer of"),
        (json.dumps(OURS | {"judge": ["gpt-4", "x"]}), "would be lost (gpt-4 about the answer of m to 1)"),
        (json.dumps(OURS | {"question_id": 99}), "about the answer of m to 99); name another file"),
    ],
)
def test_nothing_else_is_replaced(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str, why: str
) -> None:
    out = tmp_path / "out"
    out.write_text(before, encoding="utf-8")
    with OpenAIServer() as server:
        assert (
            judge(bench, out, "--judge=gpt-4o", "--judge=rules", f"--judge-base-url={server.base_url}") == 2
        )
        assert server.answered == 0
    said = capsys.readouterr().err
    assert f"error: --out {out} exists and " in said
    assert why in said
    assert out.read_text(encoding="utf-8") == before
