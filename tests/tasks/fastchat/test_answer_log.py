"""What a log keeps of an interrupted run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmerge.records import Answer, Evaluation, Rating, Recipe
from tvmerge.tasks.fastchat.answer_log import AnswerLog, read_log
from tvmerge.tasks.fastchat.files import read_judgments

TEXT = "四季\u2028があります\x85。"
"""Characters that some readers take for line ends."""


def evaluation(*questions: int) -> Evaluation:
    rated = ((Answer(q, (TEXT,)), (Rating(q, 1, 7.0, "j", "single-v1", reply=TEXT),)) for q in questions)
    return Evaluation(Recipe({"a": 1.0}), tuple(rated))


def logged(folder: Path) -> list[tuple[str, object, str]]:
    path = folder / "model_judgment" / "j_single.jsonl"
    return [(model, judgment.question_id, judgment.reply) for model, judgment in read_judgments(path)]


def test_only_what_is_known_is_kept(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path, "j")
    for model in ("0", "1", "2"):
        log.keep(model, evaluation(1, 2))
    AnswerLog(tmp_path, "j", ["0"], in_part={"2": {2}})
    assert logged(tmp_path) == [("0", 1, TEXT), ("0", 2, TEXT), ("2", 2, TEXT)]


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_line_that_a_crash_has_cut_is_removed(tmp_path: Path, cut: int) -> None:
    log = AnswerLog(tmp_path, "j")
    log.keep("0", evaluation(1, 2))
    path = tmp_path / "model_judgment" / "j_single.jsonl"
    whole = path.read_bytes()
    # Within a letter of several bytes, within a line, and before its end.
    path.write_bytes(whole + whole[: whole.index("四".encode()) + cut])
    AnswerLog(tmp_path, "j", ["0"])
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-1])
    AnswerLog(tmp_path, "j", ["0"])
    assert path.read_bytes() == whole


def test_a_sound_log_is_not_written_again(tmp_path: Path) -> None:
    AnswerLog(tmp_path, "j").keep("0", evaluation(1, 2))
    path = tmp_path / "model_judgment" / "j_single.jsonl"
    before = path.stat()
    AnswerLog(tmp_path, "j", ["0"])
    assert path.stat().st_ino == before.st_ino


def test_a_log_is_read_as_it_was_kept_and_stays_as_it_is(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path, "j")
    for model in ("0", "1"):
        log.keep(model, evaluation(1, 2))
    path = tmp_path / "model_judgment" / "j_single.jsonl"
    before = path.read_bytes()
    read = list(read_log(tmp_path, "j"))
    assert [(answer.question_id, answer.turns) for answer, _ in read] == [(1, (TEXT,)), (2, (TEXT,))] * 2
    assert [judgment.reply for _, judgments in read for judgment in judgments] == [TEXT] * 4
    assert path.read_bytes() == before
    assert list(read_log(tmp_path / "none", "j")) == []
