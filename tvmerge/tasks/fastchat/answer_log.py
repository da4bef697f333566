"""Logs every answer and judgment of a run in FastChat's files.

<folder>/model_answer/<model>.jsonl
<folder>/model_judgment/<judge>_single.jsonl
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from tvmerge._util.files import safe_name, write_pieces
from tvmerge._util.parsing import parse_json
from tvmerge._util.regular import open_regular
from tvmerge.records import Answer, Evaluation, Judgment, QuestionId
from tvmerge.tasks.fastchat.files import (
    append_judgments,
    each_judgment,
    read_turns,
    write_answers,
)

Mode = Literal["single", "pair"]
"""Whether answers are rated or compared with a baseline's."""


class AnswerLog:
    """Writes evaluations to a folder, each model's once.

    Args:
        folder: The folder that holds `model_answer/` and `model_judgment/`.
        judge: The judge's name, part of the judgment file's name.
        known: Models whose log is complete. What an interrupted run left of others is deleted, since readers
            of the file would otherwise average stale judgments in.
        in_part: For each model that has answered only some questions, those whose log is complete.
        mode: Whether answers were rated or compared with a baseline's; part of the file's name.
    """

    def __init__(
        self,
        folder: Path,
        judge: str,
        known: Collection[str] = (),
        *,
        in_part: Mapping[str, Collection[QuestionId]] = MappingProxyType({}),
        mode: Mode = "single",
    ) -> None:
        self._answers = _answers_of(folder)
        self._judgments = _judgments_of(folder, judge, mode)
        self._drop_all_but(frozenset(known), in_part)

    def keep(self, model: str, evaluation: Evaluation) -> None:
        """Write a model's answers and judgments.

        Raises:
            OSError: The disk is full or the folder cannot be written.
        """
        now = time.time()
        write_answers(self._answers / f"{model}.jsonl", model, evaluation.answers, now)
        append_judgments(self._judgments, ((model, judgment) for judgment in evaluation.judgments), now)

    def add(self, model: str, evaluation: Evaluation) -> None:
        """Write answers and judgments of a model beside those of other questions that it has answered.

        Raises:
            OSError: The disk is full or the folder cannot be written.
        """
        now = time.time()
        write_answers(self._answers / f"{model}.jsonl", model, evaluation.answers, now, keep=True)
        append_judgments(self._judgments, ((model, judgment) for judgment in evaluation.judgments), now)

    def _drop_all_but(self, known: frozenset[str], in_part: Mapping[str, Collection[QuestionId]]) -> None:
        if not self._judgments.exists():
            return

        def is_kept(line: bytes) -> bool:
            model, key = _about(line)
            return model in known or key in in_part.get(model, ())

        # The log of a long search need not fit into memory, so it is read twice.
        if not all(line.endswith(b"\n") and is_kept(line) for line in _lines(self._judgments)):
            kept = filter(is_kept, _lines(self._judgments))
            write_pieces(self._judgments, (line.decode("utf-8").rstrip("\n") + "\n" for line in kept))


def read_log(folder: Path, judge: str, *, mode: Mode = "single") -> Iterator[tuple[Answer, list[Judgment]]]:
    """Yield each logged answer with its judgments; each question must have been answered once.

    Args:
        folder: The folder of the log.
        judge: The judge's name.
        mode: As that of `AnswerLog`.

    Raises:
        AssetError: A file cannot be read.
    """
    logged = _judgments_of(folder, judge, mode)
    if not logged.exists():
        return
    for model, rows in groupby(each_judgment(logged), key=itemgetter(0)):
        judgments: dict[QuestionId, list[Judgment]] = {}
        for _, judgment in rows:
            judgments.setdefault(judgment.question_id, []).append(judgment)
        turns = read_turns(_answers_of(folder) / f"{model}.jsonl")
        yield from ((Answer(key, turns[key]), found) for key, found in judgments.items() if key in turns)


def _answers_of(folder: Path) -> Path:
    return folder / "model_answer"


def _judgments_of(folder: Path, judge: str, mode: Mode) -> Path:
    return folder / "model_judgment" / f"{safe_name(judge)}_{mode}.jsonl"


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; only line feeds end one, since texts may contain other line separators."""
    with open_regular(path) as file:
        yield from file


def _about(line: bytes) -> tuple[str, QuestionId | None]:
    """Return the model and the question of a line; neither for a line truncated by a crash."""
    try:
        row = parse_json(line)
        return str(row["model"]), row["question_id"]
    except (ValueError, KeyError, TypeError):
        return "", None
