"""Anthropic's messages."""

from __future__ import annotations

import json
from typing import Any

import anthropic

from tvmerge.errors import ProviderError, TransientError, UserError
from tvmerge.judging.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.forms import Form
from tvmerge.judging.providers.capabilities import ModelParameters
from tvmerge.judging.providers.finish import finish_of, unknown_word
from tvmerge.judging.providers.http import ApiKey, lower_case, rate_limits, translate
from tvmerge.judging.rates import RateLimits
from tvmerge.judging.spec import JudgeSpec

_REFUSABLE = ("temperature", "output_config")


class AnthropicChat:
    """A Claude model.

    Args:
        spec: The judge.
        api_key: The key.
    """

    def __init__(self, spec: JudgeSpec, api_key: str) -> None:
        self._spec = spec
        self._key = ApiKey(api_key, spec.api_key_env)
        self._parameters = ModelParameters(spec)
        # max_retries=0: tvmerge retries in one place, where it is limited and counted.
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key or "unused", base_url=spec.endpoint, timeout=spec.timeout, max_retries=0
        )

    def request(self, system: str, user: str, form: Form, *, sample: int = 0) -> ChatRequest:
        """The body of a message, with only what the model takes."""
        body: dict[str, Any] = {"model": self._spec.model, "messages": [{"role": "user", "content": user}]}
        if system:
            body["system"] = system
        body |= self._parameters.values
        if form.structured and self._parameters.structured:
            wanted = {"type": "json_schema", "schema": form.schema}
            body["output_config"] = {**body.get("output_config", {}), "format": wanted}
        return ChatRequest("anthropic", self._spec.endpoint, body, form, sample)

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send one request, once."""
        # What the SDK has no argument for, or refuses though old models want it, goes round it.
        named = {"model", "messages", "max_tokens"}
        extra = {name: value for name, value in request.body.items() if name not in named}
        try:
            response = await self._client.messages.with_raw_response.create(
                model=request.body["model"],
                messages=request.body["messages"],
                max_tokens=request.body["max_tokens"],
                extra_body=extra,
            )
        except anthropic.APIStatusError as error:
            # The SDK's exceptions hold the request with its key, so none of them is kept as a cause.
            raise self._refusal(error, request) from None
        except anthropic.APIConnectionError as error:
            raise TransientError(f"{type(error).__name__}: {error}") from None
        try:
            data = json.loads(await response.text())
        except ValueError:
            raise TransientError("the reply is not JSON") from None
        return _reply(data, rate_limits(lower_case(response.headers)), self._key)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _refusal(self, error: anthropic.APIStatusError, request: ChatRequest) -> ProviderError | UserError:
        """The error in our own terms; what it says of the model's parameters is learnt on the way."""
        message = _message(error)
        param = next((name for name in _REFUSABLE if name in message), None)
        return self._parameters.learn(
            translate(
                error.status_code,
                message,
                headers=lower_case(error.response.headers),
                param=param,
                key=self._key,
            ),
            request.body,
        )


def _message(error: anthropic.APIStatusError) -> str:
    match error.body:
        case {"error": {"message": str(message)}}:
            return message
    return error.message


def _reply(data: Any, limits: RateLimits, key: ApiKey) -> ChatReply:
    match data:
        case {"content": [*blocks], **rest}:
            # Thinking comes in blocks of its own, which are not the reply.
            texts = [str(block["text"]) for block in blocks if block.get("type") == "text"]
            return ChatReply(
                text=key.blotted("".join(texts)),
                finish=finish_of(rest.get("stop_reason")),
                ending=unknown_word(rest.get("stop_reason")),
                usage=_usage(rest.get("usage")),
                limits=limits,
            )
    raise TransientError("the reply has no content")


def _usage(data: Any) -> Usage | None:
    match data:
        case {"input_tokens": int(sent), "output_tokens": int(replied), **rest}:
            cached = (rest.get("cache_read_input_tokens"), rest.get("cache_creation_input_tokens"))
            return Usage(sent + sum(tokens for tokens in cached if isinstance(tokens, int)), replied)
    return None
