"""What the SDKs' batch endpoints share: translating errors and reading responses."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from tvmerge.errors import ProviderError
from tvmerge.judging.batch.api import NOT_READ, Result
from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.wire.bounds import REPLY_BYTES
from tvmerge.judging.wire.error_details import error_within, read_error_details
from tvmerge.judging.wire.http import ApiKey, lower_case
from tvmerge.judging.wire.refusals import translate
from tvmerge.judging.wire.replies import connection_error, read_json, wrong_shape

_KEY = re.compile(rb'"custom_id" ?: ?"([0-9a-f]{64})"')
_LONGEST_ID = 200
_MOST_REQUESTS = 10**9

Read = Callable[[int, str, Mapping[str, str], ChatRequest], ChatReply]
"""Reads a response, given its status, body, headers and the request."""


class SdkEndpoint:
    """Calls an SDK and reads its responses.

    Args:
        sdk: The SDK's module, which defines its errors.
        key: The API key, which is removed from messages.
        read: Reads a reply.
    """

    def __init__(self, sdk: Any, key: ApiKey, read: Read) -> None:
        self._sdk = sdk
        self._key = key
        self._read = read

    def read(self, result: Result, request: ChatRequest) -> ChatReply:
        """Return the reply in a result, or raise its error."""
        return self._read(result["status"], json.dumps(result["body"]), {}, request)

    async def _call(self, work: Awaitable[Any]) -> Any:
        """Call the SDK and translate its errors."""
        with self._key.kept_out_of_errors():
            return await self._translated(work)

    async def _translated(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except self._sdk.APIStatusError as error:
            # The SDK's exceptions hold the request with its key, so none is kept as a cause.
            raise translate(
                error.status_code,
                read_error_details(error.response.text),
                headers=lower_case(error.response.headers),
                key=self._key,
            ) from None
        except self._sdk.APIConnectionError as error:
            raise connection_error(error) from None

    def _data(self, text: str, headers: Mapping[str, str]) -> Any:
        """Return the data of a response; raise an error sent as a success, except one that a batch holds."""
        with self._key.kept_out_of_errors():
            data = read_json(text)
        details = None if isinstance(data, dict) and "input_file_id" in data else error_within(data)
        if details is not None:
            raise translate(details.status or 200, details, headers=lower_case(headers), key=self._key)
        return data

    def _page(self, data: Any) -> list[Any]:
        match data:
            case {"data": [*rows]}:
                return rows
        raise wrong_shape(data, "a list of batches", self._key)


def results_of(content: bytes, read: Callable[[Mapping[str, Any]], Result]) -> dict[str, Result]:
    """Return the results in a file of JSON lines, by the requests' keys.

    A line that cannot be read costs no other request its result.

    Args:
        content: The file.
        read: Returns the result in the data of a line.
    """
    results: dict[str, Result] = {}
    for line in _lines(content):
        try:
            row = read_json(line.decode("utf-8", "replace")) if len(line) <= REPLY_BYTES else None
        except ProviderError:
            row = None
        if isinstance(row, dict):
            results[str(row.get("custom_id"))] = read(row)
        elif found := _KEY.search(line[:REPLY_BYTES]):
            results[found[1].decode()] = {"lost": NOT_READ}
    return results


def _lines(content: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(content):
        end = content.find(b"\n", begin)
        end = len(content) if end < 0 else end
        if line := content[begin:end].strip():
            yield line
        begin = end + 1


def whole(value: Any) -> int:
    """Return a number of requests; 0 if `value` is none."""
    return value if type(value) is int and 0 <= value < _MOST_REQUESTS else 0


def is_id(name: str) -> bool:
    """Return whether `name` can be the id of a batch or a file, which becomes part of addresses and lines."""
    return 0 < len(name) <= _LONGEST_ID and name.isascii() and name.isprintable()
