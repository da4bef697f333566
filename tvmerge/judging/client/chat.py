"""The interface of the judge layer: one request to a chat model, its reply, and who answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from tvmerge._util.canonical import digest
from tvmerge.errors import RequestError, TransientError
from tvmerge.judging import faults
from tvmerge.judging.client.rate_headers import RateLimits
from tvmerge.judging.prompts.parsing import Unreadable
from tvmerge.judging.prompts.reply_format import ReplyFormat
from tvmerge.judging.prompts.spoken import spoken

SCHEMA = 1
"""Part of every key: raise it when what is stored with a reply changes its meaning."""

_REMINDED = "\n\n---- asked for the rating alone ----\n\n"

FinishReason = Literal["stop", "length", "refused", "failed", "other"]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request, and what its reply must hold.

    Attributes:
        provider: Which wire protocol it is for.
        endpoint: Where it is sent; no secrets.
        body: Exactly what is sent, as JSON data; no secrets.
        form: How the reply must read. No part of the key: it decides nothing about what is sent.
        sample: Which of several independent replies to the same body this is, from 0.
        after: The request that this one follows up, and the reply to it; None where it opens a conversation.
            No part of the key: the body holds both.
        attempt: How many replies to this very request were no use before, for a model that would give the
            same again. No part of the key: any usable reply will do.
        narrow: The same request with less room for the reply, where this one stands for it.
        first: The request that was built at first, with a parameter that was refused; None where this is it.
        outdated: Says whether requests have changed since, since a parameter was refused.
        key: SHA-256 of provider, endpoint, body and sample.
    """

    provider: str
    endpoint: str
    body: Mapping[str, Any]
    form: ReplyFormat = field(compare=False)
    sample: int = 0
    after: tuple[ChatRequest, ChatReply] | None = field(default=None, compare=False)
    attempt: int = field(default=0, compare=False)
    narrow: ChatRequest | None = field(default=None, compare=False)
    first: ChatRequest | None = field(default=None, compare=False)
    outdated: Callable[[], bool] = field(default=lambda: False, compare=False, repr=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", digest(self.parts))

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys under which a reply is kept: whoever builds the first request again is to find it, too."""
        return (self.key,) if self.first is None else (self.key, self.first.key)

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
            return faults.REFUSED
        if reply.finish == "length":
            return faults.CUT_OFF
        if reply.finish == "failed":
            said = f" ({reply.ending})" if reply.ending else ""
            return f"{faults.FAILED}{said}"
        reading = self.form.read(reply.text, alone=bool(reply.before))
        if not isinstance(reading, Unreadable):
            return ""
        if reply.finish == "stop" and reply.text.strip():
            return reading.reason
        fault = faults.EMPTY if reply.finish == "stop" else "ended abnormally"
        return f"{fault} ({reply.ending})" if reply.ending else fault

    def reminder(self, reply: ChatReply) -> ChatRequest | None:
        """The request that continues from `reply` and asks for the rating alone.

        None where `reply` cannot be gone on from: it is no complete reply that says something, or this
        request is such a reminder itself.
        """
        said = (spoken(reply.text) or "").strip()
        if self.after is not None or reply.finish not in ("stop", "other") or not said:
            return None
        messages = [
            *self.body["messages"],
            {"role": "assistant", "content": said},
            {"role": "user", "content": self.form.reminder},
        ]
        return replace(self, body={**self.body, "messages": messages}, after=(self, reply))

    def settled(self, reply: ChatReply) -> tuple[ChatRequest, ChatReply]:
        """What was asked at first, and all that was replied to that."""
        if self.after is None:
            return self.narrow or self, reply
        asked, before = self.after
        usage = None if reply.usage is None or before.usage is None else before.usage + reply.usage
        return asked, replace(reply, before=before.text, usage=usage)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens a call was billed for; thinking counts as output."""

    input: int = 0
    output: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input + other.input, self.output + other.output)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a chat model said.

    Attributes:
        text: Its words, thinking left out.
        finish: `stop` at its own end, `length` at the token limit, `refused` for its content, `failed` where
            something broke at the provider, `other` for what nobody knows.
        usage: Tokens billed, or None where the provider does not say.
        limits: Rate limits from the response headers.
        cached: It comes from the cache and cost nothing.
        ending: The provider's own word for an end that nobody knows, what it says of its failure, or what it
            sent in the place of a reply.
        before: What was said at first, where `text` is the reply to a reminder; else empty.
        receipt: What the reply is known by, where it came in a batch; else empty.
    """

    text: str
    finish: FinishReason
    usage: Usage | None = None
    limits: RateLimits = field(default=RateLimits(), compare=False)
    cached: bool = field(default=False, compare=False)
    ending: str = field(default="", compare=False)
    before: str = ""
    receipt: str = field(default="", compare=False)

    @property
    def whole(self) -> str:
        """All that was said, for people to read."""
        return f"{self.before}{_REMINDED}{self.text}" if self.before else self.text


class ChatModel(Protocol):
    """A chat model, or a wrapper that adds one behaviour to a chat model."""

    def request(self, system: str, user: str, form: ReplyFormat, *, sample: int = 0) -> ChatRequest:
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
                (`FormError`) or its text (`TextError`), or a parameter that is not sent any more
                (`OutdatedError`).
            BudgetError: The user's own limit is reached.
        """

    async def close(self) -> None:
        """Free connections."""


class ChatWrapper:
    """Base of the wrappers: passes everything on but `send`."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner = inner

    def request(self, system: str, user: str, form: ReplyFormat, *, sample: int = 0) -> ChatRequest:
        """The wrapped model's request."""
        return self._inner.request(system, user, form, sample=sample)

    async def close(self) -> None:
        """Close the wrapped model."""
        await self._inner.close()


class TooLongError(RequestError):
    """The prompt does not fit into the judge's context."""


class FormError(RequestError):
    """The request was refused, for its form or for its text: the provider does not say which.

    Attributes:
        said: What the provider said, with the status.
        certain: Where nothing was answered yet, no other text needs to be asked: it is the model's name, the
            address or a parameter.
    """

    def __init__(
        self,
        message: str,
        *,
        said: str = "",
        status: int | None = None,
        param: str | None = None,
        certain: bool = False,
    ) -> None:
        super().__init__(message, status=status, param=param)
        self.said = said or message
        self.certain = certain


class UnknownModelError(FormError):
    """The provider has no model of that name."""

    def __init__(self, message: str, *, said: str = "", status: int | None = None) -> None:
        super().__init__(message, said=said, status=status, param="model", certain=True)


class TextError(RequestError):
    """This text alone is refused, for a reason that does not say it is its content.

    Attributes:
        proven: Another text was answered in the same form.
    """

    def __init__(self, message: str, *, status: int | None = None, proven: bool = True) -> None:
        super().__init__(message, status=status)
        self.proven = proven


class UnprovenError(RequestError):
    """This text is refused for its content, and no other was ever answered: no verdict on it."""


class OutdatedError(RequestError):
    """A parameter was refused, and from now on `request` builds requests without it.

    Attributes:
        instead: The parameter that is sent in its place; empty for none.
    """

    def __init__(
        self, message: str, *, status: int | None = None, param: str | None = None, instead: str = ""
    ) -> None:
        super().__init__(message, status=status, param=param)
        self.instead = instead


class MisplacedError(TransientError):
    """The reply is a page or a stream instead of JSON: the address is wrong, or a proxy answered."""
