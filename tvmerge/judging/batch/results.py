"""Reads the results of a batch from files of JSON lines, and settles what contradicts itself.

A line that cannot be read costs no other request its result, if it can be told whose result it is. If there
are several results for a request, a reply counts before anything else, since it was billed. Different replies
are none: nobody knows which of them answers the request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tvmerge.errors import ProviderError
from tvmerge.judging.batch.api import MISSING, NOT_READ, TWICE, Progress, Result
from tvmerge.judging.wire.bounds import REPLY_BYTES
from tvmerge.judging.wire.replies import read_json

_KEY = re.compile(rb'"custom_id"\s*:\s*"([0-9a-f]{64})"')
_REPLIES = range(200, 300)
_STATUSES = range(200, 600)


def results_of(files: Iterable[bytes], read: Callable[[Mapping[str, Any]], Result]) -> dict[str, Result]:
    """Return the results in files of JSON lines, by the requests' keys.

    Args:
        files: The files.
        read: Returns the result in the data of a line.
    """
    results: dict[str, Result] = {}
    for key, result in _rows(files, read):
        results[key] = _settled(results[key], result) if key in results else result
    return results


def is_status(status: object) -> bool:
    """Return whether a result can have this HTTP status."""
    return type(status) is int and status in _STATUSES


def lacking(progress: Progress, found: int, requests: int) -> int:
    """Return how many results a batch lacks that its provider has processed, and so may have billed.

    Args:
        progress: Its progress; if it is completed and has no numbers, all requests count as processed.
        found: Number of its results.
        requests: Number of its requests.
    """
    told = progress.total or progress.lost != MISSING
    processed = progress.done if told else requests
    return max(0, min(processed, requests) - found)


def _rows(
    files: Iterable[bytes], read: Callable[[Mapping[str, Any]], Result]
) -> Iterator[tuple[str, Result]]:
    for line in (line for file in files for line in _lines(file)):
        try:
            row = read_json(line.decode("utf-8", "replace")) if len(line) <= REPLY_BYTES else None
        except ProviderError:
            row = None
        if isinstance(row, dict):
            yield str(row.get("custom_id")), read(row)
        elif key := _KEY.search(line[:REPLY_BYTES]):
            yield key[1].decode(), {"lost": NOT_READ}


def _lines(content: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(content):
        end = content.find(b"\n", begin)
        end = len(content) if end < 0 else end
        if line := content[begin:end].strip():
            yield line
        begin = end + 1


def _settled(first: Result, second: Result) -> Result:
    """Return the one result of a request that has two."""
    if first == second or first.get("lost") == TWICE:
        return first
    replies = [result for result in (first, second) if result.get("status") in _REPLIES]
    if len(replies) > 1:
        return {"lost": TWICE}
    # One that cannot be read may be a reply, and was billed then.
    unread = [result for result in (first, second) if result.get("lost") == NOT_READ]
    return next(iter(replies or unread), first)
