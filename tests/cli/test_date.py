"""A chat template that tells the date tells one date in all of a study.

Several modules: the command, chat templates, the study and the cache.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest

from tests.engines.talkers import FAMILIES, QUESTION, RIGHT, WRONG, save_talker
from tvmerge.cli.app import run
from tvmerge.study.storage import read_study

TOLD = replace(
    FAMILIES["qwen"],
    template=FAMILIES["qwen"].template + "{{ ' ' + strftime_now('day%d') }}",
    words=("day14", "day15"),
)
"""Models that answer right on the 14th and wrong on the 15th."""


@pytest.fixture
def today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """A working folder with such models and a benchmark; what it holds at the end is the time."""
    path = {"day14": RIGHT, "day15": WRONG, RIGHT: TOLD.turn_end, WRONG: TOLD.turn_end}
    for name in ("target", "base", "tuned"):
        save_talker(TOLD, tmp_path / name, path, ends=(TOLD.text_end,))
    (tmp_path / "bench").mkdir()
    rows = [
        {"question_id": n, "category": "general", "turns": [QUESTION], "reference": ["東京"]}
        for n in range(4)
    ]
    (tmp_path / "bench" / "question.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "bench" / "benchmark.toml").write_text("[temperature]\ndefault = 0.0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    clock: list[datetime] = []

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return clock[-1].replace(tzinfo=tz)

    monkeypatch.setattr("tvmerge.engines.prompting.chat_format.datetime", Clock)
    return clock


def optimize(study: str, trials: int, *more: str) -> int:
    models = ("--target-model=target", "--base-model=base", "--tuned-model=tuned", "--optimize-mode=uniform")
    asked = ("--bench-name=bench", "--judge=rules", f"--n-trials={trials}", "--max-new-tokens=12")
    whole = ("--optuna-sampler=TPE", "--uniform-weights=0,1")
    return run(["optimize", *models, *asked, *whole, f"--study-name={study}", f"--run-dir={study}", *more])


def answered(study: str) -> list[str]:
    """What each trial answered to the first question."""
    files = sorted(Path(study, "model_answer").glob("*.jsonl"), key=lambda path: int(path.stem))
    rows = [json.loads(file.read_text(encoding="utf-8").splitlines()[0]) for file in files]
    return [row["choices"][0]["turns"][0] for row in rows]


def test_a_study_goes_on_in_the_date_it_began_with(today: list[datetime]) -> None:
    today.append(datetime(2026, 3, 14, 12))
    assert optimize("one", 2) == 0
    today.append(datetime(2026, 3, 15, 12))
    assert optimize("one", 4) == 0
    assert answered("one") == [RIGHT] * 4
    assert optimize("other", 2) == 0
    assert answered("other") == [WRONG] * 2
    days = [read_study(f"sqlite:///{name}/study.db", name).run["chat"]["day"] for name in ("one", "other")]
    assert days == ["2026-03-14", "2026-03-15"]


def test_a_fork_tells_the_date_of_the_study_it_begins_with(today: list[datetime]) -> None:
    today.append(datetime(2026, 3, 14, 12))
    assert optimize("one", 2) == 0
    today.append(datetime(2026, 3, 15, 12))
    assert optimize("one", 3, "--fork=two") == 0
    assert answered("two") == [RIGHT] * 3


def test_a_plan_finds_the_answers_of_the_studys_date(
    today: list[datetime], capsys: pytest.CaptureFixture[str]
) -> None:
    today.append(datetime(2026, 3, 14, 12))
    assert optimize("one", 2) == 0
    today.append(datetime(2026, 3, 15, 12))
    capsys.readouterr()
    assert optimize("one", 2, "--dry-run") == 0
    assert "stored already: 2 answers of the candidates known now" in capsys.readouterr().out
