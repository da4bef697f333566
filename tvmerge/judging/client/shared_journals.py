"""Journals of commands without a run folder, which lie together in the cache folder."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from tvmerge._util.cache import ContentCache
from tvmerge._util.private import make_private
from tvmerge.judging.client.journal import ReplyJournal, recover
from tvmerge.judging.client.ledger import Ledger

_NAME = re.compile(r"[0-9a-f]{32}\.journal")


class OwnJournal(ReplyJournal):
    """A journal beside those of other processes, which take it over when this one has ended.

    Its owner holds a lock, which the operating system releases when the process ends in any way.
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock

        path = folder / f"{uuid4().hex}.journal"
        super().__init__(path)
        self._lock_file = path.with_suffix(".lock")
        self._lock = FileLock(self._lock_file, thread_local=False)

    def _open(self) -> None:
        make_private(self._lock_file.parent)
        self._lock.acquire(timeout=0)  # held before anyone can see the journal
        super()._open()

    def _end(self) -> None:
        super()._end()
        if self._lock.is_locked:
            self._lock.release()
            with suppress(OSError):
                self._lock_file.unlink(missing_ok=True)


def open_shared_journal(cache: ContentCache) -> ReplyJournal:
    """Return a journal of this process, after those that killed processes left behind are in the cache.

    Raises:
        UserError: The cache cannot be written, or a journal cannot be read.
    """
    folder = cache.folder / "arrived"
    for path in sorted(folder.glob("*.journal")):
        # In a cache from elsewhere, a link may name any file, which the lock would empty.
        if _NAME.fullmatch(path.name) and not path.with_suffix(".lock").is_symlink():
            _take_over(path, cache)
    return OwnJournal(folder)


def _take_over(path: Path, cache: ContentCache) -> None:
    """Store what is in a journal, unless its owner is alive."""
    from filelock import FileLock, Timeout

    lock_file = path.with_suffix(".lock")
    try:
        with FileLock(lock_file, timeout=0):
            recover(path, cache, Ledger())
            lock_file.unlink(missing_ok=True)
    except Timeout:
        return
