"""A run that compares in pairs, with any baseline.

Several modules: the command, the baseline, the judges and the study.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.judged import make_bench, read_lines, run_flags, write_lines
from tests.servers.openai_server import OpenAIServer, user_prompt
from tvmerge.cli.app import run

SIZE = ("--holdout=0", "--n-trials=3", "--uniform-weights=0,1")
PAIRS = ("--judge=openai/mine", "--judge-mode=pairwise", *SIZE)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")


def search_means(folder: Path) -> dict[str, float]:
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {key: row["mean"] for key, row in found["search"].items()}


@pytest.mark.parametrize("spelling", ["weight:1", "weight-1"])
def test_a_run_compares_with_another_weight(
    tmp_path: Path, demo_models: Path, capsys: pytest.CaptureFixture[str], spelling: str
) -> None:
    bench, folder = make_bench(tmp_path / "bench"), tmp_path / "run"
    with OpenAIServer(reply=lambda _: "[[A]]") as server:
        flags = run_flags(bench, demo_models, folder, server.base_url, *PAIRS)
        assert run([*flags, f"--baseline={spelling}"]) == 0
        paid = server.answered
        capsys.readouterr()
        assert run(flags) == 2
        assert server.answered == paid
    rows = read_lines(folder / "model_judgment" / "mine_pair.jsonl")
    # Trial 1 is weight 1: whatever it says is the baseline's.
    assert {row["note"].split(";")[0] for row in rows if row["model"] == "1"} == {
        "the baseline's very answer"
    }
    assert search_means(folder)["weight_1"] == 0.5
    said = capsys.readouterr().err
    assert "baseline was weight 1" in said
    assert "--fork" in said


def answers(path: Path, questions: int, turn: str = "十二支の答え") -> Path:
    rows = [{"question_id": n, "choices": [{"turns": [turn]}]} for n in range(1, questions + 1)]
    return write_lines(path, rows)


def test_a_run_compares_with_answers_from_a_file(
    tmp_path: Path, demo_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, folder = make_bench(tmp_path / "bench"), tmp_path / "run"
    with OpenAIServer(
        reply=lambda prompt: "[[A]]" if "Assistant A's Answer]\n十二支" in prompt else "[[B]]"
    ) as server:
        flags = run_flags(bench, demo_models, folder, server.base_url, *PAIRS, "--no-judge-check")
        chosen = answers(tmp_path / "champion.jsonl", 6)
        assert run([*flags, f"--baseline={chosen}", "--dry-run"]) == 0
        assert run([*flags, f"--baseline={chosen}"]) == 0
        assert server.answered
        assert all("十二支の答え" in user_prompt(r) for r in server.requests if r.method == "POST")
        # A study keeps its baseline: the texts, whatever the file is called.
        assert run([*flags, f"--baseline={answers(tmp_path / 'copy.jsonl', 6)}"]) == 0
        capsys.readouterr()
        other = answers(tmp_path / "champion.jsonl", 6, "別の答え")
        assert run([*flags, f"--baseline={other}"]) == 2
    assert "baseline was answers" in capsys.readouterr().err


def test_a_file_that_lacks_an_answer_is_refused_before_anything_is_loaded(
    tmp_path: Path, demo_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, folder = make_bench(tmp_path / "bench"), tmp_path / "run"
    short = answers(tmp_path / "short.jsonl", 4)
    with OpenAIServer() as server:
        # Nor are the models looked for.
        flags = run_flags(bench, tmp_path / "nowhere", folder, server.base_url, *PAIRS)
        assert run([*flags, f"--baseline={short}"]) == 2
        assert server.answered == 0
    said = capsys.readouterr().err
    assert "short.jsonl: 2 of 6 questions have no complete answer here (5, 6)" in said
    assert said.count("error:") == 1
    assert not (folder / "study.db").exists()


def test_a_fork_compares_with_a_trial_of_the_study_it_begins_with(
    tmp_path: Path, demo_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, folder = make_bench(tmp_path / "bench"), tmp_path / "run"
    storage = f"--storage=sqlite:///{tmp_path / 'study.db'}"
    with OpenAIServer(reply=lambda prompt: "[[A]]" if "[[A]]" in prompt else "[[5]]") as server:
        flags = run_flags(bench, demo_models, folder, server.base_url, storage)
        rated = ("--judge=openai/mine", *SIZE)
        assert run([*flags, *rated]) == 0
        forked = [*flags, *PAIRS, "--fork=pairs", f"--run-dir={tmp_path / 'pairs'}"]
        capsys.readouterr()
        assert run([*forked, "--baseline=trial:9"]) == 2
        assert "--baseline trial:9: study 's' has no such trial" in capsys.readouterr().err
        assert run([*forked, "--baseline=trial:2"]) == 0
        assert run([*forked, "--baseline=trial:2", "--n-trials=4"]) == 0
    rows = read_lines(tmp_path / "pairs" / "model_judgment" / "mine_pair.jsonl")
    assert {row["note"].split(";")[0] for row in rows if row["model"] == "2"} == {
        "the baseline's very answer"
    }


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--baseline=weight:1", "--judge-mode=single"), "--baseline is only for --judge-mode pairwise"),
        (("--baseline=weight:one",), "--baseline weight:one: no such file; use weight:NUMBER"),
        (("--baseline=trial:5",), "--baseline trial:5: study 's' has no such trial"),
    ],
)
def test_a_baseline_that_means_nothing_is_one_line(
    tmp_path: Path,
    demo_models: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    why: str,
) -> None:
    with OpenAIServer() as server:
        url = server.base_url
        flags = run_flags(make_bench(tmp_path / "bench"), demo_models, tmp_path / "run", url, *PAIRS, *more)
        assert run(flags) == 2
        assert server.answered == 0
    assert why in capsys.readouterr().err
