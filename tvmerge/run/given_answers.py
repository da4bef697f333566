"""The answers that are to be judged: in files, or in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tvmerge.errors import AssetError
from tvmerge.records import Answer, Question
from tvmerge.tasks.fastchat.files import ModelAnswers, read_answers

GivenAnswers = Sequence[Path] | Mapping[str, Sequence[Answer]]
"""A file for each model, in FastChat's model_answer format, or each model's answers by its name."""


def models_of(answers: GivenAnswers, questions: Sequence[Question], turns: int | None) -> list[ModelAnswers]:
    """Each model's answers, in the order of the questions.

    Args:
        answers: Where they are.
        questions: The benchmark's.
        turns: How many turns of an answer are taken; None is for all.

    Raises:
        AssetError: A file is malformed, an answer has more turns than its question, or a model answered no
            question of the benchmark.
    """
    if isinstance(answers, Mapping):
        return [_taken(model, given, questions, turns) for model, given in answers.items()]
    return [read_answers(path, questions, turns) for path in answers]


def _taken(
    model: str, given: Sequence[Answer], questions: Sequence[Question], turns: int | None
) -> ModelAnswers:
    """Answers that are no file's, as `read_answers` takes those of a file."""
    place = {question.question_id: number for number, question in enumerate(questions)}
    known = sorted((a for a in given if a.question_id in place), key=lambda a: place[a.question_id])
    if not known:
        raise AssetError(f"model {model}: none of its {len(given)} answers is to a question of the benchmark")
    for answer in known:
        if len(answer.turns) > len(questions[place[answer.question_id]].turns):
            raise AssetError(f"model {model}: the answer to {answer.question_id} has more turns than it")
    kept = (
        replace(a, turns=a.turns[:turns], finish=a.finish[:turns], thoughts=a.thoughts[:turns]) for a in known
    )
    return ModelAnswers(model, tuple(kept), len({a.question_id for a in given} - place.keys()))
