"""Reading and writing files so that a crash leaves the old content or the new, never a half."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tvmerge._util.encodings import read_text
from tvmerge.errors import AssetError

_NAME_SHOWN = 40
"""Characters of a file's name in that of the temporary file it is written as."""


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` atomically, as UTF-8 with Unix line ends; links are followed.

    Raises:
        OSError: The place cannot be written to; its file name says which place.
    """
    try:
        _write(Path(os.path.realpath(path)), text)
    except OSError as error:
        raise _placed(error, path) from error


def append_text(path: Path, text: str) -> None:
    """Write behind what `path` holds, as UTF-8 with Unix line ends.

    Raises:
        OSError: The place cannot be written to; its file name says which place.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise _placed(error, path) from error


def _placed(error: OSError, path: Path) -> OSError:
    """`error` with the place the user knows: a full disk has none, a temporary file's name says little."""
    return OSError(error.errno, f"cannot be written: {error.strerror or error}", str(path))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Shortened, so that a name that is as long as names may be leaves room for what is added.
    prefix = f".{path.name[:_NAME_SHOWN]}."
    handle, temporary = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def safe_name(text: str) -> str:
    """`text` as a file name: letters, digits, dots, dashes and underscores of any script stay."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-") or "unnamed"


def hub_snapshot(folder: Path) -> tuple[str, str] | None:
    """The hub id and the commit of a model in the hub's cache; None for any other folder.

    The cache keeps it in `models--OWNER--NAME/snapshots/COMMIT`.
    """
    place = folder.resolve()
    kept = re.fullmatch(r"models--([\w.-]+)", place.parent.parent.name)
    if place.parent.name != "snapshots" or kept is None:
        return None
    return kept[1].replace("--", "/", 1), place.name


def folder_name(folder: Path) -> str:
    """What to call a model's folder: its last part, or the hub id and commit where the hub's cache has it."""
    found = hub_snapshot(folder)
    return folder.resolve().name if found is None else "@".join(found)


def write_json(path: Path, data: object) -> None:
    """Replace `path` atomically with `data` as indented JSON."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Replace `path` atomically with one JSON object per line."""
    write_text(path, "".join(jsonl_line(row) for row in rows))


def jsonl_line(row: Mapping[str, object]) -> str:
    """One line of a JSON-lines file, its line end included."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for each line that is not blank.

    Raises:
        AssetError: The file cannot be read or is not UTF-8, or a line is not a JSON object; names file and
            line.
    """
    yield from json_rows(path, read_text(path))


def json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for each line of `text` that is not blank.

    Args:
        path: Where the text is from, for messages.
        text: JSON lines.

    Raises:
        AssetError: A line is not a JSON object; names file and line.
    """
    # Only \n ends a line: str.splitlines would also split at separators that JSON strings may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise AssetError(f"{path}:{number}: not a JSON line: {error}") from error
        if not isinstance(row, dict):
            raise AssetError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}")
        yield number, row


def end_last_line(path: Path) -> None:
    """End the last line of JSON lines, or cut it off where a crash left it half written."""
    content = path.read_bytes()
    whole, last = content[: content.rfind(b"\n") + 1], content[content.rfind(b"\n") + 1 :]
    if not last:
        return
    try:
        json.loads(last)
    except ValueError:
        path.write_bytes(whole)
    else:
        path.write_bytes(content + b"\n")
