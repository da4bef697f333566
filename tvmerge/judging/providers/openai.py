"""OpenAI's chat completions: OpenAI, Azure, and every server with the same protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tvmerge._util.printable import printable
from tvmerge.errors import ProviderError
from tvmerge.judging.batch.api import BatchApi
from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.prompts.reply_format import ReplyFormat
from tvmerge.judging.providers import Provider
from tvmerge.judging.spec import JudgeSpec
from tvmerge.judging.wire.bounds import client_arguments
from tvmerge.judging.wire.error_details import LARGEST, ErrorDetails, error_within
from tvmerge.judging.wire.finish import finish_of, unknown_word
from tvmerge.judging.wire.http import ApiKey, lower_case, rate_limits
from tvmerge.judging.wire.parameters import Capabilities, Known, ModelParameters
from tvmerge.judging.wire.reader import ResponseReader
from tvmerge.judging.wire.replies import (
    body_of,
    connection_error,
    nothing_said,
    read_json,
    wrong_shape,
)
from tvmerge.judging.wire.reply_text import reply_text
from tvmerge.judging.wire.usage import usage_of

if TYPE_CHECKING:
    import openai

MODELS: Known = (
    (
        re.compile(r"^(o[1-9]|gpt-([5-9]|[1-9][0-9])|codex)"),
        Capabilities("max_completion_tokens", True, False),
    ),
    (re.compile(r"^(gpt-4(-\d|-turbo|-32k|$)|gpt-3\.5)"), Capabilities(structured=False)),
)
"""What OpenAI's models take."""

_WORDS = 200
_NO_SUCCESS = 300


class OpenAIChat:
    """A chat model behind the OpenAI protocol.

    Args:
        spec: The judge; with an `api_version` it is an Azure deployment.
        api_key: The key, or an empty string if the server needs none.
    """

    def __init__(self, spec: JudgeSpec, api_key: str) -> None:
        self._spec = spec
        self._key = ApiKey(api_key, spec.api_key_env)
        self._parameters = ModelParameters(spec, MODELS)
        self._reader = ResponseReader(self._parameters, self._key, _reply, _complaint)
        self._client = _client(spec, api_key)

    def request(self, system: str, user: str, reply_format: ReplyFormat, *, sample: int = 0) -> ChatRequest:
        """Build the body of a chat completion, with only the parameters that the model accepts."""
        system, user = self._parameters.texts(system, user)
        messages = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {
            "model": self._spec.model,
            "messages": [*messages, {"role": "user", "content": user}],
        }
        body |= self._parameters.values
        if reply_format.structured and self._parameters.structured:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "judgment", "strict": True, "schema": reply_format.schema},
            }
        outdated = self._parameters.outdated()
        return ChatRequest("openai", _address(self._spec), body, reply_format, sample, outdated=outdated)

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send one request, once."""
        with self._key.kept_out_of_errors():
            return await self._send(request)

    async def _send(self, request: ChatRequest) -> ChatReply:
        import openai

        extra = {name: value for name, value in request.body.items() if name not in ("model", "messages")}
        try:
            response = await self._client.chat.completions.with_raw_response.create(
                model=request.body["model"], messages=request.body["messages"], extra_body=extra
            )
            status, answer = 200, response.http_response
        except openai.APIStatusError as error:
            status, answer = error.status_code, error.response
        except openai.APIConnectionError as error:
            # The SDK's exceptions hold the request with its key, so none is kept as a cause.
            raise connection_error(error) from None
        return self.read(status, body_of(answer), lower_case(answer.headers), request)

    def read(self, status: int, body: str, headers: Mapping[str, str], request: ChatRequest) -> ChatReply:
        """Return the reply in a response, single or from a batch; raise what `send` raises.

        Args:
            status: Its HTTP status.
            body: Its body.
            headers: Its headers, by lower-case name.
            request: The request it responds to.
        """
        failed = _failed_generation(body, headers, self._key) if status >= _NO_SUCCESS else None
        return failed or self._reader.read(status, body, headers, request)

    def batches(self) -> BatchApi:
        """The provider's batch endpoint."""
        from tvmerge.judging.batch.openai import OpenAIBatches

        return OpenAIBatches(self._client, self._key, self.read)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _client(spec: JudgeSpec, api_key: str) -> openai.AsyncOpenAI:
    import httpx2
    import openai

    # max_retries=0: tvmerge retries in one place, where it is limited and counted.
    key = api_key or "unused"
    http = openai.DefaultAsyncHttpxClient(timeout=spec.timeout, **client_arguments(httpx2, spec.endpoint))
    if spec.api_version:
        return openai.AsyncAzureOpenAI(
            azure_endpoint=spec.base_url or "",
            azure_deployment=spec.model,
            api_version=spec.api_version,
            api_key=key,
            timeout=spec.timeout,
            max_retries=0,
            http_client=http,
        )
    return openai.AsyncOpenAI(
        api_key=key, base_url=spec.endpoint, timeout=spec.timeout, max_retries=0, http_client=http
    )


