"""Cohere's chat API, version 2."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tvmerge.judging.client.chat import ChatReply, ChatRequest, Usage
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.prompts.reply_format import ReplyFormat
from tvmerge.judging.providers import Provider
from tvmerge.judging.spec import JudgeSpec
from tvmerge.judging.wire.bounds import client_arguments
from tvmerge.judging.wire.finish import finish_of, unknown_word
from tvmerge.judging.wire.http import ApiKey, lower_case
from tvmerge.judging.wire.parameters import ModelParameters
from tvmerge.judging.wire.reader import ResponseReader
from tvmerge.judging.wire.replies import body_of, connection_error, wrong_shape
from tvmerge.judging.wire.reply_text import text_of
from tvmerge.judging.wire.usage import usage_of

if TYPE_CHECKING:
    import httpx

_RESPONSE: ContextVar[httpx.Response | None] = ContextVar("response", default=None)
"""The response to the last request of the current task."""


class CohereChat:
    """A Command model.

    Args:
        spec: The judge.
        api_key: The key.
    """

    def __init__(self, spec: JudgeSpec, api_key: str) -> None:
        import cohere
        import httpx

        self._spec = spec
        self._key = ApiKey(api_key, spec.api_key_env)
        self._parameters = ModelParameters(spec)
        self._reader = ResponseReader(self._parameters, self._key, _reply)
        # A separate HTTP client, since the SDK's cannot be closed and allows only 100 connections.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        bounds = client_arguments(httpx, spec.endpoint)
        bounds["event_hooks"]["response"].append(_keep)
        self._http = httpx.AsyncClient(timeout=spec.timeout, limits=limits, **bounds)
        self._client = cohere.AsyncClientV2(
            api_key=api_key or "unused",
            base_url=spec.endpoint,
            timeout=spec.timeout,
            httpx_client=self._http,
            max_retries=0,
        )

    def request(self, system: str, user: str, reply_format: ReplyFormat, *, sample: int = 0) -> ChatRequest:
        """Build the body of a chat."""
        system, user = self._parameters.texts(system, user)
        messages = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {
            "model": self._spec.model,
            "messages": [*messages, {"role": "user", "content": user}],
            "stream": False,
        }
        body |= self._parameters.values
        if reply_format.structured and self._parameters.structured:
            body["response_format"] = {"type": "json_object", "json_schema": reply_format.schema}
        outdated = self._parameters.outdated()
        return ChatRequest("cohere", self._spec.endpoint, body, reply_format, sample, outdated=outdated)

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send one request, once."""
        with self._key.kept_out_of_errors():
            return await self._send(request)

    async def _send(self, request: ChatRequest) -> ChatReply:
        import httpx
        from cohere.core.api_error import ApiError

        extra = {name: value for name, value in request.body.items() if name not in ("model", "messages")}
        _RESPONSE.set(None)
        try:
            await self._client.with_raw_response.chat(
                model=request.body["model"],
                messages=request.body["messages"],
                request_options={"additional_body_parameters": extra},
            )
        except httpx.HTTPError as error:
            raise connection_error(error) from None
        except (ApiError, TypeError, ValueError, LookupError, AttributeError, RecursionError):
            # The SDK parses the response into its own models, and fails if that does not match.
            if _RESPONSE.get() is None:
                raise
        response = _RESPONSE.get()
        assert response is not None, "a call that ended without an error of HTTP has had a response"
        headers = lower_case(response.headers)
        return self._reader.read(response.status_code, body_of(response), headers, request)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def _keep(response: httpx.Response) -> None:
    await response.aread()
    _RESPONSE.set(response)


def _reply(data: Any, limits: RateLimits, key: ApiKey) -> ChatReply:
    match data:
        case {"message": {} as message, **rest}:
            return ChatReply(
                text=key.blotted(text_of(message.get("content"))),
                finish=finish_of(rest.get("finish_reason")),
                finish_detail=key.blotted(unknown_word(rest.get("finish_reason"))),
                usage=_usage(rest.get("usage")),
                limits=limits,
            )
    raise wrong_shape(data, "a reply of Cohere's chat", key)


def _usage(data: Any) -> Usage | None:
    match data:
        case {"tokens": {"input_tokens": sent, "output_tokens": replied}} | {
            "billed_units": {"input_tokens": sent, "output_tokens": replied}
        }:
            return usage_of(sent, replied)
    return None


PROVIDER = Provider(
    chat=CohereChat,
    endpoint="https://api.cohere.com",
    key_variable="CO_API_KEY",
    packages=("cohere",),
    http="httpx",
)
