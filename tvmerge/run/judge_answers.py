"""Judges answers that were generated elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.caches import BATCHES, Caches, cache_folder
from tvmerge._util.canonical import digest
from tvmerge._util.locking import locked
from tvmerge._util.private import make_private
from tvmerge._util.real_path import real_path
from tvmerge.errors import AssetError, ConfigError, ProviderError
from tvmerge.judging.agreement import agreement
from tvmerge.records import Answer, Judgment, Question, QuestionId
from tvmerge.report.terminal.flights import Flights
from tvmerge.report.terminal.judged import JudgedAnswers, JudgedModel
from tvmerge.run.answers_to_judge import AnswersToJudge, models_to_judge
from tvmerge.run.judgment_file import check_out, check_replaceable, write_judged
from tvmerge.run.rating_tasks import Rated, RatingTasks
from tvmerge.run.standing import spent_in
from tvmerge.scoring.statistics import (
    by_category,
    by_turn,
    coverage,
    estimate,
    finish_share,
    most_common_reason,
    most_common_remedy,
    why_silent,
)
from tvmerge.tasks.base import Note
from tvmerge.tasks.fastchat.files import ModelAnswers, read_answers
from tvmerge.tasks.judged import suite_of_benchmarks
from tvmerge.tasks.own import suite_of_own_judge
from tvmerge.tasks.suite import TaskSuite

if TYPE_CHECKING:
    from tvmerge.config import JudgeConfig
    from tvmerge.protocols import Judge
    from tvmerge.report.terminal.progress import Progress

_HEARD = 10
"""Number of judgments after which a judge that has given no rating is not asked any more."""

GRACE = 30.0
"""Seconds to wait for judgments in flight after a failure or Ctrl-C."""


async def judge_answers(
    config: JudgeConfig,
    answers: AnswersToJudge,
    baseline: Path | None,
    out: Path | None,
    note: Note,
    *,
    progress: Progress | None = None,
    own: Judge | None = None,
) -> JudgedAnswers:
    """Rate answers and write the judgments.

    Args:
        config: The settings of the questions and the judge.
        answers: One file per model in FastChat's model_answer format, or the answers of each model by its
            name.
        baseline: The answers to compare with, for pairwise judging.
        out: The file to write the judgments to, in FastChat's model_judgment format.
        note: Called with each remark for the user.
        progress: Shows how far the ratings are; None for notes only.
        own: A judge to use instead of those in the settings.

    Raises:
        UserError: A file, the benchmark or the judge is not usable, or `out` exists and has something else
            than judgments that would be written again.
        ProviderError, BudgetError: The judge cannot continue; its replies so far are cached.
        OutputError: `out` could not be written; the error holds the result.
    """
    _check_settings(config, baseline)
    files = () if isinstance(answers, Mapping) else answers
    if out is not None:
        check_out(out, (*files, *filter(None, (baseline,))))
    if progress is not None:
        progress.phase("reading the questions and the answers")
    with closing(Caches()) as caches, _batch_folder(config, answers) as batch_folder:
        caches.tell(note)
        waiting = None if progress is None else progress.waiting
        if own is not None:
            suite = await asyncio.to_thread(suite_of_own_judge, own, config, caches, note)
        else:
            build = partial(suite_of_benchmarks, waiting=waiting, batch_folder=batch_folder)
            suite = await asyncio.to_thread(build, config, caches, note)
        try:
            await suite.check_batches()
            models = _checked_models(answers, suite, config.turns, out)
            _note_gaps(models, len(suite.benchmark.questions), note)
            if baseline is not None:
                suite = suite.with_baseline(
                    _compared(baseline, models, suite.benchmark.questions, config.turns)
                )
            if progress is not None:
                progress.watch(Flights(), spent_in(suite.ledger, config.max_judge_calls, config.max_cost), 0)
            rated = await _judge_all(suite.judge, models, suite.benchmark.questions, progress)
        finally:
            await suite.judge.close()
    judged = [[judgment for _, judgments in row for judgment in judgments] for row in rated]
    result = _result(suite, models, rated, judged)
    if out is not None:
        write_judged(out, models, judged, result)
    return result


def _check_settings(config: JudgeConfig, baseline: Path | None) -> None:
    if (config.judge_mode == "pairwise") != (baseline is not None):
        raise ConfigError("--judge-mode pairwise needs --baseline FILE, and only that mode takes --baseline")
    if config.judge_anchor is not None:
        raise ConfigError(
            "--judge-anchor is for a search; to see how far two judges agree here, name both with --judge"
        )


@contextmanager
def _batch_folder(config: JudgeConfig, answers: AnswersToJudge) -> Iterator[Path | None]:
    """Lock and return the folder that records the batches this command sends.

    Raises:
        StudyError: The same command is already running.
    """
    if not config.judge_batch:
        yield None
        return
    given = (
        {model: [[a.question_id, a.turns] for a in found] for model, found in answers.items()}
        if isinstance(answers, Mapping)
        else [str(real_path(path)) for path in answers]
    )
    judged = [config.bench_name, config.judge, config.judge_mode, given]
    batches = cache_folder() / BATCHES
    make_private(batches)
    folder = batches / digest(judged)[:16]
    with locked(folder):
        yield folder


def _result(
    suite: TaskSuite,
    models: Sequence[ModelAnswers],
    rated: Sequence[Sequence[Rated]],
    judged: Sequence[Sequence[Judgment]],
) -> JudgedAnswers:
    found = agreement(pair for row in rated for pair in row)
    return JudgedAnswers(
        models=tuple(
            JudgedModel(
                model=model.model,
                overall=estimate(row),
                by_turn=by_turn(row),
                by_category=by_category(row, suite.benchmark.questions),
                coverage=coverage(row),
                cut_in_thought=finish_share(model.answers, "thought"),
                judgments=tuple(row),
            )
            for model, row in zip(models, judged, strict=True)
        ),
        usage=tuple(row.as_json() for row in suite.ledger.usage()),
        agreement=None if found is None else found.as_json(),
        most_common_reason=_fault([judgment for row in judged for judgment in row]),
    )


def _fault(judgments: Sequence[Judgment]) -> str:
    """Return the most common reason for a missing rating, and how to fix it."""
    return ": ".join(filter(None, (most_common_reason(judgments), most_common_remedy(judgments))))


async def _judge_all(
    judge: Judge,
    models: Sequence[ModelAnswers],
    questions: Sequence[Question],
    progress: Progress | None,
) -> list[list[Rated]]:
    """Rate each model's answers; after a failure or Ctrl-C, wait for those in flight, which are paid for."""
    asked = {question.question_id: question for question in questions}
    ratings = RatingTasks(judge)
    try:
        tasks = [
            [ratings.start(asked[answer.question_id], answer) for answer in model.answers] for model in models
        ]
        await _heard([task for row in tasks for task in row], progress)
        return [[task.result() for task in row] for row in tasks]
    finally:
        await ratings.drain(GRACE)


