"""Keeps replies from when they arrive until they are in cache and ledger, so that a kill loses none.

A reply and the ledger's line of its call are appended in one write as soon as the reply is there. After a
kill, the next run of the same folder enters and stores what the journal has and ledger and cache lack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from tvmerge._util.cache import ContentCache
from tvmerge._util.cache_rows import DamagedRowError, unpack
from tvmerge._util.files import append_whole, jsonl_line, write_pieces
from tvmerge._util.parsing import parse_json
from tvmerge._util.regular import read_bytes
from tvmerge.errors import UserError
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.ledger_lines import is_ledger_line

LARGEST = 4 << 20
"""Number of bytes above which replies that are stored by now are left out."""

_KEY = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A reply in a journal.

    Attributes:
        keys: The keys under which it is stored in the cache.
        row: What is stored.
        line: The ledger's line of its call.
    """

    keys: Sequence[str]
    row: object
    line: dict[str, Any]


class ReplyJournal:
    """A file of replies that are not stored yet, shared by the judges of a run.

    It never raises: what cannot be written here is still stored and entered, and what hinders that is
    reported there.

    Args:
        path: The file; made by the first reply, removed at the end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = 0
        self._file: FileIO | None = None
        self._size = 0
        self._waiting: dict[str, str] = {}

    def open(self) -> None:
        """Note that a judge uses the journal, until `close`."""
        self._users += 1

    def add(self, keys: Sequence[str], packed: str, line: Mapping[str, Any]) -> bool:
        """Append a reply, and return whether that succeeded.

        Args:
            keys: The keys under which it is to be stored, the first of which names it here.
            packed: What is to be stored, as `tvmerge._util.cache_rows.pack` returns it.
            line: The ledger's line of its call.
        """
        record = f"{','.join(keys)}\t{jsonl_line(line).rstrip()}\t{packed}\n"
        self._waiting[keys[0]] = record
        try:
            self._append(record.encode())
        except OSError:
            return False
        return True

    def stored(self, key: str) -> None:
        """Note that the reply with this first key is in the cache."""
        self._waiting.pop(key, None)
        if self._size > LARGEST and 2 * sum(map(len, self._waiting.values())) < LARGEST:
            with suppress(OSError):
                self._compact()

    def close(self) -> None:
        """End the use by one judge; with the last one, remove the file unless it has replies still."""
        self._users -= 1
        if not self._users:
            self._end()

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = FileIO(self._path, "a")
        self._size = self._file.seek(0, 2)

    def _end(self) -> None:
        self._release()
        if not self._waiting:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _append(self, content: bytes) -> None:
        if self._file is None:
            self._open()
        assert self._file is not None, "it is open"
        append_whole(self._file, content)
        self._size += len(content)

    def _compact(self) -> None:
        self._release()
        write_pieces(self._path, self._waiting.values(), durable=False)

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._size = None, 0


def open_journal(path: Path, cache: ContentCache, ledger: Ledger) -> ReplyJournal:
    """Return the journal in a file, after what a killed run left in it is in the ledger and in the cache.

    No other process may use the file.

    Raises:
        UserError: The ledger or the cache cannot be written.
    """
    recover(path, cache, ledger)
    return ReplyJournal(path)


def recover(path: Path, cache: ContentCache, ledger: Ledger) -> None:
    """Enter and store what is in a journal, then remove it.

    Raises:
        UserError: The ledger or the cache cannot be written, or the journal cannot be read.
    """
    if not path.exists():
        return
    try:
        found = list(read_journal(path))
        ledger.record_missing([arrived.line for arrived in found])
        rows = {key: arrived.row for arrived in found for key in arrived.keys}
        # Another run may have asked for the same meanwhile, and has used its reply.
        cache.put_many({key: row for key, row in rows.items() if cache.get(key) is None})
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{path}, which has replies of a run that was killed, cannot be used: "
            f"{error.strerror or error}; make it readable, or move it away"
        ) from error


def read_journal(path: Path) -> Iterator[Arrived]:
    """Yield the replies in a journal; records that a kill cut off, or that are damaged, are left out.

    Raises:
        OSError: It cannot be read.
    """
    for record in read_bytes(path).decode("utf-8", errors="replace").split("\n"):
        keys, _, rest = record.partition("\t")
        text, _, packed = rest.partition("\t")
        names = keys.split(",")
        try:
            line, row = parse_json(text), unpack(packed)
        except (ValueError, DamagedRowError):
            continue
        if all(map(_KEY.fullmatch, names)) and isinstance(line, dict) and is_ledger_line(line):
            yield Arrived(names, row, line)
