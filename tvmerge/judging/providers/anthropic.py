"""Anthropic's Messages API."""

from __future__ import annotations

import re
from typing import Any

from tvmerge.judging.batch.api import BatchApi
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.prompts.reply_format import ReplyFormat
from tvmerge.judging.providers import Provider
from tvmerge.judging.spec import JudgeSpec
from tvmerge.judging.wire.bounds import client_arguments
from tvmerge.judging.wire.finish import finish_of, unknown_word
from tvmerge.judging.wire.http import ApiKey, lower_case
from tvmerge.judging.wire.parameters import Capabilities, Known, ModelParameters
from tvmerge.judging.wire.reader import ResponseReader
from tvmerge.judging.wire.replies import body_of, connection_error, wrong_shape
from tvmerge.judging.wire.reply_text import text_of
from tvmerge.judging.wire.usage import usage_of

MODELS: Known = (
    (re.compile(r"claude-(2|instant|3)"), Capabilities(structured=False)),
    (re.compile(r"claude-[a-z]+-4(-[0-6])?(-[0-9]{8})?$"), Capabilities()),
    (re.compile(r"claude"), Capabilities(reasoning=True, temperature=False)),
)
"""What Anthropic's models take."""

NEEDED = ("max_tokens",)
"""Parameters that Anthropic requires."""


class AnthropicChat:
    """A Claude model.

    Args:
        spec: The judge.
        api_key: The key.
    """

    def __init__(self, spec: JudgeSpec, api_key: str) -> None:
        import anthropic
        import httpx2

        self._spec = spec
        self._key = ApiKey(api_key, spec.api_key_env)
        self._parameters = ModelParameters(spec, MODELS, needed=NEEDED)
        self._reader = ResponseReader(self._parameters, self._key, _reply)
        # max_retries=0: tvmerge retries in one place, where it is limited and counted.
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key or "unused",
            base_url=spec.endpoint,
            timeout=spec.timeout,
            max_retries=0,
            http_client=anthropic.DefaultAsyncHttpxClient(
                timeout=spec.timeout, **client_arguments(httpx2, spec.endpoint)
            ),
        )

    def request(self, system: str, user: str, reply_format: ReplyFormat, *, sample: int = 0) -> ChatRequest:
        """Build the body of a message, with only the parameters that the model accepts."""
        system, user = self._parameters.texts(system, user)
        body: dict[str, Any] = {"model": self._spec.model, "messages": [{"role": "user", "content": user}]}
        if system:
            body["system"] = system
        body |= self._parameters.values
        if reply_format.structured and self._parameters.structured:
            wanted = {"type": "json_schema", "schema": reply_format.schema}
            body["output_config"] = {**body.get("output_config", {}), "format": wanted}
        outdated = self._parameters.outdated()
        return ChatRequest("anthropic", self._spec.endpoint, body, reply_format, sample, outdated=outdated)

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send one request, once."""
        with self._key.kept_out_of_errors():
            return await self._send(request)

    async def _send(self, request: ChatRequest) -> ChatReply:
        import anthropic

        # Parameters that the SDK does not know, or rejects although old models accept them, bypass it.
        named = {"model", "messages", "max_tokens"}
        extra = {name: value for name, value in request.body.items() if name not in named}
        try:
            response = await self._client.messages.with_raw_response.create(
                model=request.body["model"],
                messages=request.body["messages"],
                max_tokens=request.body["max_tokens"],
                extra_body=extra,
            )
            status, answer = 200, response.http_response
        except anthropic.APIStatusError as error:
            status, answer = error.status_code, error.response
        except anthropic.APIConnectionError as error:
            # The SDK's exceptions hold the request with its key, so none is kept as a cause.
            raise connection_error(error) from None
        return self._reader.read(status, body_of(answer), lower_case(answer.headers), request)

    def batches(self) -> BatchApi:
        """The provider's batch endpoint."""
        from tvmerge.judging.batch.anthropic import AnthropicBatches

        return AnthropicBatches(self._client, self._key, self._reader.read)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _reply(data: Any, limits: RateLimits, key: ApiKey) -> ChatReply:
    match data:
        case {"content": [*blocks], **rest}:
            return ChatReply(
                text=key.blotted(text_of(blocks)),
                finish=finish_of(rest.get("stop_reason")),
                finish_detail=key.blotted(unknown_word(rest.get("stop_reason"))),
                usage=_usage(rest.get("usage")),
                limits=limits,
            )
    raise wrong_shape(data, "a message of Anthropic's", key)


def _usage(data: Any) -> Usage | None:
    match data:
        case {"input_tokens": sent, "output_tokens": replied, **rest}:
            cached = (rest.get("cache_read_input_tokens"), rest.get("cache_creation_input_tokens"))
            return usage_of(sent, replied, *cached)
    return None


PROVIDER = Provider(
    chat=AnthropicChat,
    endpoint="https://api.anthropic.com",
    key_variable="ANTHROPIC_API_KEY",
    packages=("anthropic",),
    http="httpx2",
    needed=NEEDED,
    batches=True,
)
