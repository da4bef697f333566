"""OpenAI's batches: uploads a file of requests, creates a batch from it and downloads its result files.

This relies on the following (https://platform.openai.com/docs/api-reference/batch): up to 50,000 requests and
200 MB per file; replies are in `output_file_id`, requests that failed or were not processed in
`error_file_id`, one per line with its `custom_id`, in any order; batches are listed with their `metadata`,
newest first.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Literal

import openai

from tvmerge.errors import TransientError, TvmergeError
from tvmerge.judging.batch.api import (
    CANCELLED,
    EXPIRED,
    MISSING,
    NOT_READ,
    BatchMatch,
    Progress,
    Result,
    State,
)
from tvmerge.judging.batch.endpoint import Read, SdkEndpoint, whole
from tvmerge.judging.batch.results import is_status, results_of
from tvmerge.judging.client.chat import ChatRequest
from tvmerge.judging.wire.bounds import FILE_BYTES, replies_up_to
from tvmerge.judging.wire.error_details import read_error_details
from tvmerge.judging.wire.http import ApiKey
from tvmerge.judging.wire.refusals import translate
from tvmerge.judging.wire.replies import wrong_shape

_URL: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_MARK = "tvmerge"
_PAGES = 20
_PAGE = 100
_SKEW = 86400
"""Seconds by which our clock and the provider's may differ; large, since the mark identifies a batch."""

_LATEST = 1e11
"""A time in seconds since 1970 that is in the year 5138."""

_STATES: Mapping[str, State] = {
    "completed": "over",
    "expired": "over",
    "cancelled": "over",
    "canceled": "over",
    "failed": "refused",
}
_LOST: Mapping[str, str] = {
    "expired": EXPIRED,
    "batch_expired": EXPIRED,
    "cancelled": CANCELLED,
    "canceled": CANCELLED,
    "batch_cancelled": CANCELLED,
}


class OpenAIBatches(SdkEndpoint):
    """OpenAI's batch endpoint.

    Args:
        client: The SDK's client.
        key: Its key, which is removed from messages.
        read: Reads a reply.
    """

    most_requests = 50_000
    most_bytes = 190_000_000

    def __init__(self, client: openai.AsyncOpenAI, key: ApiKey, read: Read) -> None:
        super().__init__(openai, key, read)
        self._client = client

    def line(self, request: ChatRequest) -> str:
        """Return a line of the file to upload."""
        row = {"custom_id": request.key, "method": "POST", "url": _URL, "body": request.body}
        return json.dumps(row, allow_nan=False)

    async def probe(self) -> None:
        """List one batch.

        Raises:
            InvalidRequestError: The server has no batch endpoint.
        """
        self._page(await self._json(self._client.batches.with_raw_response.list(limit=1)))

    async def upload(self, mark: str, lines: Sequence[str]) -> str:
        """Upload the requests and return the id of the file."""
        file = (f"{_MARK}-{mark}.jsonl", ("\n".join(lines) + "\n").encode(), "application/jsonl")
        data = await self._json(self._client.files.with_raw_response.create(file=file, purpose="batch"))
        match data:
            case {"id": str(name)} if self._is_id(name):
                return name
        raise wrong_shape(data, "a file of OpenAI's", self._key)

    async def create(self, mark: str, uploaded: str, lines: Sequence[str]) -> Progress:
        """Create a batch from the uploaded file."""
        del lines
        made = self._client.batches.with_raw_response.create(
            input_file_id=uploaded, endpoint=_URL, completion_window="24h", metadata={_MARK: mark}
        )
        return self._progress(await self._json(made))

    async def find(self, mark: str, number: int, since: float) -> Sequence[BatchMatch]:
        """Return the batches whose metadata hold the mark."""
        del number
        after: str | openai.Omit = openai.omit
        for _ in range(_PAGES):
            listed = self._client.batches.with_raw_response.list(limit=_PAGE, after=after)
            page = self._page(data := await self._json(listed))
            for row in page:
                match row:
                    case {"metadata": {"tvmerge": named}} if named == mark:
                        return [BatchMatch(self._progress(row), sure=True)]
            last = page[-1] if page and isinstance(page[-1], dict) else {}
            if not last.get("id") or not data.get("has_more") or _moment(last) < since - _SKEW:
                break
            after = str(last["id"])
        return []

    async def poll(self, batch: str) -> Progress:
        """Return the progress of a batch."""
        return self._progress(await self._json(self._client.batches.with_raw_response.retrieve(batch)))

    async def results(self, progress: Progress) -> Mapping[str, Result]:
        """Return the results in the output file and the error file."""
        with replies_up_to(FILE_BYTES):
            files = [await self._call(self._client.files.content(file)) for file in progress.results]
        return results_of((file.content for file in files), _result)

    async def _json(self, work: Awaitable[Any]) -> Any:
        response = await self._call(work)
        return self._data(response.text, response.headers)

    def _progress(self, data: Any) -> Progress:
        match data:
            case {"id": str(name), "status": str(status)} if self._is_id(name):
                rest: Mapping[str, Any] = data
                counts = rest.get("request_counts")
                counts = counts if isinstance(counts, dict) else {}
                files = (rest.get("output_file_id"), rest.get("error_file_id"))
                return Progress(
                    id=name,
                    state=_STATES.get(status, "running"),
                    total=whole(counts.get("total")),
                    done=whole(counts.get("completed")) + whole(counts.get("failed")),
                    created=_moment(rest),
                    lost=_LOST.get(status, MISSING),
                    results=tuple(file for file in files if isinstance(file, str) and self._is_id(file)),
                    error=self._refusal(rest.get("errors")) if status == "failed" else None,
                )
        raise wrong_shape(data, "a batch of OpenAI's", self._key)

    def _refusal(self, errors: Any) -> TvmergeError:
        """Return the error of a refused batch: the first one listed, since they usually say the same."""
        rows = errors.get("data") if isinstance(errors, dict) else errors
        first = next(iter(rows), None) if isinstance(rows, Iterable) else None
        details = read_error_details(json.dumps(first if isinstance(first, dict) else errors))
        if "token_limit_exceeded" in details.codes:
            return TransientError(self._key.blotted(details.words), status=429, sent=False)
        return translate(details.status or 400, details, headers={}, key=self._key)


def _result(row: Any) -> Result:
    """Return the result in a line of either file."""
    match row:
        case {"response": {"status_code": status, "body": body}} if is_status(status):
            return {"status": status, "body": body}
        case {"error": {"code": str(code)}} if code in _LOST:
            return {"lost": _LOST[code]}
        case {"error": error} if error:
            return {"status": 500, "body": {"error": error}}
    return {"lost": NOT_READ}


def _moment(row: Mapping[str, Any]) -> float:
    """Return when a batch was created, in seconds since 1970; 0 if unknown."""
    at = row.get("created_at")
    return float(at) if isinstance(at, int | float) and 0 < at < _LATEST else 0.0
