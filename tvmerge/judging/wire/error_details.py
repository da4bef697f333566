"""Reads a provider's description of an error, in any of its formats.

OpenAI wraps an error in an object, Gemini puts that object in a list, Ollama sends a string, FastAPI a
`detail` with an entry for each field, Mistral a `detail` within a `message`, gateways the original provider's
body as text within `metadata`, and proxies an HTML page.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tvmerge._util.parsing import parse_json
from tvmerge._util.well_formed import well_formed_data
from tvmerge.judging.wire.moments import positive

_WORDS = (
    *("message", "Message", "msg", "error", "detail", "details", "description", "error_message", "error_msg"),
    *("errors", "title", "base_resp", "status_msg"),
)
"""Keys whose value is shown to the user, in order of preference."""
_CODES = ("code", "type", "status", "reason", "error_code", "error_type", "name", "__type")
_FLAGS = ("contentFilter", "content_filter_result", "flagged_input")
"""Keys that are present if a text was refused for its content."""
_TITLE = re.compile(r"<(title|h1|h2)\b[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_PAGE = re.compile(r"\s*<(!doctype|html|head|body|\?xml)\b", re.IGNORECASE)
_EVENTS = re.compile(r"\s*(?:event|data|id|retry)?:")
LARGEST = 2**16
"""Number of characters of an error that are read; no description of one is as long."""
_EVENTS_READ = 1000
"""Number of events that are read; one reply, or an error, is among the first."""
_DEEPEST = 6
_OBJECTS = 200
"""Number of objects in an error that are looked at."""
_TITLED = 5_000
"""Number of characters of a page that are searched for its title."""
_WORDY = 4_000
"""Number of characters of an error's message that are read; patterns are searched in it."""
_AS_TEXT = json.JSONEncoder(ensure_ascii=False)
_GATEWAYS = 2
"""Maximum number of gateways before a provider that repeat its error as text."""
_REPLIES = frozenset({"choices", "content", "candidates", "output"})
"""Keys of which every reply has one, in any protocol."""


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """A provider's description of an error.

    Attributes:
        words: The message for the user; empty if there is none.
        status: The HTTP status in the body, or None.
        codes: All codes and types in the body, in lower case.
        param: The request parameter named in the body, as a path with dots, or None.
        retry_after: Seconds to wait given in the body, or None.
        quotas: Names of the quotas that are used up.
        about_content: Whether it says what in a text was refused.
        headers: Headers of the provider behind a gateway, by lower-case name.
        page: Whether it is a page of HTML, or contains one, which is seldom from the provider itself.
    """

    words: str = ""
    status: int | None = None
    codes: frozenset[str] = frozenset()
    param: str | None = None
    retry_after: float | None = None
    quotas: tuple[str, ...] = ()
    about_content: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    page: bool = False


def read_error_details(body: str) -> ErrorDetails:
    """Read the body of an error, as far as `LARGEST`; never fails, whatever the body is."""
    return _read(body[:LARGEST], _GATEWAYS)


def _read(body: str, gateways: int) -> ErrorDetails:
    data = _json(body)
    if isinstance(data, dict | list):
        return _of_json(data, gateways)
    said = data if isinstance(data, str) else body
    return ErrorDetails((said if said is data else _plain(body))[:_WORDY], page=is_page(said))


def error_within(data: Any) -> ErrorDetails | None:
    """Return the error in a body that was sent as a success, or None."""
    first = data[0] if isinstance(data, list) and data else data
    if not isinstance(first, dict):
        return None
    told = {"error", "errors", "detail", "error_msg"} & {name for name, value in first.items() if value}
    failed = first.get("object") == "error" or first.get("type") == "error"
    # A gateway's envelope, instead of a reply or with an empty one.
    said = [first.get(name) for name in ("message", "msg") if not _REPLIES & first.keys()]
    spoken = any(isinstance(text, str) and text for text in said)
    match first:
        case {"base_resp": {"status_code": int(code)}} if code:
            failed = True
    return _of_json(first) if told or failed or spoken else None


def is_page(body: str) -> bool:
    """Return whether `body` is an HTML page."""
    return _PAGE.match(body) is not None


def is_events(body: str) -> bool:
    """Return whether `body` is a stream of server-sent events."""
    return _EVENTS.match(body) is not None and "data:" in body


def events_of(body: str) -> Iterator[Any]:
    """Yield the JSON data of a stream of server-sent events, in order, without comments and `[DONE]`."""
    lines = (line.removeprefix("data:").strip() for line in body.splitlines() if line.startswith("data:"))
    return (data for line in islice(lines, _EVENTS_READ) if isinstance(data := _json(line), dict | list))


