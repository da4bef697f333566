"""Reads one row of a cache's database, whoever wrote it, and says what is wrong with it.

A database from elsewhere may hold anything: pickles, names of foreign files, bytes that are no text. Nothing
in a row is executed, and no file is opened that is not the cache's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge._util.parsing import parse_json
from tvmerge._util.real_path import real_path
from tvmerge._util.well_formed import well_formed, well_formed_data

SCHEMA = 1
"""Stored with every row; rows of another schema are not read."""

INLINE, TEXT_FILE, PICKLE = 1, 3, 4
"""Modes of rows: the value is in the row, in a text file, or pickled."""

_LONGEST = 256 << 20
"""Number of bytes of the largest file that is read as a value."""

_OWN_NAME = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")
"""How files of values are named, relative to the folder of the cache."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a cache.

    Attributes:
        number: Its number in the database.
        key: Its key; of a key that is not ours, a description.
        value: Its value; None if it cannot be read.
        fault: Why it cannot be read; empty if it can.
        ours: Whether tvmerge can have written its key.
    """

    number: int
    key: str
    value: Any = None
    fault: str = ""
    ours: bool = True


class DamagedRowError(ValueError):
    """A row cannot be read; the message says why."""


def read_row(folder: Path, columns: tuple[Any, ...]) -> Row:
    """Return the row with these columns.

    Args:
        folder: The folder of the cache.
        columns: `rowid`, `key`, `raw`, `mode`, `filename` and `value`, with texts decoded by `lenient`.
    """
    number, key, raw, mode, filename, value = columns
    if raw != 1:
        return Row(number, "a pickled key", fault="its key is not text", ours=False)
    if not isinstance(key, str):
        return Row(
            number, f"a cache key must be text, got {key!r:.80}", fault="its key is not text", ours=False
        )
    if (shown := well_formed(key)) != key:
        return Row(number, shown, fault="its key is not UTF-8", ours=False)
    try:
        return Row(number, key, unpack(_text(folder, mode, filename, value)))
    except DamagedRowError as error:
        return Row(number, key, fault=str(error))


def lenient(content: bytes) -> str:
    """Return a text of the database, which need not be valid UTF-8: invalid bytes become surrogates."""
    return content.decode("utf-8", "surrogateescape")


def pack(value: object) -> str:
    """Return a value as it is stored: schema, checksum and JSON; halves of surrogate pairs are replaced."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError:
        return pack(well_formed_data(value))
    return f"{SCHEMA}:{_checksum(content)}:{text}"


def unpack(stored: str) -> Any:
    """Return the value in a stored text.

    Raises:
        DamagedRowError: It is damaged, or of another schema.
    """
    schema, _, rest = stored.partition(":")
    checksum, _, text = rest.partition(":")
    if schema != str(SCHEMA):
        raise DamagedRowError("it was not written by tvmerge, or by another release")
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DamagedRowError("it is not UTF-8") from error
    if checksum != _checksum(content):
        raise DamagedRowError("its checksum is wrong")
    try:
        value = parse_json(text)
        if "\\u" in text:
            value = well_formed_data(value)
    except ValueError as error:
        raise DamagedRowError(f"it cannot be read as JSON: {error}") from error
    if value is None:
        raise DamagedRowError("it is empty")
    return value


def own_file(folder: Path, filename: object) -> Path | None:
    """Return the file that a row names; None unless it is a plain file of the cache, without links."""
    if not isinstance(filename, str) or not _OWN_NAME.fullmatch(filename):
        return None
    parts = re.split(r"[/\\]", filename)
    path = folder.joinpath(*parts)
    try:
        plain = stat.S_ISREG(path.lstat().st_mode) and real_path(path) == real_path(folder).joinpath(*parts)
    except OSError:
        return None
    return path if plain else None


def _text(folder: Path, mode: object, filename: object, value: object) -> str:
    """Return the stored text of a row."""
    if mode == PICKLE:
        raise DamagedRowError("it is pickled, and pickles are never read")
    if mode == INLINE and isinstance(value, str):
        return value
    if mode != TEXT_FILE:
        raise DamagedRowError("its value is not text")
    path = own_file(folder, filename)
    if path is None:
        raise DamagedRowError("its file is missing, or is not a file of the cache")
    return _file_text(path)


def _file_text(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise DamagedRowError(f"its file cannot be read ({error.strerror})") from error
    if len(content) > _LONGEST:
        raise DamagedRowError("its file is too large")
    return lenient(content)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
