"""A search by blocks from the command line: killed, resumed, read, merged, refused.

Several modules: a whole run.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.killing import Kill, Setting, play, write_benchmark
from tvmerge.cli.app import run

SETTING = Setting("auto", window=4, trials=7, questions=16)
KILLS = (Kill(12, 0.0, held=False), Kill(25, 0.02, held=True))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_a_search_by_blocks_that_is_killed_ends_with_the_same_table(tmp_path: Path) -> None:
    bench = write_benchmark(tmp_path / "bench", SETTING)
    whole = play(tmp_path / "whole", bench, SETTING)
    cut = play(tmp_path / "cut", bench, SETTING, KILLS)
    assert len(cut.hits) == len(KILLS)
    assert cut.table == whole.table
    assert {state for *_, state, _ in whole.table} <= {"COMPLETE", "PRUNED", "FAIL"}
    for folder in ("whole", "cut"):
        _check_logs(tmp_path / folder / "run")


def _check_logs(folder: Path) -> None:
    """No judgment is logged twice."""
    judged = next((folder / "model_judgment").glob("*.jsonl"))
    rows = [json.loads(line) for line in judged.read_text(encoding="utf-8").splitlines()]
    keys = [(row["model"], row["question_id"], row["turn"]) for row in rows]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
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
