"""Reads a provider's response: returns its reply or raises its error as one of tvmerge's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tvmerge.errors import ProviderError
from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.wire.error_details import ErrorDetails, error_within, read_error_details
from tvmerge.judging.wire.http import ApiKey, rate_limits
from tvmerge.judging.wire.parameters import ModelParameters
from tvmerge.judging.wire.refusals import translate
from tvmerge.judging.wire.replies import read_json

_NO_SUCCESS = 300


class ResponseReader:
    """Reads responses to requests, sent one by one or in a batch.

    It learns from errors which parameters the model rejects, and from replies which ones it accepts.

    Args:
        parameters: The parameters that the model accepts, as far as known.
        key: The API key, which is removed from messages.
        reply: Returns the reply in the data of a body, given the limits in the headers.
        details: Returns the error in data that came as a success, or None.
    """

    def __init__(
        self,
        parameters: ModelParameters,
        key: ApiKey,
        reply: Callable[[Any, RateLimits, ApiKey], ChatReply],
        details: Callable[[Any], ErrorDetails | None] = error_within,
    ) -> None:
        self._parameters = parameters
        self._key = key
        self._reply = reply
        self._complaint = details

    def read(self, status: int, body: str, headers: Mapping[str, str], request: ChatRequest) -> ChatReply:
        """Return the reply in a response; raise what `ChatModel.send` raises.

        Args:
            status: Its HTTP status.
            body: Its body.
            headers: Its headers, by lower-case name.
            request: The request it responds to.
        """
        if status >= _NO_SUCCESS:
            details: ErrorDetails | None = read_error_details(body)
        else:
            data = read_json(body)
            details = self._complaint(data)
            status = 200 if details is None else details.status or 200
        if details is not None:
            error = translate(status, details, headers=headers, key=self._key)
            raise self._parameters.learn(error, request.body)
        try:
            reply = self._reply(data, rate_limits(headers), self._key)
        except ProviderError as error:
            error.paid = True  # a success that is no error, in whatever form, may be billed
            raise
        self._parameters.answered(request.body)
        return reply
