"""`tvmerge import`: converts a published file or folder to a benchmark folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvmerge._util.files import make_folder_for, write_jsonl, write_text
from tvmerge._util.outputs import check_folder
from tvmerge.errors import AssetError, ConfigError
from tvmerge.tasks.fastchat.benchmark import Benchmark, load_benchmark
from tvmerge.tasks.fastchat.benchmark_toml import REFERENCE_CATEGORIES
from tvmerge.tasks.importing.convert import convert
from tvmerge.tasks.importing.roles import Role, find_roles
from tvmerge.tasks.importing.tables import READABLE, Table, read_encoded, read_table

_QUESTIONS = "question.jsonl"
_REFERENCES = "reference_answer"


@dataclass(frozen=True, slots=True)
class Imported:
    """A benchmark that was written.

    Attributes:
        benchmark: The benchmark.
        lines: What was read, the role of each column, and notes, one line each.
    """

    benchmark: Benchmark
    lines: tuple[str, ...]


def import_benchmark(
    source: Path, folder: Path, given: Mapping[Role, Sequence[str]], encoding: str | None = None
) -> Imported:
    """Write a benchmark folder from questions as they are published.

    Args:
        source: A table, a file in FastChat's format, or a folder with one of them.
        folder: The folder to create.
        given: The columns that the user named, by role.
        encoding: Encoding of the source; None for UTF-8.

    Raises:
        ConfigError: The folder exists or cannot be created, or a column does not exist.
        AssetError: The source cannot be read or understood.
    """
    if folder.is_symlink() or folder.exists():
        raise ConfigError(f"{folder} exists already; choose a new folder")
    check_folder(folder, "the folder")
    table = read_table(_table_file(source), encoding)
    roles = find_roles(table, given)
    found = convert(table, roles)
    references = _reference_files(table.path)
    lines = [f"{table.path}: {len(table.rows)} rows", *roles, *found.notes]
    lines += [f"references: {path}" for path in references]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = make_folder_for(folder, folder.name[:40])
    try:
        write_jsonl(temporary / _QUESTIONS, found.questions)
        for path in references:
            write_text(temporary / _REFERENCES / path.name, read_encoded(path, encoding))
        write_text(temporary / "benchmark.toml", _settings(temporary, table))
        load_benchmark(temporary)
        temporary.rename(folder)
    except AssetError as error:
        # The user does not know the temporary folder.
        raise AssetError(str(error).replace(str(temporary), str(folder))) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Imported(load_benchmark(folder), tuple(lines))


def _table_file(source: Path) -> Path:
    """Return the file to read: the source, or the only possible file in a folder."""
    if not source.exists():
        raise AssetError(f"{source}: there is no such file or folder; download the questions first")
    if not source.is_dir():
        return source
    for pattern in (_QUESTIONS, "question*.jsonl", f"**/{_QUESTIONS}"):
        if found := sorted(source.glob(pattern)):
            return _only(source, found)
    tables = sorted(path for path in source.glob("*") if path.suffix.lower() in READABLE)
    tables = tables or sorted(path for path in source.glob("data/*") if path.suffix.lower() in READABLE)
    if not tables:
        raise AssetError(f"{source}: holds no questions; choose a file ({', '.join(READABLE)})")
    return _only(source, tables)


def _only(source: Path, found: Sequence[Path]) -> Path:
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(source)) for path in found[:5])
        raise AssetError(f"{source}: several files may be meant; choose one: {names}")
    return found[0]


def _reference_files(questions: Path) -> list[Path]:
    """Return the files of reference answers next to questions in FastChat's format."""
    if not questions.name.startswith("question"):
        return []
    return sorted((questions.parent / _REFERENCES).glob("*.jsonl"))


def _settings(folder: Path, table: Table) -> str:
    """Return the text of `benchmark.toml`, with the categories that have references, if there are any."""
    benchmark = load_benchmark(folder)
    referenced = {key for made in benchmark.references.values() for key in made}
    categories = dict.fromkeys(
        question.category
        for question in benchmark.stated
        if question.reference or question.eval_aspect or str(question.question_id) in referenced
    )
    lines = [f"description = {_toml(f'Imported from {table.path.name}')}"]
    # FastChat's categories need references even if the source has none, so that missing ones are reported.
    if categories:
        asked = {question.category for question in benchmark.stated}
        categories |= dict.fromkeys(name for name in REFERENCE_CATEGORIES if name in asked)
        lines.append(f"reference_categories = [{', '.join(map(_toml, categories))}]")
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    """Return a text as a TOML string; JSON's escapes are valid in TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
