"""The interface of chat models: a request, its reply, and the model."""

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
from tvmerge.judging.prompts.without_thoughts import without_thoughts

SCHEMA = 1
"""Part of every key; raise it when stored replies change their meaning."""

_REMINDED = "\n\n---- asked for the rating alone ----\n\n"

FinishReason = Literal["stop", "length", "refused", "failed", "other"]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request, and the form its reply must have.

    Attributes:
        provider: The provider whose protocol it uses.
        endpoint: Where it is sent; no secrets.
        body: Exactly what is sent, as JSON data; no secrets.
        reply_format: The form the reply must have. Not part of the key: it does not affect what is sent.
        sample: Which of several independent replies to the same body this is, from 0.
        after: The request that this one follows up and its reply; None if it opens a conversation. Not part
            of the key, since the body holds both.
        attempt: How many replies to this same request were unusable, for a model that would otherwise repeat
            itself. Not part of the key, since any usable reply will do.
        narrow: The same request with a lower limit on the reply's length, if this one replaces it.
        first: The original request, with a parameter that was then refused; None if this is the original.
        outdated: Returns whether requests are built differently by now because a parameter was refused.
        key: SHA-256 of provider, endpoint, body and sample.
    """

    provider: str
    endpoint: str
    body: Mapping[str, Any]
    reply_format: ReplyFormat = field(compare=False)
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
        """Keys under which a reply is stored; the original request's is one, as later runs build that."""
        return (self.key,) if self.first is None else (self.key, self.first.key)

    @property
    def parts(self) -> dict[str, object]:
        """The data that the key is computed from."""
        return {
            "schema": SCHEMA,
            "provider": self.provider,
            "endpoint": self.endpoint,
            "body": self.body,
            "sample": self.sample,
        }

    def fault_of(self, reply: ChatReply) -> str:
        """Return why `reply` is unusable and must be requested again, or an empty string."""
        if reply.finish == "refused":
            return faults.REFUSED
        if reply.finish == "length":
            return faults.CUT_OFF
        if reply.finish == "failed":
            said = f" ({reply.finish_detail})" if reply.finish_detail else ""
            return f"{faults.FAILED}{said}"
        reading = self.reply_format.read(reply.text, alone=bool(reply.before))
        if not isinstance(reading, Unreadable):
            return ""
        if reply.finish == "stop" and reply.text.strip():
            return reading.reason
        fault = faults.EMPTY if reply.finish == "stop" else "ended abnormally"
        return f"{fault} ({reply.finish_detail})" if reply.finish_detail else fault

    def reminder(self, reply: ChatReply) -> ChatRequest | None:
        """Return a request that continues after `reply` and asks for the rating alone.

        Return None if `reply` is incomplete or empty, or if this request is such a reminder itself.
        """
        said = (without_thoughts(reply.text) or "").strip()
        if self.after is not None or reply.finish not in ("stop", "other") or not said:
            return None
        messages = [
            *self.body["messages"],
            {"role": "assistant", "content": said},
            {"role": "user", "content": self.reply_format.reminder},
        ]
        return replace(self, body={**self.body, "messages": messages}, after=(self, reply))

    @property
    def asked(self) -> ChatRequest:
        """The original request, under whose keys a usable reply to this one is stored."""
        return self.narrow or self if self.after is None else self.after[0]

    def settled(self, reply: ChatReply) -> tuple[ChatRequest, ChatReply]:
        """Return the original request, and the whole reply to it."""
        if self.after is None:
            return self.asked, reply
        asked, before = self.after
        usage = None if reply.usage is None or before.usage is None else before.usage + reply.usage
        return asked, replace(reply, before=before.text, usage=usage)


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens billed for a call; thinking counts as output."""

    input: int = 0
    output: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input + other.input, self.output + other.output)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The reply of a chat model.

    Attributes:
        text: Its text, without thinking.
        finish: Why it ended: `stop` by the model, `length` at the token limit, `refused` for its content,
            `failed` by an error at the provider, `other` for an unknown reason.
        usage: Tokens billed, or None if the provider does not say.
        limits: Rate limits from the response headers.
        cached: Whether it comes from the cache and cost nothing.
        finish_detail: The provider's word for an unknown finish reason, its description of a failure, or what
            it sent instead of a reply.
        before: The first reply, if `text` is the reply to a reminder; empty otherwise.
        receipt: Identifies the reply if it came in a batch; empty otherwise.
    """

    text: str
    finish: FinishReason
    usage: Usage | None = None
    limits: RateLimits = field(default=RateLimits(), compare=False)
    cached: bool = field(default=False, compare=False)
    finish_detail: str = field(default="", compare=False)
    before: str = ""
    receipt: str = field(default="", compare=False)

    @property
    def whole(self) -> str:
        """The whole reply, as shown in files and reports."""
        return f"{self.before}{_REMINDED}{self.text}" if self.before else self.text