def _address(spec: JudgeSpec) -> str:
    # Another API version may answer differently, so its replies get separate keys.
    return f"{spec.endpoint}?api-version={spec.api_version}" if spec.api_version else spec.endpoint


def _reply(data: Any, limits: RateLimits, key: ApiKey) -> ChatReply:
    # Read leniently: servers that claim to be compatible omit fields that OpenAI always sends.
    match data:
        case {"choices": [{} as choice, *_], **rest}:
            said = choice.get("message") or choice.get("text")
            message = said if isinstance(said, dict) else {"content": said}
            word = choice.get("finish_reason")
            refusal, failure = message.get("refusal"), error_within(choice)
            refused = isinstance(refusal, str) and bool(refusal.strip())  # else the content decides
            return ChatReply(
                text=key.blotted(reply_text(message, word)),
                finish="refused" if refused else "failed" if failure else finish_of(word),
                finish_detail=printable(key.blotted(failure.words))[:_WORDS]
                if failure
                else key.blotted(unknown_word(word)),
                usage=_usage(rest.get("usage")),
                limits=limits,
            )
        case {"choices": None | []} | {"object": "chat.completion"}:
            # Gemini omits the choices if it withholds a reply.
            finish, held = nothing_said(data, key)
            return ChatReply("", finish, _usage(data.get("usage")), limits, finish_detail=held)
    raise wrong_shape(data, "a chat completion", key)


def _failed_generation(body: str, headers: Mapping[str, str], key: ApiKey) -> ChatReply | None:
    """Return the reply of a model that failed to write the requested JSON, which Groq sends as an error."""
    try:
        data = read_json(body) if len(body) <= LARGEST else None
    except ProviderError:
        return None
    match data:
        case {"error": {"failed_generation": str(said)}}:
            return ChatReply(key.blotted(said), "stop", limits=rate_limits(headers))
    return None


def _complaint(data: Any) -> ErrorDetails | None:
    """Return the error in a successful response, including a gateway's error about a refused choice.

    A choice that broke off with an error is a failed reply instead.
    """
    if (details := error_within(data)) is not None:
        return details
    match data:
        case {"choices": [{"error": _} as choice, *_]}:
            details = error_within(choice)
            return details if details and details.status and details.status < 500 else None
    return None


def _usage(data: Any) -> Usage | None:
    match data:
        case {"prompt_tokens": sent, "completion_tokens": replied, **rest}:
            return usage_of(sent, replied, total=rest.get("total_tokens"))
        case {"prompt_tokens": int(sent), "total_tokens": int(total)} if total > sent:
            # Gemini leaves out the reply's tokens if thinking left none for it.
            return usage_of(sent, 0, total=total)
    return None


PROVIDER = Provider(
    chat=OpenAIChat,
    endpoint="https://api.openai.com/v1",
    key_variable="OPENAI_API_KEY",
    packages=("openai",),
    http="httpx2",
    batches=True,
)
