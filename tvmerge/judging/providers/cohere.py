"""Cohere's chat, version 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cohere
import httpx
from cohere.core.api_error import ApiError

from tvmerge.errors import ProviderError, TransientError, UserError
from tvmerge.judging.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.forms import Form
from tvmerge.judging.providers.capabilities import ModelParameters
from tvmerge.judging.providers.finish import finish_of, unknown_word
from tvmerge.judging.providers.http import ApiKey, lower_case, rate_limits, translate
from tvmerge.judging.spec import JudgeSpec

_REFUSABLE = ("response_format", "temperature")


class CohereChat:
    """A Command model.

    Args:
        spec: The judge.
        api_key: The key.
    """

    def __init__(self, spec: JudgeSpec, api_key: str) -> None:
        self._spec = spec
        self._key = ApiKey(api_key, spec.api_key_env)
        self._parameters = ModelParameters(spec)
        # An HTTP client of our own, since the SDK's cannot be closed and stops at 100 connections.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self._http = httpx.AsyncClient(timeout=spec.timeout, limits=limits)
        self._client = cohere.AsyncClientV2(
            api_key=api_key or "unused",
            base_url=spec.endpoint,
            timeout=spec.timeout,
            httpx_client=self._http,
            max_retries=0,
        )

    def request(self, system: str, user: str, form: Form, *, sample: int = 0) -> ChatRequest:
        """The body of a chat."""
        messages = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {
            "model": self._spec.model,
            "messages": [*messages, {"role": "user", "content": user}],
            "stream": False,
        }
        body |= self._parameters.values
        if form.structured and self._parameters.structured:
            body["response_format"] = {"type": "json_object", "json_schema": form.schema}
        return ChatRequest("cohere", self._spec.endpoint, body, form, sample)

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send one request, once."""
        extra = {name: value for name, value in request.body.items() if name not in ("model", "messages")}
        try:
            response = await self._client.with_raw_response.chat(
                model=request.body["model"],
                messages=request.body["messages"],
                request_options={"additional_body_parameters": extra},
            )
        except ApiError as error:
            # The SDK's exceptions print the headers of the response, so none of them is kept as a cause.
            raise self._refusal(error, request) from None
        except httpx.HTTPError as error:
            raise TransientError(f"{type(error).__name__}: {error}") from None
        return _reply(response.data, lower_case(response.headers), self._key)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _refusal(self, error: ApiError, request: ChatRequest) -> ProviderError | UserError:
        """The error in our own terms; what it says of the model's parameters is learnt on the way."""
        if error.status_code is None or error.status_code < 400:
            return TransientError("the reply is not JSON")
        message = str(error.body.get("message", error.body) if isinstance(error.body, dict) else error.body)
        param = next((name for name in _REFUSABLE if name in message), None)
        return self._parameters.learn(
            translate(
                error.status_code,
                message,
                headers=lower_case(error.headers or {}),
                param=param,
                key=self._key,
            ),
            request.body,
        )


def _reply(data: Any, headers: Mapping[str, str], key: ApiKey) -> ChatReply:
    # The SDK builds its models without checking them.
    message = getattr(data, "message", None)
    if message is None:
        raise TransientError("the reply has no message")
    blocks = getattr(message, "content", None) or []
    texts = [str(block.text) for block in blocks if getattr(block, "type", "") == "text"]
    return ChatReply(
        text=key.blotted("".join(texts)),
        finish=finish_of(data.finish_reason),
        ending=unknown_word(data.finish_reason),
        usage=_usage(getattr(data, "usage", None)),
        limits=rate_limits(headers),
    )


def _usage(data: Any) -> Usage | None:
    counted = getattr(data, "tokens", None) or getattr(data, "billed_units", None)
    sent, replied = getattr(counted, "input_tokens", None), getattr(counted, "output_tokens", None)
    return None if sent is None or replied is None else Usage(int(sent), int(replied))
