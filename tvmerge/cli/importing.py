"""`tvmerge import`: makes a benchmark folder from a published set of questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tvmerge.cli.lines import say

if TYPE_CHECKING:
    from tvmerge.tasks.importing.roles import Role

_SAYS = {
    "question": "Column of the questions; several columns are turns: first,second.",
    "reference": "Column of the reference answers; several columns are turns.",
    "eval-aspect": "Column of the grading criteria.",
    "category": "Column of the categories.",
    "id": "Column of the ids.",
}


def _column_options(command: Any) -> Any:
    for name, says in reversed(_SAYS.items()):
        text = f"{says} Default: recognized by its name; an empty value means no such column."
        command = click.option(f"--{name}-column", name.replace("-", "_"), help=text)(command)
    return command


@click.command(name="import")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@_column_options
@click.option("--encoding", help="Encoding of the source's texts, such as cp932; default: UTF-8.")
def import_(source: Path, folder: Path, encoding: str | None, **columns: str | None) -> None:
    """Make the benchmark FOLDER from SOURCE: CSV, TSV, JSON, JSON lines, Parquet, or FastChat's files.

    Questions, references, grading criteria, categories and ids are recognized by their column names.
    """
    from tvmerge.tasks.importing.folder import import_benchmark
    from tvmerge.tasks.importing.roles import ROLES

    given: dict[Role, tuple[str, ...]] = {}
    for role in ROLES:
        if (named := columns[role]) is not None:
            given[role] = tuple(name.strip() for name in named.split(","))
    imported = import_benchmark(source, folder, given, encoding)
    for line in imported.lines:
        say(line)
    benchmark = imported.benchmark
    categories = ", ".join(dict.fromkeys(question.category for question in benchmark.questions))
    say(f"{folder}: {len(benchmark.questions)} questions; categories: {categories}")
    say(f"to use it: --bench-name={folder}")
