"""The seam of the judge layer: one request to a chat model, its reply, and who answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tvmerge.canonical import digest
from tvmerge.errors import RequestError
from tvmerge.judging.forms import Form
from tvmerge.judging.parsing import Unreadable

SCHEMA = 1
"""Part of every key: raise it when what is stored with a reply changes its meaning."""

FinishReason = Literal["stop", "length", "refused", "other"]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request, and what its reply must hold.

    Attributes:
        provider: Which wire protocol it is for.
        endpoint: Where it is sent; no secrets.
        body: Exactly what is sent, as JSON data; no secrets.
        form: How the reply must read. No part of the key: it decides nothing about what is sent.
        sample: Which of several independent replies to the same body this is, from 0.
        key: SHA-256 of all of the above but the form.
    """

    provider: str
    endpoint: str
    body: Mapping[str, Any]
    form: Form = field(compare=False)
    sample: int = 0
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", digest(self.parts))

    @property
    def parts(self) -> dict[str, object]:
        """What the key is made of."""
        return {
            "schema": SCHEMA,
            "provider": self.provider,
            "endpoint": self.endpoint,
            "body": self.body,
            "sample": self.sample,
        }

    def fault_of(self, reply: ChatReply) -> str:
        """Why `reply` is no use and must be asked for again, or an empty string."""
        if reply.finish == "refused":
            return "refused by the provider"
        if reply.finish == "length":
            return "cut off at the token limit"
        if reply.finish != "stop":
            return "ended abnormally"
        if not reply.text.strip():
            return "empty reply"
        reading = self.form.read(reply.text)
        return reading.reason if isinstance(reading, Unreadable) else ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens a call was billed for; thinking counts as output."""

    input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a provider's response headers say of its limits; None where they do not say.

    Attributes:
        requests: Requests allowed in its window, a minute unless `requests_reset` says longer.
        requests_left: Requests left now.
        requests_reset: Seconds until all requests are back.
        tokens: Tokens allowed a minute.
        tokens_left: Tokens left now.
        tokens_reset: Seconds until all tokens are back.
    """

    requests: int | None = None
    requests_left: int | None = None
    requests_reset: float | None = None
    tokens: int | None = None
    tokens_left: int | None = None
    tokens_reset: float | None = None


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a chat model said.

    Attributes:
        text: Its words, thinking left out.
        finish: `stop` at its own end, `length` at the token limit, `refused` for its content.
        usage: Tokens billed, or None where the provider does not say.
        limits: Rate limits from the response headers.
        cached: It comes from the cache and cost nothing.
    """

    text: str
    finish: FinishReason
    usage: Usage | None = None
    limits: RateLimits = field(default=RateLimits(), compare=False)
    cached: bool = field(default=False, compare=False)


class ChatModel(Protocol):
    """A chat model, or a wrapper that adds one behaviour to a chat model."""

    def request(self, system: str, user: str, form: Form, *, sample: int = 0) -> ChatRequest:
        """The request that asks for a reply to `user` in the given form.

        Args:
            system: The system message; empty for none.
            user: The user message.
            form: How the reply must read.
            sample: Which of several independent replies this one is, from 0.
        """

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send `request`.

        Raises:
            TransientError: Worth another try.
            QuotaError: The account has nothing left.
            CredentialsError: The key was refused.
            OutageError: It has failed for longer than the user's patience.
            RequestError: This request was refused: for its content, its length (`TooLongError`), its form
                (`FormError`), or a parameter that is not sent any more (`OutdatedError`).
            BudgetError: The user's own limit is reached.
        """

    async def close(self) -> None:
        """Free connections."""


class ChatWrapper:
    """Base of the wrappers: passes everything on but `send`."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner = inner

    def request(self, system: str, user: str, form: Form, *, sample: int = 0) -> ChatRequest:
        """The wrapped model's request."""
        return self._inner.request(system, user, form, sample=sample)

    async def close(self) -> None:
        """Close the wrapped model."""
        await self._inner.close()


class TooLongError(RequestError):
    """The prompt does not fit into the judge's context."""


class FormError(RequestError):
    """No request of this form is answered: the model's name or a parameter is wrong."""


class OutdatedError(RequestError):
    """A parameter was refused, and from now on `request` builds requests without it."""
