"""`tvmerge judge`: rates existing answers."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from tvmerge.cli.ending import resumable
from tvmerge.cli.lines import say
from tvmerge.cli.options import GroupedCommand, given, setting_options
from tvmerge.config import JudgeConfig
from tvmerge.config.values import settings_for


@click.command(cls=GroupedCommand)
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Answers in FastChat's model_answer format; repeatable. A model is named by its file.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Answers to compare with, in the same format; for --judge-mode pairwise.",
)
@click.option("--out", type=click.Path(path_type=Path), help="File for the judgments, in FastChat's format.")
@setting_options(field.name for field in fields(JudgeConfig) if field.name != "baseline")
def judge(answers: tuple[Path, ...], baseline: Path | None, out: Path | None, **flags: Any) -> None:
    """Rate answers and print the mean per model, turn and category."""
    import asyncio

    from rich.console import Console

    from tvmerge.errors import ConfigError, OutputError, ProviderError
    from tvmerge.report.terminal.judged import JudgedAnswers, judged_table
    from tvmerge.report.terminal.progress import Progress
    from tvmerge.report.terminal.usage import usage_lines
    from tvmerge.run.judge_answers import judge_answers

    settings = settings_for(JudgeConfig, given(flags))
    if len(settings.get("bench_name", ())) != 1:
        raise ConfigError("set the one benchmark that was answered: --bench-name NAME")
    unwritten = None
    try:
        with Progress() as progress:
            work = judge_answers(
                JudgeConfig(**settings), answers, baseline, out, progress.note, progress=progress
            )
            with resumable():
                judged = asyncio.run(work)
    except OutputError as error:
        if not isinstance(error.result, JudgedAnswers):
            raise
        judged, unwritten = error.result, error
    Console().print(judged_table(judged.models))
    for line in usage_lines(judged.usage, judged.agreement):
        say(line)
    if unwritten is not None:
        raise unwritten
    if out is not None:
        say(f"judgments: {out}")
    if not judged.rated:
        raise ProviderError(f"nothing was rated; the most common reason: {judged.most_common_reason}")
