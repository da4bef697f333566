"""Anthropic's message batches: one call sends all requests, another reads all results once the batch ends.

This relies on the following (https://platform.claude.com/docs/en/build-with-claude/batch-processing): up to
100,000 requests and 256 MB; results come in any order, identified by the requests' `custom_id` of at most 64
characters; only requests that succeeded are billed. A batch has no metadata, so if the response to its
creation is lost, it can only be recognized by the `custom_id`s in its results.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import anthropic
import httpx2

from tvmerge.judging.batch.api import CANCELLED, EXPIRED, NOT_READ, BatchMatch, Progress, Result
from tvmerge.judging.batch.endpoint import Read, SdkEndpoint, whole
from tvmerge.judging.batch.results import results_of
from tvmerge.judging.client.chat import ChatRequest
from tvmerge.judging.wire.bounds import FILE_BYTES, replies_up_to
from tvmerge.judging.wire.http import ApiKey
from tvmerge.judging.wire.replies import wrong_shape

_PAGES = 20
_PAGE = 100
_SKEW = 3600
"""Seconds by which our clock and the provider's may differ."""

_PROCESSED = ("succeeded", "errored", "canceled", "expired")
_LOST: Mapping[str, str] = {
    "expired": EXPIRED,
    "canceled": CANCELLED,
}
_STATUS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""HTTP status by error type, since results have none (https://platform.claude.com/docs/en/api/errors)."""


class AnthropicBatches(SdkEndpoint):
    """Anthropic's batch endpoint.

    Args:
        client: The SDK's client.
        key: Its key, which is removed from messages.
        read: Reads a message.
    """

    most_requests = 100_000
    most_bytes = 240_000_000

    def __init__(self, client: anthropic.AsyncAnthropic, key: ApiKey, read: Read) -> None:
        super().__init__(anthropic, key, read)
        self._client = client

    def line(self, request: ChatRequest) -> str:
        """Return a request in the form used in a batch."""
        row = {"custom_id": request.key, "params": request.body}
        return json.dumps(row, allow_nan=False)

    async def probe(self) -> None:
        """List one batch.

        Raises:
            InvalidRequestError: The server has no batch endpoint.
        """
        self._page(await self._json(self._client.messages.batches.with_raw_response.list(limit=1)))

    async def upload(self, mark: str, lines: Sequence[str]) -> str:
        """Do nothing: requests are sent with the batch."""
        del mark, lines
        return ""

    async def create(self, mark: str, uploaded: str, lines: Sequence[str]) -> Progress:
        """Create a batch of the requests."""
        del mark, uploaded
        rows = [json.loads(line) for line in lines]
        made = self._client.messages.batches.with_raw_response.create(requests=rows)
        return self._progress(await self._json(made))

    async def find(self, mark: str, number: int, since: float) -> Sequence[BatchMatch]:
        """Return the batches with this number of requests created since then, oldest first."""
        del mark
        found: list[BatchMatch] = []
        after: str | anthropic.Omit = anthropic.omit
        for _ in range(_PAGES):
            listed = self._client.messages.batches.with_raw_response.list(limit=_PAGE, after_id=after)
            page = self._page(data := await self._json(listed))
            batches = [self._progress(row) for row in page]
            recent = [batch for batch in batches if batch.created >= since - _SKEW]
            found += [BatchMatch(batch, sure=False) for batch in recent if batch.total == number]
            if len(recent) < len(batches) or not data.get("has_more") or not batches:
                break
            after = batches[-1].id
        return found[::-1]

    async def poll(self, batch: str) -> Progress:
        """Return the progress of a batch."""
        looked = self._client.messages.batches.with_raw_response.retrieve(batch)
        return self._progress(await self._json(looked))

    async def results(self, progress: Progress) -> Mapping[str, Result]:
        """Return the results of all requests."""
        with replies_up_to(FILE_BYTES):
            files: list[httpx2.Response] = [
                await self._call(self._client.get(path, cast_to=httpx2.Response)) for path in progress.results
            ]
        return results_of((file.content for file in files), lambda row: _result(row.get("result")))

    async def _json(self, work: Awaitable[Any]) -> Any:
        response = await self._call(work)
        return self._data(await response.text(), response.headers)

    def _progress(self, data: Any) -> Progress:
        match data:
            case {
                "id": str(name),
                "processing_status": str(status),
                "request_counts": {} as counts,
                **rest,
            } if self._is_id(name):
                done = sum(whole(counts.get(word)) for word in _PROCESSED)
                # The address that the server names may be at another host, which would get the key.
                path = f"/v1/messages/batches/{quote(name, safe='')}/results"
                return Progress(
                    id=name,
                    state="over" if status == "ended" else "running",
                    total=done + whole(counts.get("processing")),
                    done=done,
                    created=_moment(rest.get("created_at")),
                    results=(path,) if rest.get("results_url") else (),
                )
        raise wrong_shape(data, "a message batch of Anthropic's", self._key)


def _result(result: Any) -> Result:
    match result:
        case {"type": "succeeded", "message": message}:
            return {"status": 200, "body": message}
        case {"type": "errored", "error": error}:
            inner = error.get("error") if isinstance(error, dict) else None
            kind = inner.get("type") if isinstance(inner, dict) else None
            return {"status": _STATUS.get(str(kind), 400), "body": error}
        case {"type": str(kind)} if kind in _LOST:
            return {"lost": _LOST[kind]}
    return {"lost": NOT_READ}


def _moment(text: Any) -> float:
    """Return when a batch was created, in seconds since 1970; 0 if unknown."""
    try:
        return max(0.0, datetime.fromisoformat(str(text)).timestamp())
    except (ValueError, OverflowError, OSError):
        return 0.0
