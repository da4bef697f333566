"""`tvmerge judge`: score answers that exist already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option(
    "--bench-name", required=True, help="Benchmark: a name of `tvmerge list benchmarks`, or a folder."
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Answers in FastChat's model_answer format; repeatable. A model is named by its file.",
)
@click.option(
    "--judge",
    "--judge-model",
    "--judge-model-name",
    "judge",
    help="Judge: a name of `tvmerge list judges`, provider/model, or a .toml file.  [default: gpt-4]",
)
@click.option("--judge-base-url", help="URL of an OpenAI-compatible server to ask instead.")
@click.option("--judge-file", help="Judge prompts in FastChat's format.")
@click.option("--parallel", type=click.IntRange(min=1), help="Judgments in flight at once.  [default: 1]")
@click.option("--out", type=click.Path(path_type=Path), help="File for the judgments, in FastChat's format.")
@click.option("--assets", help="Folder with judges/, benchmarks/ and prompts/ of your own.")
def judge(answers: tuple[Path, ...], out: Path | None, **settings: Any) -> None:
    """Rate answers and print the mean per model, turn and category."""
    import asyncio

    from rich.console import Console

    from tvmerge.config import JudgeConfig
    from tvmerge.report.judged import judged_table
    from tvmerge.scoring import judge_answers

    config = JudgeConfig(**{key: value for key, value in settings.items() if value is not None})
    models = asyncio.run(judge_answers(config, answers, out, lambda text: click.echo(text, err=True)))
    Console().print(judged_table(models))
