"""Reads the answers of a run, with their judgments, from the files in its folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tvmerge.records import Answer, Judgment, Question, QuestionId
from tvmerge.report.result import Sample
from tvmerge.tasks.fastchat.files import each_judgment, read_answers


def stored_samples(
    folder: Path, models: Collection[str], questions: Sequence[Question], wanted: Collection[QuestionId]
) -> dict[str, tuple[Sample, ...]]:
    """Return the answers of some models to some questions, by model and in the order of the questions.

    Args:
        folder: The folder that holds `model_answer/` and `model_judgment/`.
        models: Names of models; those without answers are left out.
        questions: All questions of the run.
        wanted: Ids of the questions whose answers are returned.

    Raises:
        AssetError: A line of a file, named in the message, is malformed.
    """
    known = {model: file for model in models if _has_answers(file := _answers(folder, model))}
    judgments = _judgments(folder, known)
    asked = [question for question in questions if question.question_id in wanted]
    return {
        model: tuple(_samples(read_answers(file, questions).answers, judgments.get(model, {}), asked))
        for model, file in known.items()
    }


def _has_answers(file: Path) -> bool:
    # A candidate that gave no usable model has an empty file.
    return file.is_file() and file.stat().st_size > 0


def _answers(folder: Path, model: str) -> Path:
    return folder / "model_answer" / f"{model}.jsonl"


def _judgments(folder: Path, models: Collection[str]) -> dict[str, dict[QuestionId, list[Judgment]]]:
    found: dict[str, dict[QuestionId, list[Judgment]]] = {}
    for file in sorted((folder / "model_judgment").glob("*.jsonl")):
        for model, judgment in each_judgment(file, models):
            found.setdefault(model, {}).setdefault(judgment.question_id, []).append(judgment)
    return found


def _samples(
    answers: Sequence[Answer],
    judgments: Mapping[QuestionId, Sequence[Judgment]],
    questions: Sequence[Question],
) -> Iterator[Sample]:
    by_question: dict[QuestionId, list[Answer]] = {}
    for answer in answers:
        by_question.setdefault(answer.question_id, []).append(answer)
    for question in questions:
        given = by_question.get(question.question_id, [])
        shares = _shared_out(judgments.get(question.question_id, ()), len(given))
        for answer, share in zip(given, shares, strict=True):
            yield Sample(question, answer, share)


def _shared_out(judgments: Sequence[Judgment], n: int) -> list[tuple[Judgment, ...]]:
    """Return the judgments of each of `n` answers to one question.

    A judgment does not say which sample of an answer it is of, but those of one answer follow each other. So
    the next answer begins where a judge's sample rates a turn that it has rated already.
    """
    shares: list[list[Judgment]] = [[] for _ in range(n)]
    seen: set[tuple[int, str, int]] = set()
    place = 0
    for judgment in judgments:
        key = (judgment.turn, judgment.judge, judgment.sample)
        if key in seen:
            seen.clear()
            place += 1
        seen.add(key)
        if place < n:
            shares[place].append(judgment)
    return [tuple(share) for share in shares]
