"""Writes and reads the questions of a run, `questions.jsonl`, so that its report can be made at any time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from tvmerge._util.files import read_jsonl, write_jsonl
from tvmerge.records import Question, Split
from tvmerge.tasks.fastchat.rows import Row

QUESTIONS = "questions.jsonl"
"""Name of the file in the run folder."""


def write_questions(path: Path, search: Iterable[Question], holdout: Iterable[Question]) -> None:
    """Write the questions of a run in FastChat's format, those of the search first and in the order asked.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    halves: tuple[tuple[Split, Iterable[Question]], ...] = (("search", search), ("holdout", holdout))
    write_jsonl(path, chain.from_iterable(_rows(split, questions) for split, questions in halves))


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read the questions that `write_questions` wrote, in the file's order.

    Raises:
        AssetError: The file cannot be read, or a line, named in the message, is malformed.
    """
    return tuple(_question(Row(path, line, data)) for line, data in read_jsonl(path))


def _rows(split: Split, questions: Iterable[Question]) -> Iterator[dict[str, object]]:
    for question in questions:
        yield {
            "question_id": question.question_id,
            "category": question.category,
            "turns": list(question.turns),
            "reference": list(question.reference),
            "split": split,
        }


def _question(row: Row) -> Question:
    split = row.data.get("split")
    if split not in ("search", "holdout"):
        raise row.error("'split' must be search or holdout")
    return Question(
        question_id=row.question_id(),
        category=row.text("category"),
        turns=row.as_texts("turns", row.required("turns")),
        reference=row.as_texts("reference", row.data.get("reference", [])),
        split=split,
    )
