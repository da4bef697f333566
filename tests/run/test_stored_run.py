"""A run read from its folder, while it works and afterwards."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from tests.report import results
from tests.study.blocks.searches import drive as drive_blocks
from tests.study.blocks.searches import open_blocks
from tests.study.studies import drive, open_at
from tvmerge._util.files import write_jsonl
from tvmerge._util.urls import sqlite_url
from tvmerge.errors import AssetError, StudyError
from tvmerge.records import Answer, Evaluation, Question, Recipe
from tvmerge.report.conclusion import conclusion
from tvmerge.report.page.page import render_page
from tvmerge.report.result_file import trial_rows
from tvmerge.run.stored_answers import stored_samples
from tvmerge.run.stored_run import read_run
from tvmerge.study.lock import study_lock
from tvmerge.study.winner import Winner, told_of
from tvmerge.tasks.fastchat.answer_log import AnswerLog
from tvmerge.tasks.fastchat.question_file import read_questions, write_questions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder in the middle of a search: 6 trials told, 2 in flight, an answer by the first."""
    url = sqlite_url(tmp_path / "study.db")
    drive(lambda: open_at(url, window=2), 6)
    study = open_at(url, window=2)
    study.ask()
    study.ask()
    # Its connection moves the log of changes into the database when it is closed, which must not come later.
    del study
    gc.collect()
    (tmp_path / ".study").write_text("s\n", encoding="utf-8")
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".db", ".jsonl")}


def test_a_running_study_says_that_it_has_not_ended_and_claims_nothing(folder: Path) -> None:
    before = files(folder)
    with study_lock(sqlite_url(folder / "study.db"), "s"):
        record = read_run(folder)
    assert record.unfinished.startswith("This run has not ended: 6 ")
    assert "a run is working on it" in record.unfinished
    assert conclusion(record) == record.unfinished
    assert len(record.trials) == 8
    best = max((t for t in record.trials if t.scored), key=lambda t: t.value or 0)
    assert record.contenders[0].trial == best.number
    assert record.contenders[0].holdout is None
    assert record.unfinished in render_page(record)
    assert files(folder) == before


def test_what_the_judges_have_used_is_counted_from_a_ledger_that_is_being_written(
    folder: Path,
) -> None:
    row = {"judge": "gpt-4", "at": 1.0, "input": 100, "output": 20, "cost": 0.25, "seconds": 1.5}
    (folder / "ledger.jsonl").write_text(2 * f"{json.dumps(row)}\n" + '{"judge": "gp', encoding="utf-8")
    (usage,) = read_run(folder).usage
    assert (usage["judge"], usage["calls"], usage["cost_usd"]) == ("gpt-4", 2, 0.5)


def test_a_study_that_no_run_works_on_says_so(folder: Path) -> None:
    assert "no run is working on it now" in read_run(folder).unfinished


def test_a_search_by_blocks_is_shown_by_the_means_of_the_answers_so_far(tmp_path: Path) -> None:
    drive_blocks(lambda: open_blocks(tmp_path), 12)
    record = read_run(None, sqlite_url(tmp_path / "study.db"), "s")
    assert "plain means of few answers" in record.unfinished
    best = record.contenders[0]
    assert best.search.se > 0
    assert best.search.mean == pytest.approx(record.trials[best.trial or 0].attrs["mean"])


def test_the_answers_of_the_search_are_shown_beside_each_other_while_it_works(folder: Path) -> None:
    asked = [results.question(number) for number in (3, 4)]
    write_questions(folder / "questions.jsonl", asked, [results.question(5)])
    best = read_run(folder).contenders[0].trial
    rated = tuple((s.answer, s.judgments) for s in (results.sample(q, [7.0, 8.0]) for q in asked))
    AnswerLog(folder, "judge-x").keep(str(best), Evaluation(Recipe(), rated))
    with (folder / "model_judgment" / "judge-x_single.jsonl").open("ab") as file:
        file.write('{"question_id": 3, "model": "1", "judgment": "途'.encode()[:-1])
    samples = read_run(folder).contenders[0].samples
    assert [(s.question.turns, s.answer, s.judgments) for s in samples] == [
        (q.turns, *pair) for q, pair in zip(asked, rated, strict=True)
    ]


def test_judgments_of_several_samples_go_to_the_answers_they_are_of(tmp_path: Path) -> None:
    asked = results.question(3)
    first, second = results.sample(asked, [7.0, 8.0]), results.sample(asked, [2.0, 3.0])
    other = Answer(3, second.answer.turns, second.answer.finish, sample=1)
    rated = ((first.answer, first.judgments), (other, second.judgments))
    AnswerLog(tmp_path, "judge-x").keep("5", Evaluation(Recipe(), rated))
    samples = stored_samples(tmp_path, ["5", "6"], [asked], [3])
    assert {model: [(s.answer, s.judgments) for s in some] for model, some in samples.items()} == {
        "5": list(rated)
    }


def test_questions_are_read_as_they_were_written(tmp_path: Path) -> None:
    search = [Question("q\u2028-1", "math", ("一",), ("1",)), Question(2, "writing", ("二", "三"))]
    write_questions(tmp_path / "questions.jsonl", search, [Question(3, "math", ("四",))])
    found = read_questions(tmp_path / "questions.jsonl")
    assert [(q.question_id, q.category, q.turns, q.reference, q.split) for q in found] == [
        ("q\u2028-1", "math", ("一",), ("1",), "search"),
        (2, "writing", ("二", "三"), (), "search"),
        (3, "math", ("四",), (), "holdout"),
    ]


def test_a_study_without_a_score_and_a_folder_without_a_study_are_errors(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    open_at(url).ask()
    with pytest.raises(StudyError, match="has no scored trial yet"):
        read_run(None, url, "s")
    with pytest.raises(StudyError, match="is not a run folder; pass --storage"):
        read_run(tmp_path)


def test_a_result_that_the_study_has_gone_beyond_is_not_the_end(folder: Path) -> None:
    (folder / "result.json").write_text("{}", encoding="utf-8")
    (folder / "trials.jsonl").write_text("", encoding="utf-8")
    assert read_run(folder).unfinished


def test_a_result_is_not_the_end_where_blocks_were_answered_since_by_a_run_that_was_killed(
    tmp_path: Path,
) -> None:
    study = drive_blocks(lambda: open_blocks(tmp_path), 12)
    study.name_winner(Winner(0, 0, "better", "It beats all.", told_of(study.trials)))
    study.close()
    (tmp_path / ".study").write_text("s\n", encoding="utf-8")
    (tmp_path / "result.json").write_text("{}", encoding="utf-8")
    write_jsonl(tmp_path / "trials.jsonl", trial_rows(study.trials))
    with pytest.raises(AssetError, match=r"result\.json"):  # the result is read
        read_run(tmp_path)
    drive_blocks(lambda: open_blocks(tmp_path), 16)
    assert read_run(tmp_path).unfinished.startswith("This run has not ended")