def title_of(page: str) -> str:
    """Return the title of an HTML page, or the beginning of its text."""
    page = page[:_TITLED]
    titled = _TITLE.search(page)
    return " ".join(html.unescape(_MARKUP.sub(" ", titled[2] if titled else page)).split())


def _of_json(data: Any, gateways: int = _GATEWAYS) -> ErrorDetails:
    layers = list(islice(_layers(data, 0), _OBJECTS))
    words = _sentence(data)[:_WORDY]
    raw = next(filter(None, (_behind(layer, gateways) for layer in layers)), "")
    said = words if raw in words else ": ".join(filter(None, (words, raw)))
    return ErrorDetails(
        words=said or "".join(islice(_AS_TEXT.iterencode(data), _WORDY))[:_WORDY],
        status=next((status for layer in layers if (status := _status(layer)) is not None), None),
        codes=frozenset(_texts(layers, _CODES)),
        param=_param(layers),
        retry_after=next((seconds for layer in layers if (seconds := _delay(layer)) is not None), None),
        quotas=tuple(str(layer["quotaId"]) for layer in layers if layer.get("quotaId")),
        about_content=any(_flags_content(layer) for layer in layers),
        headers=_headers(layers),
        page=any(isinstance(text, str) and is_page(text) for layer in layers for text in layer.values()),
    )


def _layers(data: Any, depth: int) -> Iterable[Mapping[str, Any]]:
    """Yield all objects within `data`, outer ones first, including those in JSON text of a gateway."""
    if depth > _DEEPEST:
        return
    if isinstance(data, list):
        for item in data:
            yield from _layers(item, depth + 1)
    elif isinstance(data, dict):
        yield data
        for name, value in data.items():
            inner = _json(value) if name == "raw" and isinstance(value, str) else value
            if name not in ("input", "flagged_input", "headers"):  # these repeat the request
                yield from _layers(inner, depth + 1)


def _sentence(data: Any, depth: int = 0) -> str:
    """Return the part of `data` that is meant for the user."""
    if isinstance(data, str):
        return title_of(data) if is_page(data) else data
    if depth > _DEEPEST:
        return ""
    if isinstance(data, list):
        return "; ".join(filter(None, (_sentence(item, depth + 1) for item in data[:3])))
    if not isinstance(data, dict):
        return ""
    words = next((said for name in _WORDS if (said := _sentence(data.get(name), depth + 1))), "")
    place = data.get("loc")
    return f"{'.'.join(map(str, place))}: {words}" if isinstance(place, list) and words else words


def _behind(layer: Mapping[str, Any], gateways: int) -> str:
    """Return the message of the provider behind a gateway."""
    raw = layer.get("raw")
    return _read(raw, gateways - 1).words if gateways and isinstance(raw, str) else ""


def _status(layer: Mapping[str, Any]) -> int | None:
    for name in ("code", "status", "status_code", "statusCode"):
        try:
            status = int(layer.get(name) or 0)
        except (TypeError, ValueError, OverflowError):
            continue
        if 400 <= status <= 599:
            return status
    return None


def _texts(layers: Iterable[Mapping[str, Any]], names: Iterable[str]) -> Iterable[str]:
    for layer in layers:
        for name in names:
            value = layer.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
                yield str(value).lower()


def _param(layers: Iterable[Mapping[str, Any]]) -> str | None:
    for layer in layers:
        param = layer.get("param")
        if isinstance(param, str) and param.strip() and param != "None":
            return param
        place = layer.get("loc")
        if isinstance(place, list) and place:
            return ".".join(str(part) for part in place if part != "body") or None
    return None


def _delay(layer: Mapping[str, Any]) -> float | None:
    """Return Google's `retryDelay` in seconds, which is written as a number with an `s`."""
    told = re.fullmatch(r"([0-9.]+)s", str(layer.get("retryDelay", "")))
    return positive(told[1]) if told else None


def _flags_content(layer: Mapping[str, Any]) -> bool:
    reasons = layer.get("reasons")  # a gateway's moderation
    return any(layer.get(name) for name in _FLAGS) or (isinstance(reasons, list) and bool(reasons))


def _headers(layers: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
    for layer in layers:
        headers = layer.get("headers")
        if isinstance(headers, dict):
            return {str(name).lower(): str(value) for name, value in headers.items()}
    return {}


def _plain(body: str) -> str:
    if is_events(body) and (event := next(events_of(body), None)) is not None:
        return _sentence(event)
    return title_of(body) if is_page(body) else " ".join(body.split())


def _json(text: str) -> Any:
    try:
        data = parse_json(text)
        return well_formed_data(data) if "\\u" in text else data
    except ValueError:
        return None
