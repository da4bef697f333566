"""What the SDKs' batch endpoints share: translating errors and reading responses."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tvmerge.judging.batch.api import Result
from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.wire.error_details import error_within, read_error_details
from tvmerge.judging.wire.http import ApiKey, lower_case
from tvmerge.judging.wire.refusals import translate
from tvmerge.judging.wire.replies import connection_error, read_json, wrong_shape

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

    def _is_id(self, name: str) -> bool:
        """Return whether `name` can be the id of a batch or a file, part of addresses, lines and files."""
        plain = 0 < len(name) <= _LONGEST_ID and name.isascii() and name.isprintable()
        return plain and self._key.blotted(name) == name

    def _page(self, data: Any) -> list[Any]:
        match data:
            case {"data": [*rows]}:
                return rows
        raise wrong_shape(data, "a list of batches", self._key)


def whole(value: Any) -> int:
    """Return a number of requests; 0 if `value` is none."""
    return value if type(value) is int and 0 <= value < _MOST_REQUESTS else 0
