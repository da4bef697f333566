"""A search over models that think before they answer, through the command line.

Several modules: a whole run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engines import thinkers
from tests.engines.thinkers import ANSWER, THOUGHT
from tvmerge.cli.app import run


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return thinkers.make("qwen3", tmp_path_factory.mktemp("qwen3"))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    folder = tmp_path / "bench"
    folder.mkdir()
    rows = [
        {"question_id": n, "category": "general", "turns": ["首都は？"], "reference": ["東京"]}
        for n in range(4)
    ]
    (folder / "question.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "benchmark.toml").write_text("[temperature]\ndefault = 0.0\n", encoding="utf-8")
    return folder


def optimize(models: Path, bench: Path, *flags: str) -> int:
    names = [f"--{role}-model={models / role}" for role in ("target", "base", "tuned")]
    settings = ["--judge=rules", "--n-trials=2", "--optimize-mode=uniform", "--study-name=s"]
    settings += ["--uniform-weights=0,1"]
    return run(
        ["optimize", *names, *settings, f"--bench-name={bench}", f"--run-dir={bench.parent / 'run'}", *flags]
    )


def choices(bench: Path) -> list[dict[str, Any]]:
    text = (bench.parent / "run" / "model_answer" / "0.jsonl").read_text(encoding="utf-8")
    return [choice for line in text.splitlines() for choice in json.loads(line)["choices"]]


def test_the_judge_rates_answers_and_thoughts_are_kept_beside_them(models: Path, bench: Path) -> None:
    assert optimize(models, bench, "--min-japanese=0.5") == 0
    for choice in choices(bench):
        assert choice == {"index": 0, "turns": [ANSWER], "finish": ["stop"], "thoughts": [THOUGHT]}
    found = json.loads((bench.parent / "run" / "result.json").read_text(encoding="utf-8"))
    assert found["search"]["weight_0"]["mean"] == 10.0
    assert found["answers"]["weight_0"]["cut_in_thought"] == 0
    assert THOUGHT in (bench.parent / "run" / "report.html").read_text(encoding="utf-8")


def test_answers_cut_in_thought_get_the_floor_and_are_counted(models: Path, bench: Path) -> None:
    assert optimize(models, bench, "--max-new-tokens=4") == 0
    assert all((choice["turns"], choice["finish"]) == ([""], ["thought"]) for choice in choices(bench))
    found = json.loads((bench.parent / "run" / "result.json").read_text(encoding="utf-8"))
    assert found["search"]["weight_0"]["mean"] == 1.0
    ends = found["answers"]["weight_0"]
    assert ends["cut_in_thought"] == ends["turns"] > 0


def test_a_limit_for_thoughts_is_part_of_the_study(
    models: Path, bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert optimize(models, bench, "--max-thinking-tokens=3", "--max-new-tokens=4") == 0
    assert all(choice["turns"] == [ANSWER] for choice in choices(bench))
    assert optimize(models, bench, "--max-thinking-tokens=5", "--max-new-tokens=4") == 2
    assert "max_thinking_tokens" in capsys.readouterr().err
    assert optimize(models, bench, "--max-thinking-tokens=0") == 2
    assert "max_thinking_tokens must be at least 1" in capsys.readouterr().err
