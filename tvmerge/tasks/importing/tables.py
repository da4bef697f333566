"""Reads tables of questions: CSV, TSV, JSON Lines, JSON, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tvmerge._util.encodings import decoded
from tvmerge._util.files import json_rows
from tvmerge._util.parsing import parse_json
from tvmerge._util.regular import open_regular, read_bytes
from tvmerge.errors import AssetError, UserError

READABLE = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Suffixes of the files that can be read."""

_LARGEST_FIELD = 2**31 - 1
_HINT = ", or pass --encoding={codec}"
_INSTRUCTION = "instruction"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with named columns.

    Attributes:
        path: The file.
        rows: The rows, one per question.
    """

    path: Path
    rows: tuple[Mapping[str, Any], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, in order of their first occurrence."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row if str(name).strip()))


def read_table(path: Path, encoding: str | None = None) -> Table:
    """Read a table; its suffix determines the format.

    Args:
        path: The file.
        encoding: Its encoding; None for UTF-8.

    Raises:
        AssetError: The file cannot be read, has no rows, or has an unknown format.
        UserError: pyarrow is needed but not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise AssetError(f"{path}: cannot be imported; formats that can: {', '.join(READABLE)}")
    if suffix == ".parquet":
        rows = _parquet(path)
    else:
        text = read_encoded(path, encoding)
        rows = _separated(path, text) if suffix in {".csv", ".tsv"} else _json(path, text)
    rows = [row for row in rows if not all(_blank(value) for value in row.values())]
    if not rows:
        raise AssetError(f"{path}: holds no rows")
    return Table(path, tuple(rows))


def read_encoded(path: Path, encoding: str | None) -> str:
    """Read the text of a file in `encoding`; None for UTF-8.

    Raises:
        AssetError: The file cannot be read, or has another encoding.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise AssetError(f"{path}: cannot be read: {error.strerror or error}") from error
    if encoding is None:
        return decoded(content, path, hint=_HINT)
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except (UnicodeError, LookupError) as error:
        raise AssetError(f"--encoding {encoding}: {path} cannot be read so: {error}") from error


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _separated(path: Path, text: str) -> list[Mapping[str, Any]]:
    """Read the rows of a table with a header line; the separator is the most common one in the header."""
    csv.field_size_limit(_LARGEST_FIELD)
    header = text.partition("\n")[0]
    between = "\t" if path.suffix.lower() == ".tsv" else max(",\t;", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise AssetError(f"{path}: two columns are called '{twice[0]}'; rename one")
        rows: list[Mapping[str, Any]] = []
        for values in reader:
            if len(values) > len(names):
                raise AssetError(
                    f"{path}:{reader.line_num}: {len(values)} values for {len(names)} columns; put quotes "
                    "around texts that hold the separator"
                )
            rows.append({name: value for name, value in zip(names, values, strict=False) if name})
    except csv.Error as error:
        raise AssetError(f"{path}:{reader.line_num}: not a table: {error}") from error
    return rows


def _json(path: Path, text: str) -> list[Mapping[str, Any]]:
    """Read the rows of a JSON document or JSON Lines, since both occur with either suffix."""
    if path.suffix.lower() != ".json" and not text.lstrip().startswith("["):
        return _lines(path, text)
    try:
        data = parse_json(text)
    except ValueError:
        return _lines(path, text)
    if isinstance(data, dict) and _one_row(data):
        data = [data]
    rows = _rows_within(data)
    if rows is None:
        raise AssetError(f"{path}: must contain a list of objects, one per question")
    return rows


def _lines(path: Path, text: str) -> list[Mapping[str, Any]]:
    return [row for _, row in json_rows(path, text)]


def _one_row(data: Mapping[str, Any]) -> bool:
    """Return whether an object is a question itself, as in a file with a single JSON line."""
    return any(isinstance(value, str) for value in data.values()) and not any(map(_objects, data.values()))


def _objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _rows_within(data: object) -> list[Mapping[str, Any]] | None:
    """Return the rows of a JSON document: a list, a list under a key, or a list or mapping per column."""
    if isinstance(data, list):
        rows = [item["row"] if isinstance(item.get("row"), dict) else item for item in data if _object(item)]
        return rows if len(rows) == len(data) else None
    if not isinstance(data, dict):
        return None
    lists = [value for value in data.values() if _objects(value)]
    if lists:
        longest = _rows_within(max(lists, key=len)) or []
        shared = data.get(_INSTRUCTION)
        # The instruction shared by all questions of a task is given once, above them.
        return [{_INSTRUCTION: shared, **row} for row in longest] if isinstance(shared, str) else longest
    return _from_columns(data)


def _object(item: object) -> bool:
    return isinstance(item, dict)


def _from_columns(data: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    columns = {
        name: list(value.values()) if isinstance(value, dict) else value for name, value in data.items()
    }
    if not columns or not all(isinstance(value, list) for value in columns.values()):
        return None
    if len({len(value) for value in columns.values()}) != 1:
        return None
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _parquet(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: to read Parquet run: pip install pyarrow; or save the table as CSV or JSON lines"
        ) from error
    try:
        with open_regular(path) as file:
            rows: list[Mapping[str, Any]] = parquet.read_table(file).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise AssetError(f"{path}: cannot be read as Parquet: {error}") from error
    return rows
