"""A search by blocks from the command line: killed, resumed, read, merged, refused.

Several modules: a whole run.
"""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.judged import read_lines
from tests.cli.killing import PARALLEL, Ended, Kill, Setting, flags, play, table, write_benchmark
from tests.servers import rules
from tests.servers.openai_server import OpenAIServer, error, user_prompt
from tvmerge._util.urls import sqlite_url
from tvmerge.cli.app import run

Row = dict[str, Any]

SETTING = Setting("auto", window=4, trials=12, questions=16)
ANSWERS = 12 * 8
INTERRUPT, TERMINATE = signal.SIGINT, signal.SIGTERM
KILLS = (
    Kill(12, 0.0, held=False),
    Kill(25, 0.02, held=True),
    Kill(15, 0.0, held=False, signals=(INTERRUPT,)),
    Kill(15, 0.0, held=True, signals=(INTERRUPT, INTERRUPT)),
    Kill(15, 0.0, held=False, signals=(TERMINATE,)),
)
POSIX = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmark(tmp_path_factory.mktemp("blocks") / "bench", SETTING)


@pytest.fixture(scope="module")
def whole(bench: Path) -> tuple[Path, Ended]:
    """A search that nobody disturbs: its folder, and how it ended."""
    folder = bench.parent / "whole"
    return folder, play(folder, bench, SETTING)


@POSIX
def test_a_search_by_blocks_that_is_killed_or_interrupted_ends_with_the_same_table_and_logs(
    bench: Path, whole: tuple[Path, Ended], tmp_path: Path
) -> None:
    folder, expected = whole
    cut = play(tmp_path / "cut", bench, SETTING, KILLS)
    assert [hit.code for hit in cut.hits] == [-9, -9, 130, 130, 143]
    assert cut.table == expected.table
    assert {state for _, _, _, state, *_ in cut.table} == {"COMPLETE", "PRUNED"}
    assert cut.asked_again <= PARALLEL * len(KILLS)
    assert "Traceback" not in (tmp_path / "cut" / "log").read_text(encoding="utf-8")
    found = logged(tmp_path / "cut" / "run")
    assert found == logged(folder / "run")
    asked = {
        (str(number), question)
        for number, *_, attrs, _ in cut.table
        for _, start, stop, _ in attrs["blocks"]
        for question in range(start, stop)
    }
    assert len(found[0]) == len(asked)
    assert len(found[1]) == 2 * len(asked)


@POSIX
def test_delays_and_several_engines_do_not_change_the_table_of_a_search_by_blocks(
    bench: Path, whole: tuple[Path, Ended], tmp_path: Path
) -> None:
    slow = play(tmp_path / "slow", bench, replace(SETTING, engines=2), delays=3)
    assert slow.table == whole[1].table
    assert logged(tmp_path / "slow" / "run") == logged(whole[0] / "run")


def test_a_search_by_blocks_that_its_judge_or_its_budget_stops_shows_its_best_and_goes_on(
    bench: Path,
    whole: tuple[Path, Ended],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    refused = {50: error(402, "Payment required"), 51: error(401, "Incorrect API key")}
    study = ["--storage", sqlite_url(tmp_path / "run" / "study.db"), "--study-name", "s"]
    with OpenAIServer(reply=rules.reply, script=lambda request, number: refused.get(number)) as server:
        argv = flags(tmp_path, bench, SETTING, server.base_url)
        for more, message in (([], "HTTP 40"), (["--max-cost", "0.3"], "budget")):
            assert run([*argv, *more]) == 2
            said = capsys.readouterr().err.splitlines()[-1]
            assert said.startswith("error: ")
            assert message in said
            assert run(["status", *study]) == 0
            shown = capsys.readouterr().out
            assert f"of {ANSWERS} answers" in shown
            assert "best of the search: trial" in shown
        assert run(["merge", "--trial", "best-search", *study, "--output-dir", str(tmp_path / "best")]) == 0
        assert run(argv) == 0
        prompts = [user_prompt(request) for request in server.requests if request.body]
    assert table(tmp_path) == whole[1].table
    assert logged(tmp_path / "run") == logged(whole[0] / "run")
    assert len(prompts) - len(set(prompts)) <= len(refused)


def logged(folder: Path) -> tuple[list[Row], list[Row]]:
    """The answers and the judgments of the search, in order, without what tells one run from another."""
    answers = sorted((folder / "model_answer").glob("*.jsonl"), key=lambda path: int(path.stem))
    judged = (folder / "model_judgment").glob("*.jsonl")
    rows = [[row for path in paths for row in read_lines(path)] for paths in (answers, judged)]
    for row in (*rows[0], *rows[1]):
        for key in ("tstamp", "answer_id"):
            row.pop(key, None)
    return rows[0], rows[1]


def test_a_search_stops_where_little_is_to_be_gained_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["demo", "--optuna-sampler", "auto", "--n-trials", "9", "--run-dir", str(tmp_path / "run")]
    argv += ["--confirm-candidates", "1", "--stop-when", "50"]
    assert run([*argv, "--dry-run"]) == 0
    bound = "when as many answers again are expected to gain less than 50 points"
    assert bound in capsys.readouterr().out
    assert run(argv) == 0
    shown = capsys.readouterr()
    found = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["prospects"]
    assert found["stopped"]
    assert found["gain"] <= found["regret_95"]
    line = f"stopped after {found['answers']} answers: expected gain of as many again under 50 points"
    assert line in shown.err
    assert " ".join(shown.out.split()).count(line) == 1
    assert line[1:] in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--stop-when", "0.1", "--optuna-sampler", "TPE"], "which TPE does not; use --optuna-sampler auto"),
        (["--stop-when", "0.1/USD"], "these answers are judged for nothing; bound the points alone"),
        (["--stop-when", "never"], "stop_when must be points such as 0.05, or points per USD"),
        (
            ["--weight-min", "1", "--weight-max", "1", "--uniform-weights", "1"],
            "there is nothing to search: every weight has a single value",
        ),
    ],
)
def test_what_it_cannot_search_is_one_line(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["demo", "--optuna-sampler", "auto", "--n-trials", "2", "--run-dir", str(tmp_path / "run"), *flags]
    assert run(argv) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert message in said