class ChatModel(Protocol):
    """A chat model, or a wrapper that adds one behaviour to it."""

    def request(self, system: str, user: str, reply_format: ReplyFormat, *, sample: int = 0) -> ChatRequest:
        """Build a request for a reply to `user` in the given form.

        Args:
            system: The system message; empty for none.
            user: The user message.
            reply_format: The form the reply must have.
            sample: Which of several independent replies this one is, from 0.
        """

    async def send(self, request: ChatRequest) -> ChatReply:
        """Send `request`.

        Raises:
            TransientError: The request is worth retrying.
            QuotaError: The account's quota is used up.
            CredentialsError: The key was rejected.
            OutageError: The provider has failed for longer than the user allows.
            RequestError: This request was refused: for its content, its length (`TooLongError`), its form
                (`InvalidRequestError`), its text (`TextRefusedError`), or a parameter that is no longer sent
                (`ParameterRefusedError`).
            BudgetError: The user's limit is reached.
        """

    async def close(self) -> None:
        """Free connections."""


class ChatWrapper:
    """Base class of the wrappers, which passes on everything except `send`."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner = inner

    def request(self, system: str, user: str, reply_format: ReplyFormat, *, sample: int = 0) -> ChatRequest:
        """Return the wrapped model's request."""
        return self._inner.request(system, user, reply_format, sample=sample)

    async def close(self) -> None:
        """Close the wrapped model."""
        await self._inner.close()


class TooLongError(RequestError):
    """The prompt does not fit into the judge's context."""


class NotReadError(RequestError):
    """The reply is larger than any judgment, or the result of a batch is not JSON. It was paid for."""

    paid = True


class InvalidRequestError(RequestError):
    """The request was refused for its form or for its text; the provider does not say which.

    Attributes:
        said: The provider's message, with the status.
        certain: Whether, if nothing was answered yet, the cause is certain (the model's name, the address or
            a parameter), so that no other text needs to be tried.
        blocked: Whether a firewall may have refused it instead of the provider, so that the next run asks
            again.
    """

    def __init__(
        self,
        message: str,
        *,
        said: str = "",
        status: int | None = None,
        param: str | None = None,
        certain: bool = False,
        blocked: bool = False,
    ) -> None:
        super().__init__(message, status=status, param=param)
        self.said = said or message
        self.certain = certain
        self.blocked = blocked


class UnknownModelError(InvalidRequestError):
    """The provider has no model with this name."""

    def __init__(self, message: str, *, said: str = "", status: int | None = None) -> None:
        super().__init__(message, said=said, status=status, param="model", certain=True)


class TextRefusedError(RequestError):
    """Only this text is refused, and the provider does not name its content as the reason.

    Attributes:
        proven: Whether another text was answered in the same form, and no firewall can be the reason.
    """

    def __init__(self, message: str, *, status: int | None = None, proven: bool = True) -> None:
        super().__init__(message, status=status)
        self.proven = proven


class UnprovenRefusalError(RequestError):
    """This text was refused for its content, but no other text was ever answered, so it gets no rating."""


class ParameterRefusedError(RequestError):
    """A parameter was refused; from now on `request` builds requests without it.

    Attributes:
        instead: The parameter that is sent instead; empty for none.
    """

    def __init__(
        self, message: str, *, status: int | None = None, param: str | None = None, instead: str = ""
    ) -> None:
        super().__init__(message, status=status, param=param)
        self.instead = instead


class NotJsonError(TransientError):
    """The reply is a web page or an event stream, not JSON: the address is wrong, or a proxy replied."""