async def _heard(tasks: Sequence[asyncio.Task[Rated]], progress: Progress | None) -> None:
    """Wait for all judgments, until the first failure or until the judge turns out to rate nothing.

    Raises:
        ProviderError: The judge rated none of the first answers, and the answers are not the cause.
    """
    heard: list[Judgment] = []
    if progress is not None:
        progress.judging(0, len(tasks))
    for done, task in enumerate(asyncio.as_completed(tasks), start=1):
        _, judgments = await task
        if progress is not None:
            progress.judging(done, len(tasks))
        if len(heard) >= _HEARD:
            continue
        heard += judgments
        if len(heard) >= _HEARD and (vain := why_silent(heard)):
            raise ProviderError(f"of the first {len(heard)} judgments, {vain}")


def _note_gaps(models: Sequence[ModelAnswers], asked: int, note: Note) -> None:
    for model in models:
        lacking = asked - len({answer.question_id for answer in model.answers})
        if lacking:
            note(f"model {model.model}: {lacking} of {asked} questions have no answer")
        if model.unasked:
            note(
                f"model {model.model}: {model.unasked} answers to questions that are not in the benchmark "
                "are left out"
            )


def _compared(
    path: Path, models: Sequence[ModelAnswers], questions: Sequence[Question], turns: int | None
) -> dict[QuestionId, Answer]:
    """Return the baseline's answers, which must cover every question that a model answered."""
    found = read_answers(path, questions, turns).first
    answered = dict.fromkeys(answer.question_id for model in models for answer in model.answers)
    lacking = [str(question) for question in answered if question not in found]
    if lacking:
        raise AssetError(
            f"{path}: {len(lacking)} of the questions to compare have no answer here "
            f"({', '.join(lacking[:5])}); add their answers"
        )
    return found


def _checked_models(
    answers: AnswersToJudge, suite: TaskSuite, turns: int | None, out: Path | None
) -> list[ModelAnswers]:
    """Return each model's answers, whose judgments `out` may be replaced by.

    Raises:
        UserError: An answer is malformed, two models have one name, or `out` has something else.
    """
    models = models_to_judge(answers, suite.benchmark.questions, turns)
    _check_names(models)
    if out is not None:
        check_replaceable(out, suite, [model.model for model in models])
    return models


def _check_names(models: Sequence[ModelAnswers]) -> None:
    names = [model.model for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AssetError(
            f"two files are called {', '.join(twice)}; models are named after their files: rename one"
        )
