"""How many calls a search takes: whole searches of the demo's models, small ones.

No module: perf/economy, which is no part of the package.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from perf.economy.__main__ import main
from perf.economy.noise import noisy
from perf.economy.rows import CHECKPOINTS, Problem, Row, Step, append_row, longest, read_rows
from perf.economy.searches import Recorder
from perf.economy.table import share_of_calls
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.records import Answer, Question, Rating, Recipe, Trial

QUESTION = Question(1, "any", ("Where?",), ("here",))


def test_a_measurement_that_was_cut_off_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    main(["--tiny", "--out", str(out)])
    whole, shown = out.read_text(encoding="utf-8"), capsys.readouterr().out
    rows = read_rows(out)
    assert {(row.problem.sampler, row.problem.seed) for row in rows} == {
        (sampler, seed) for sampler in ("auto", "TPE") for seed in (0, 1)
    }
    assert all(100 <= row.calls < 100 + 24 for row in rows), "a trial has 12 questions of two turns"
    assert all(1 <= truth <= 10 for row in rows for truth in row.truths().values())
    assert all(100 in row.truths() for row in rows)
    assert "auto reaches the TPE mean" in shown
    out.write_text(whole[:-30], encoding="utf-8")
    main(["--tiny", "--out", str(out)])
    again = read_rows(out)
    assert list(map(_untimed, again)) == list(map(_untimed, rows))
    assert shown.splitlines()[4:] == capsys.readouterr().out.splitlines()[1:]


def _untimed(row: Row) -> Row:
    return replace(row, seconds={}, steps=tuple(replace(step, seconds=None) for step in row.steps))


def test_calls_of_a_candidate_that_answers_several_blocks_count_once() -> None:
    recorder = Recorder(100)
    first, other = (Trial(n, Recipe({"a": 1.0}), attrs={"judgments": 8}) for n in (0, 1))
    again = replace(first, attrs={"judgments": 16})
    for trial, best in ((first, first), (other, other), (again, again)):
        recorder.block_told(trial, 0, best)
    assert (recorder.calls, recorder.trials) == (24, 2)
    assert [(calls, trial.number) for calls, trial, _ in recorder.steps] == [(8, 0), (16, 1), (24, 0)]


def test_noise_depends_on_seed_and_content_alone() -> None:
    def ratings(seed: int, text: str) -> list[float]:
        judge = noisy(RulesJudge(), 1.0, seed)
        found = asyncio.run(judge.judge(QUESTION, Answer(1, (text,))))
        return [one.score for one in found if isinstance(one, Rating)]

    assert ratings(1, "It is here.") == ratings(1, "It is here.")
    drawn = [ratings(seed, "It is there, my friend.")[0] for seed in range(200)]
    plain = asyncio.run(RulesJudge().judge(QUESTION, Answer(1, ("It is there, my friend.",))))[0]
    assert isinstance(plain, Rating)
    assert sum(drawn) / 200 == pytest.approx(plain.score, abs=0.25)
    assert len(set(drawn)) >= 4
    assert all(1 <= score <= 10 and score == round(score) for score in drawn)


def test_a_sampler_that_is_four_times_as_fast_takes_a_quarter_of_the_calls() -> None:
    slow = {s: {c: 5 + s / 10 + c / 1000 for c in CHECKPOINTS if c <= 2000} for s in range(6)}
    fast = {s: {c: 5 + s / 10 + 4 * c / 1000 for c in CHECKPOINTS if c <= 1000} for s in range(6)}
    share = share_of_calls(fast, slow, 2000)
    assert share is not None
    assert (share.share, share.low, share.high) == pytest.approx((0.25, 0.25, 0.25))
    assert share.level == pytest.approx(7.25)
    assert share_of_calls(fast, slow, 3000) is None, "the slow one did not get there"
    behind = share_of_calls(slow, fast, 1000)
    assert behind is not None
    assert behind.share == float("inf")
    assert "never" in str(behind)


def test_the_longest_search_counts_and_its_truths_are_those_in_force(tmp_path: Path) -> None:
    problem = Problem("layer", 0.0, "TPE", 3)
    steps = (Step(90, 0, (0.0,), 4.0), Step(110, 1, (1.0,), None), Step(120, 2, (0.5,), 7.0))
    row = Row(problem, 150, 152, 4, steps, {"search": 1.0})
    for one in (row, replace(row, budget=100, calls=104, steps=steps[:1])):
        append_row(tmp_path / "rows.jsonl", one)
    (found,) = longest(read_rows(tmp_path / "rows.jsonl")).values()
    assert found.budget == 150
    assert found.truths() == {100: 4.0, 125: 7.0, 150: 7.0}
