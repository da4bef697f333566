"""Reads a provider's response: its reply, or its complaint as one of our own errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tvmerge.judging.client.chat import ChatReply, ChatRequest
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.wire.complaint import Complaint, error_within, read_complaint
from tvmerge.judging.wire.http import ApiKey, rate_limits
from tvmerge.judging.wire.parameters import ModelParameters
from tvmerge.judging.wire.refusals import translate
from tvmerge.judging.wire.replies import read_json

_NO_SUCCESS = 300


class ResponseReader:
    """Reads responses to requests, sent one by one or in a batch.

    What a complaint says about the model's parameters is learnt, and so is that a reply came with them.

    Args:
        parameters: What is known of the parameters that the model takes.
        key: The API key, which is blotted out of what is shown.
        reply: The reply in the data of a body, for the limits that the headers tell.
        complaint: The error within data that came as a success, or None.
    """

    def __init__(
        self,
        parameters: ModelParameters,
        key: ApiKey,
        reply: Callable[[Any, RateLimits, ApiKey], ChatReply],
        complaint: Callable[[Any], Complaint | None] = error_within,
    ) -> None:
        self._parameters = parameters
        self._key = key
        self._reply = reply
        self._complaint = complaint

    def read(self, status: int, body: str, headers: Mapping[str, str], request: ChatRequest) -> ChatReply:
        """The reply in a response; raises what `ChatModel.send` does.

        Args:
            status: Its HTTP status.
            body: Its body.
            headers: Its headers, by lower-case name.
            request: What it responds to.
        """
        if status >= _NO_SUCCESS:
            complaint: Complaint | None = read_complaint(body)
        else:
            data = read_json(body)
            complaint = self._complaint(data)
            status = 200 if complaint is None else complaint.status or 200
        if complaint is not None:
            error = translate(status, complaint, headers=headers, key=self._key)
            raise self._parameters.learn(error, request.body)
        reply = self._reply(data, rate_limits(headers), self._key)
        self._parameters.answered(request.body)
        return reply
