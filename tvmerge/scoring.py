"""Judging answers that were generated elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.build import Note, build_judge
from tvmerge.caches import Caches
from tvmerge.errors import AssetError
from tvmerge.evaluation.fastchat import ModelAnswers, read_answers, write_judgments
from tvmerge.evaluation.statistics import by_category, by_turn, coverage, estimate
from tvmerge.ratings import Ratings, all_rated
from tvmerge.records import Judgment, Question
from tvmerge.report.judged import JudgedModel

if TYPE_CHECKING:
    from tvmerge.config import JudgeConfig
    from tvmerge.protocols import Judge

GRACE = 30.0
"""Seconds to wait for judgments in flight after a failure or Ctrl-C."""


async def judge_answers(
    config: JudgeConfig, files: Sequence[Path], out: Path | None, note: Note
) -> tuple[JudgedModel, ...]:
    """Rate the answers in `files`, which are in FastChat's model_answer format.

    Args:
        config: What was asked and who judges.
        files: One file a model.
        out: Where the judgments are written, in FastChat's model_judgment format.
        note: Tells the user something in passing.

    Raises:
        UserError: A file, the benchmark or the judge is not usable.
        ProviderError, BudgetError: The judge cannot go on; what it said so far is cached.
    """
    with closing(Caches()) as caches:
        benchmark, judge = await asyncio.to_thread(build_judge, config, caches, note)
        try:
            models = [read_answers(path, benchmark.questions) for path in files]
            _check_names(models)
            judged = await _judge_all(judge, models, benchmark.questions)
        finally:
            await judge.close()
    if out is not None:
        rows = (
            (model.model, judgment) for model, row in zip(models, judged, strict=True) for judgment in row
        )
        write_judgments(out, rows, time.time())
    return tuple(
        JudgedModel(
            model=model.model,
            overall=estimate(row),
            by_turn=by_turn(row),
            by_category=by_category(row, benchmark.questions),
            coverage=coverage(row),
        )
        for model, row in zip(models, judged, strict=True)
    )


async def _judge_all(
    judge: Judge, models: Sequence[ModelAnswers], questions: Sequence[Question]
) -> list[list[Judgment]]:
    """The judgments of each model; a failure or Ctrl-C waits for the ones in flight, which are paid for."""
    asked = {question.question_id: question for question in questions}
    ratings = Ratings(judge)
    try:
        tasks = [
            [ratings.start(asked[answer.question_id], answer) for answer in model.answers] for model in models
        ]
        await all_rated([task for row in tasks for task in row])
        return [[judgment for task in row for judgment in task.result()[1]] for row in tasks]
    finally:
        await ratings.drain(GRACE)


def _check_names(models: Sequence[ModelAnswers]) -> None:
    names = [model.model for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AssetError(f"two files are called {', '.join(twice)}; a model is named by its file: rename one")
