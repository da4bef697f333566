"""`tvmerge.judge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge.api.blocking import wait_for
from tvmerge.api.objects import GivenJudge, caller_objects
from tvmerge.api.progress import Progress, progress_callback
from tvmerge.config import JudgeConfig
from tvmerge.config.values import settings_for
from tvmerge.errors import ConfigError
from tvmerge.records import Answer

if TYPE_CHECKING:
    from tvmerge.report.terminal.judged import JudgedAnswers

Answers = str | PathLike[str] | Sequence[str | PathLike[str]] | Mapping[str, Sequence[Answer]]
"""Files in FastChat's model_answer format, each named after its model, or a mapping from model to answers."""


def judge(
    answers: Answers,
    *,
    judge: GivenJudge | None = None,
    baseline: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    progress: Progress = False,
    **settings: Any,
) -> JudgedAnswers:
    """Rate existing answers.

    Args:
        answers: One or more files in FastChat's model_answer format, or a mapping from model name to answers.
        judge: As for `optimize`: names, or a judge object of your own.
        baseline: File of answers to compare with, for `judge_mode="pairwise"`.
        out: File to write the judgments to, in FastChat's format.
        progress: How notes on benchmark and judge are shown, as for `optimize`.
        settings: Fields of `RunConfig` that concern judging, such as `bench_name` (the one benchmark that was
            answered) and `turns`.

    Returns:
        All judgments and the means by model, turn and category, which `print` shows.

    Raises:
        TvmergeError: An answer, the benchmark or the judge is invalid, or the judge cannot continue; its
            replies so far are cached.

    Examples:
        >>> import tvmerge
        >>> answers = {"mine": [tvmerge.Answer(1, ("4です。", "11です。"))]}
        >>> found = tvmerge.judge(answers, bench_name="demo", judge="rules")
        >>> [(rating.turn, rating.score) for rating in found.models[0].judgments]
        [(1, 10.0), (2, 4.0)]
    """
    given = caller_objects(judge)
    config = JudgeConfig(**settings_for(JudgeConfig, {**settings, **given.settings}))
    if len(config.bench_name) != 1:
        raise ConfigError("set bench_name to the one benchmark that was answered")
    compared, written = (None if path is None else Path(path) for path in (baseline, out))

    async def judged() -> JudgedAnswers:
        from tvmerge.run.judge_answers import judge_answers

        return await judge_answers(
            config, _files(answers), compared, written, progress_callback(progress), own=given.judge
        )

    return wait_for(judged)


def _files(answers: Answers) -> Sequence[Path] | Mapping[str, Sequence[Answer]]:
    if isinstance(answers, Mapping):
        return answers
    return [Path(answers)] if isinstance(answers, str | PathLike) else [Path(file) for file in answers]
