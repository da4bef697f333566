"""OpenAI's chat completions: OpenAI itself, Azure, and every server that speaks the same protocol."""

from __future__ import annotations

import json
from typing import Any

import openai

from tvmerge.errors import ProviderError, TransientError, UserError
from tvmerge.judging.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.forms import Form
from tvmerge.judging.providers.capabilities import ModelParameters
from tvmerge.judging.providers.finish import finish_of, unknown_word
from tvmerge.judging.providers.http import ApiKey, lower_case, rate_limits, translate
from tvmerge.judging.providers.said import said_by
from tvmerge.judging.rates import RateLimits
from tvmerge.judging.spec import JudgeSpec


class OpenAIChat:
    """A chat model behind the OpenAI protocol.

    Args:
        spec: The judge; with an `api_version` it is an Azure deployment.
        api_key: The key, or an empty string where the server wants none.
    """

    def __init__(self, spec: JudgeSpec, api_key: str) -> None:
        self._spec = spec
        self._key = ApiKey(api_key, spec.api_key_env)
        self._parameters = ModelParameters(spec)
        self._client = _client(spec, api_key)

    def request(self, system: str, user: str, form: Form, *, sample: int = 0) -> ChatRequest:
        """The body of a chat completion, with only what the model takes."""
        messages = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {
            "model": self._spec.model,
            "messages": [*messages, {"role": "user", "content": user}],
        }
        body |= self._parameters.values
        if form.structured and self._parameters.structured:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "judgment", "strict": True, "schema": form.schema},
            }
        return ChatRequest("openai", _address(self._spec), body, form, sample)

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send one request, once."""
        extra = {name: value for name, value in request.body.items() if name not in ("model", "messages")}
        try:
            response = await self._client.chat.completions.with_raw_response.create(
                model=request.body["model"], messages=request.body["messages"], extra_body=extra
            )
        except openai.APIStatusError as error:
            # The SDK's exceptions hold the request with its key, so none of them is kept as a cause.
            raise self._refusal(error, request) from None
        except openai.APIConnectionError as error:
            raise TransientError(f"{type(error).__name__}: {error}") from None
        try:
            data = json.loads(response.text)
        except ValueError:
            raise TransientError("the reply is not JSON") from None
        return _reply(data, rate_limits(lower_case(response.headers)), self._key)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _refusal(self, error: openai.APIStatusError, request: ChatRequest) -> ProviderError | UserError:
        """The error in our own terms; what it says of the model's parameters is learnt on the way."""
        return self._parameters.learn(
            translate(
                error.status_code,
                _message(error),
                headers=lower_case(error.response.headers),
                code=error.code,
                param=error.param,
                key=self._key,
            ),
            request.body,
        )


def _client(spec: JudgeSpec, api_key: str) -> openai.AsyncOpenAI:
    # max_retries=0: tvmerge retries in one place, where it is limited and counted.
    key = api_key or "unused"
    if spec.api_version:
        return openai.AsyncAzureOpenAI(
            azure_endpoint=spec.base_url or "",
            azure_deployment=spec.model,
            api_version=spec.api_version,
            api_key=key,
            timeout=spec.timeout,
            max_retries=0,
        )
    return openai.AsyncOpenAI(api_key=key, base_url=spec.endpoint, timeout=spec.timeout, max_retries=0)


def _address(spec: JudgeSpec) -> str:
    # Another API version may answer otherwise, so its replies have keys of their own.
    return f"{spec.endpoint}?api-version={spec.api_version}" if spec.api_version else spec.endpoint


def _message(error: openai.APIStatusError) -> str:
    match error.body:
        case {"message": str(message)}:
            return message
    return error.message


def _reply(data: Any, limits: RateLimits, key: ApiKey) -> ChatReply:
    # Read leniently: servers that claim to be compatible leave out what OpenAI promises.
    match data:
        case {"choices": [{"message": {} as message, **choice}, *_]}:
            word = choice.get("finish_reason")
            return ChatReply(
                text=key.blotted(said_by(message, word)),
                finish="refused" if message.get("refusal") else finish_of(word),
                ending=unknown_word(word),
                usage=_usage(data.get("usage")),
                limits=limits,
            )
    raise TransientError("the reply has no choices")


def _usage(data: Any) -> Usage | None:
    match data:
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion)}:
            return Usage(prompt, completion)
    return None
