"""Reads the bodies of replies for all HTTP providers, and reports bodies that are not replies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, Protocol

from tvmerge._util.parsing import parse_strict_json
from tvmerge._util.printable import printable
from tvmerge._util.well_formed import well_formed_data
from tvmerge.errors import ProviderError, TransientError
from tvmerge.judging.client.chat import InvalidRequestError, NotJsonError
from tvmerge.judging.wire.error_details import events_of, is_events, is_page, title_of
from tvmerge.judging.wire.finish import finish_of
from tvmerge.judging.wire.http import ApiKey

if TYPE_CHECKING:
    from tvmerge.judging.client.chat import FinishReason

_SHOWN = 120
_TOLD_ELSEWHERE = frozenset(("id", "object", "created", "model", "usage", "system_fingerprint", "x_groq"))
"""Keys of a body that do not explain why it has no reply."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""One half of a surrogate pair, as escaped in JSON."""
_BLOCKED = re.compile(r'"block_?reason": "([^"]+)"', re.IGNORECASE)


class Response(Protocol):
    """A response that was read; a protocol, since each SDK has its own HTTP client."""

    @property
    def content(self) -> bytes:
        """The body."""

    @property
    def text(self) -> str:
        """The body in the encoding that the header names."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""


def body_of(response: Response) -> str:
    """Return the text of a response, decoded as UTF-8 if valid, whatever encoding the header names."""
    try:
        return response.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return response.text


def read_json(body: str) -> Any:
    """Return the JSON data of a reply, which may also be a single server-sent event.

    Raises:
        NotJsonError: It is an HTML page or a stream of events.
        TransientError: It is not JSON, truncated, or says more than one thing.
    """
    try:
        data = parse_strict_json(body)
    except ValueError as error:
        data = _whole(body)
        if data is None:
            raise not_json(body, "" if isinstance(error, JSONDecodeError) else f": {error}") from None
    return well_formed_data(data) if _HALF.search(body) else data


def not_json(body: str, why: str = "") -> TransientError:
    """Return the error for a body that is not JSON, or whose JSON is not read.

    What a model has written, it was paid for, readable or not; a page of HTML is not from a model.
    """
    if is_page(body):
        title = printable(title_of(body))[:_SHOWN]
        return NotJsonError(f"a page of HTML ('{title}') where JSON was asked for: check base_url")
    if is_events(body):
        found: TransientError = NotJsonError(
            "a stream of events where one JSON reply was asked for: set `stream = false` under [parameters] "
            "in the judge's file, or in the server"
        )
    else:
        found = TransientError(f"the reply is not JSON{why}" if body.strip() else "the reply is empty")
    found.paid = bool(body.strip())
    return found


def wrong_shape(data: Any, expected: str, key: ApiKey) -> InvalidRequestError:
    """Return the error for JSON that is not a reply of the protocol."""
    shapes = (name for name, shape in _SHAPES.items() if isinstance(data, dict) and shape <= data.keys())
    other = next((name for name in shapes if name != expected), "")
    shown = _shown(data, key)
    is_other = f"{other}, not {expected}" if other else f"not {expected}"
    said = f"HTTP 200: {is_other}: {shown}"
    return InvalidRequestError(
        f"the judge's server does not reply as its provider does ({said}): check `provider` and base_url",
        said=said,
        status=200,
        certain=bool(other),
    )


def nothing_said(data: Mapping[str, Any], key: ApiKey) -> tuple[FinishReason, str]:
    """Return why a body with the shape of a reply has none (refused or empty), and what it contains."""
    rest = {name: value for name, value in data.items() if name not in _TOLD_ELSEWHERE}
    shown = json.dumps(rest, ensure_ascii=False)
    blocked = _BLOCKED.search(shown)
    finish: FinishReason = "refused" if blocked and finish_of(blocked[1]) == "refused" else "stop"
    return finish, _shown(rest, key)


def connection_error(error: Exception) -> ProviderError:
    """Return the error for a failed connection, with the reason that the SDKs leave out.

    What is raised while a response arrives (`tvmerge.judging.wire.bounds`), the SDKs take for one too.
    """
    cause = error.__cause__ or error
    if isinstance(cause, ProviderError):
        return cause
    if type(cause).__name__ == "TooManyRedirects":
        said = "redirects without end"
        return InvalidRequestError(
            f"the judge's server replies with {said}: correct base_url", said=said, certain=True
        )
    kind = type(cause).__name__
    said = f"{kind}: {cause}" if str(cause) else f"{type(error).__name__}: {error}"
    lost = TransientError(printable(said)[:_SHOWN], sent=kind not in _NEVER_SENT)
    lost.unanswered = lost.sent and kind not in _PARTLY_SENT
    return lost


def _shown(data: Any, key: ApiKey) -> str:
    return printable(key.blotted(json.dumps(data, ensure_ascii=False)))[:_SHOWN]


_NEVER_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError"}
)
"""Errors of HTTP clients that occur before anything is sent."""

_PARTLY_SENT = frozenset({"WriteError", "WriteTimeout", "LocalProtocolError"})
"""Errors of HTTP clients that occur before the whole request is sent."""

_SHAPES = {
    "a message of Anthropic's": {"content", "stop_reason"},
    "a chat completion": {"choices"},
    "a reply of Cohere's chat": {"message", "finish_reason"},
    "a reply of Ollama's own protocol": {"message", "done"},
    "a reply of OpenAI's responses": {"output", "status"},
    "a reply of Gemini's own protocol": {"candidates"},
}


def _whole(body: str) -> Any:
    """Return the single reply in a stream of events, or None."""
    first, _, rest = body.strip().partition("\n\n")
    if rest.strip() == "data: [DONE]" and not first.startswith("data:"):
        try:
            return parse_strict_json(first)
        except ValueError:
            return None
    events = list(islice(events_of(body), 2)) if is_events(body) else []
    return events[0] if len(events) == 1 else None
