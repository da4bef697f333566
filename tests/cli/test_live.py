"""A run as it is watched: on a terminal, in lines, in the log of events, and not at all.

Several modules: whole runs.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.cells import cell_len

from tests.cli.judged import make_bench, run_flags
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer, error
from tests.terminals import lines_of, terminal
from tvmerge.cli.app import run


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")


@pytest.fixture
def small_demo(small_bench: Path) -> list[str]:
    """A demo that answers a few questions briefly."""
    return ["demo", f"--bench-name={small_bench}", "--n-trials=2", "--max-new-tokens=4"]


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def watched(monkeypatch: pytest.MonkeyPatch, argv: list[str], **settings: Any) -> list[str]:
    """What a run draws on a terminal, line by line."""
    with terminal(monkeypatch, **settings) as (stream, seen):
        monkeypatch.setattr(sys, "stderr", stream)
        assert run(argv) == 0
    return lines_of(seen[0])


def test_a_terminal_shows_what_the_run_is_doing_from_its_first_line_to_the_finalists(
    small_demo: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In one process with other tests, torch is there already.
    imports = () if "torch" in sys.modules else ("importing torch",)
    drawn = watched(monkeypatch, [*small_demo, f"--run-dir={tmp_path / 'run'}"])
    assert drawn[0].startswith("tvmerge searches how best to add what tuned learned to target")
    shown = "\n".join(drawn)
    for phase in (*imports, "reading and checking the models"):
        assert phase in shown
    assert re.search(r"^search +━+ *3\d/32 answers  0:\d\d$", shown, re.MULTILINE)
    assert re.search(r"^finalists +━{20} (\d+)/\1  0:\d\d$", shown, re.MULTILINE)
    assert re.search(
        r"^best \d\.\d\d ± \d\.\d\d \(trial \d+\) · weight 0 \d.* · weight 1 \d", shown, re.MULTILINE
    )
    assert re.search(r"^[\d,]+ tokens/s$", shown, re.MULTILINE)
    told = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["trials"]
    assert f"{told['complete'] + told['estimated']} candidates" in shown


@pytest.mark.parametrize(
    ("settings", "colours", "ascii_only"),
    [
        ({"columns": 40}, True, False),
        ({"columns": 40, "NO_COLOR": "1"}, False, False),
        ({"columns": 40, "LANG": "C"}, True, True),
        ({"columns": 80, "encoding": "ascii"}, True, True),
    ],
)
def test_narrow_plain_and_old_terminals_get_what_they_can_show(
    small_demo: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    settings: dict[str, Any],
    colours: bool,
    ascii_only: bool,
) -> None:
    folder = tmp_path / "日本語のフォルダー"
    with terminal(monkeypatch, **settings) as (stream, seen):
        monkeypatch.setattr(sys, "stderr", stream)
        assert run([*small_demo, f"--run-dir={folder}"]) == 0
    assert ("\x1b[36m" in seen[0]) is colours
    assert ("\x1b[2m" in seen[0]) or not colours
    assert seen[0].isascii() is ascii_only
    assert max(cell_len(line) for line in lines_of(seen[0])) <= settings["columns"]
    assert re.search(r"search .*\d/32 answers", seen[0])
    assert "\ufffd" not in seen[0]


def test_a_wait_for_a_rate_limit_is_shown_with_its_end_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_models: Path
) -> None:
    def limited(request: Request, number: int) -> Response | None:
        return error(429, "slow down", headers={"retry-after": "4"}) if number == 5 else None

    log = tmp_path / "log.jsonl"
    with OpenAIServer(script=limited) as server:
        flags = run_flags(
            make_bench(tmp_path / "bench"), demo_models, tmp_path / "run", server.base_url, "--judge=gpt-4o"
        )
        drawn = watched(monkeypatch, [*flags, "--n-trials=1", f"--log-file={log}", "--max-cost=5"])
        requests = len(server.requests)
    waits = [line for line in drawn if line.startswith("waiting until ")]
    assert re.match(r"waiting until \d\d:\d\d:\d\d: the judge's provider is failing; .*HTTP 429", waits[0])
    assert any(re.match(r"  trial \d+ +judging \d+/\d+$", line) for line in drawn)
    assert any(re.search(r"[\d,]+ judge calls.* of 5 USD", line) for line in drawn)
    told = [row["text"] for row in events(log) if row["kind"] == "waiting"]
    assert told[0] in waits
    assert told[-1] == ""
    assert [row for row in events(log) if "judge_calls" in row][-1]["judge_calls"] <= requests


@pytest.mark.parametrize("sampler", ["auto", "TPE"])
def test_the_counts_of_the_log_are_those_of_the_study(
    small_demo: list[str], tmp_path: Path, sampler: str
) -> None:
    log, folder = tmp_path / "log.jsonl", tmp_path / "run"
    argv = [*small_demo, "--n-trials=4", f"--optuna-sampler={sampler}", "--quiet"]
    assert run([*argv, f"--run-dir={folder}", f"--log-file={log}"]) == 0
    rows = events(log)
    assert all(row["time"].endswith("+00:00") for row in rows)
    kinds = Counter(row["kind"] for row in rows)
    assert kinds["run_started"] == kinds["search_started"] == kinds["search_ended"] == kinds["run_ended"] == 1
    trials = optuna.load_study(study_name="demo", storage=f"sqlite:///{folder / 'study.db'}").trials
    states = Counter(trial.state.name for trial in trials)
    (counts,) = [row["counts"] for row in rows if row["kind"] == "search_ended"]
    assert (counts["complete"], counts["pruned"], counts["failed"]) == (
        *(states["COMPLETE"], states["PRUNED"], states["FAIL"]),
    )
    assert counts["running"] == counts["open"] == 0
    if sampler == "auto":
        answers = sum(row["answers"] for row in rows if row["kind"] == "block")
        assert answers == sum(trial.user_attrs["questions"] for trial in trials)
    else:
        told = {row["trial"]: row["state"] for row in rows if row["kind"] == "trial"}
        assert told == {trial.number: trial.state.name for trial in trials}
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert next(row["winner"] for row in rows if row["kind"] == "run_ended") == result["best_trial"]


def test_judging_shows_how_many_answers_are_rated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"question_id": n, "choices": [{"index": 0, "turns": ["4です。", "11です。"]}]} for n in (1, 2, 3)
    ]
    answers = tmp_path / "mine.jsonl"
    answers.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    drawn = watched(monkeypatch, ["judge", "--bench-name=demo", "--judge=rules", f"--answers={answers}"])
    shown = "\n".join(drawn)
    assert "reading the questions and the answers" in shown
    assert re.search(r"^judging +━{20} 3/3 answers  0:\d\d$", shown, re.MULTILINE)


def test_a_merge_shows_what_it_does_and_prints_its_outputs_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [f"--{role}-model={demo_models / role}" for role in ("target", "base", "tuned")]
    drawn = watched(monkeypatch, ["merge", *models, "--weight=0.5", f"--output-dir={tmp_path / 'out'}"])
    shown = "\n".join(drawn)
    assert "reading and checking the models" in shown
    assert "writing the model" in shown
    assert capsys.readouterr().out == f"model: {tmp_path / 'out'}\n"


def test_a_quiet_run_prints_the_result_and_nothing_else(
    small_demo: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([*small_demo, "-q", f"--run-dir={tmp_path / 'run'}"]) == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    assert "best of the search" in printed.out
    assert run([*small_demo, "-q", f"--run-dir={tmp_path / 'run'}", "--weight-max=3"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", "is a folder"),
        ("notes.txt", "is not a log of tvmerge"),
        ("notes.txt/log", "is a file, not a folder"),
        ("run/result.json", "is a file that the run writes itself"),
        ("run/study.db", "is a file that the run writes itself"),
        ("run/questions.jsonl", "is a file that the run writes itself"),
        ("run/model/log", "is in the folder of the merged model"),
    ],
)
def test_a_log_that_cannot_be_written_is_one_line_before_anything_begins(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], log: str, reason: str
) -> None:
    (tmp_path / "notes.txt").write_text("mine\n", encoding="utf-8")
    assert run(["demo", f"--run-dir={tmp_path / 'run'}", f"--log-file={tmp_path / log}"]) == 2
    printed = capfd.readouterr().err
    assert printed.startswith("error: --log-file ")
    assert reason in printed
    assert printed.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine\n"
