"""The file of judgments that `tvmerge judge` writes, which replaces nothing but the same judgments."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.outputs import LEAST, check_file
from tvmerge.errors import AssetError, ConfigError, OutputError
from tvmerge.tasks.fastchat.files import each_judgment, write_judgments

if TYPE_CHECKING:
    from tvmerge.records import Judgment
    from tvmerge.report.terminal.judged import JudgedAnswers
    from tvmerge.tasks.fastchat.files import ModelAnswers
    from tvmerge.tasks.suite import TaskSuite

_BYTES_JUDGED = 4
"""Estimated bytes of judgments per byte of answers, for the check of free disk space."""


def check_out(out: Path, read: Sequence[Path]) -> None:
    """Check that a file can be written and is none of those that are read.

    Raises:
        ConfigError: It cannot, or it is.
    """
    # A judgment holds the prompt and the judge's reply, a few times the bytes of the answer.
    answers = sum(path.stat().st_size for path in read if path.is_file())
    check_file(out, "--out", LEAST + _BYTES_JUDGED * answers)
    if any(path.exists() and out.exists() and out.samefile(path) for path in read):
        raise ConfigError(f"--out {out} is a file of answers; name another")


def check_replaceable(out: Path, suite: TaskSuite, models: Collection[str]) -> None:
    """Check that a file is missing, empty, or has only judgments that are about to be written again.

    Args:
        out: The file.
        suite: The questions and the judges.
        models: The names of the models whose answers are rated.

    Raises:
        ConfigError: It has something else.
    """
    if not out.exists():
        return
    judges = {suite.judge.name, *(spec.name for spec in suite.specs)}
    questions = {str(question.question_id) for question in suite.benchmark.questions}
    try:
        for model, judgment in each_judgment(out):
            again = model in models and judgment.judge in judges and str(judgment.question_id) in questions
            if not again:
                raise ConfigError(
                    f"--out {out} exists and has a judgment that would be lost ({judgment.judge} about the "
                    f"answer of {model} to {judgment.question_id}); name another file"
                )
    except AssetError as error:
        raise ConfigError(
            f"--out {out} exists and is not a file of judgments ({error}); name another file"
        ) from error


def write_judged(
    out: Path, models: Sequence[ModelAnswers], judged: Sequence[Sequence[Judgment]], result: JudgedAnswers
) -> None:
    """Write the judgments of each model.

    Raises:
        OutputError: The file cannot be written; the error holds the result.
    """
    pairs = zip(models, judged, strict=True)
    try:
        write_judgments(out, ((model.model, item) for model, row in pairs for item in row), time.time())
    except OSError as error:
        raise OutputError(
            f"--out {out}: {error.strerror}; the judgments are cached: the same command "
            "with another --out writes them at no cost",
            result,
        ) from error
