"""How far judges agree, as `tvmerge judge` and a run say it.

Several modules: the command, the judges' ratings and the report.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.judged import make_bench, read_lines, run_flags, write_lines
from tests.servers.openai_server import OpenAIServer, completion
from tvmerge.cli.app import run


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")


def test_a_judge_that_tells_answers_apart_is_not_noisy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ratings = {"東京": "[[9]]", "大阪": "[[1]]", "京都": "[[5]]"}
    choices = [{"index": n, "turns": [f"{city}です。"]} for n, city in enumerate(ratings)]
    rows = [{"question_id": n, "choices": choices} for n in (1, 2)]
    answers = write_lines(tmp_path / "model.jsonl", rows)
    bench = make_bench(tmp_path / "bench", 2)
    flags = ["judge", f"--bench-name={bench}", f"--answers={answers}", "--judge=openai/mine"]
    with OpenAIServer(reply=lambda prompt: next(r for c, r in ratings.items() if c in prompt)) as server:
        assert run([*flags, f"--judge-base-url={server.base_url}"]) == 0
    assert "standard deviation" not in capsys.readouterr().out


def agreement_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    agreed: dict[str, Any] = found["judging"]["agreement"]
    return agreed


def rated_texts(folder: Path) -> set[tuple[int, str]]:
    """Each text that a judge was asked about, with its question."""
    asked = set()
    for row in read_lines(next((folder / "model_judgment").glob("*.jsonl"))):
        for answer in read_lines(folder / "model_answer" / f"{row['model']}.jsonl"):
            if answer["question_id"] == row["question_id"] and row["judgment"]:
                asked.add((row["question_id"], answer["choices"][0]["turns"][0]))
    return asked


def test_a_run_counts_each_text_of_the_search_and_the_comparison_once(
    tmp_path: Path, demo_models: Path
) -> None:
    folder, bench = tmp_path / "run", make_bench(tmp_path / "bench")
    panel = ("--judge=openai/a", "--judge=openai/b", "--holdout=0.5")
    says = {"a": "[[4]]", "b": "[[6]]"}
    with OpenAIServer(script=lambda request, _: completion(says[request.body["model"]])) as server:
        flags = run_flags(bench, demo_models, folder, server.base_url, *panel)
        assert run([*flags, "--n-trials=2"]) == 0
        texts = rated_texts(folder) | rated_texts(folder / "holdout")
        assert len({question for question, _ in texts}) == 6
        found = agreement_of(folder)
        assert (found["units"], found["mean_difference"], found["noise"]) == (len(texts), 2.0, None)
        assert run([*flags, "--n-trials=2"]) == 0
        assert agreement_of(folder) == found


def test_an_answer_log_that_is_gone_costs_the_agreement_of_the_search_and_not_the_run(
    tmp_path: Path, demo_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, bench = tmp_path / "run", make_bench(tmp_path / "bench")
    with OpenAIServer() as server:
        more = ("--judge=openai/a", "--judge-samples=2", "--holdout=0.5", "--n-trials=2")
        flags = run_flags(bench, demo_models, folder, server.base_url, *more)
        assert run(flags) == 0
        (folder / "model_answer" / "1.jsonl").unlink()
        assert run(flags) == 0
    assert "agreement of the judges leaves out the search: " in capsys.readouterr().err
    assert agreement_of(folder)["noise"] == 0.0
