"""Bounds what a judge's server can send: the size of a reply, its encodings, and where it redirects to.

All of it is checked while a response arrives, in a hook of the SDK's HTTP client, so that no reply fills the
memory and no key is sent to another host. The time of a reply is limited elsewhere: by the judge's `timeout`
(`tvmerge.judging.client.timeout`), for batches in `tvmerge.judging.batch.call_retry`.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import ModuleType
from typing import Any

from tvmerge._util.printable import printable
from tvmerge.errors import TransientError
from tvmerge.judging.client.chat import InvalidRequestError, NotReadError

REPLY_BYTES = 4 * 2**20
"""Maximum size of a reply in bytes, after decompression; a million tokens of text have less."""

FILE_BYTES = 2**29
"""Maximum size of the results of a batch in bytes, after decompression."""

_PIECE = 2**18
"""Maximum number of bytes that are decompressed at once."""
_REDIRECTS = 3
_NO_SUCCESS = 300
_PORTS = {"http": 80, "https": 443}
_SHOWN = 200
_KEEPS_METHOD = frozenset({307, 308})
"""Statuses of redirects after which the same request is sent again; after all others it becomes a GET."""
_ENCODINGS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""Compressions that are asked for, and zlib's number for them. Others expand without a bound."""
_CHARSET = re.compile(r"utf-(8|16|32)|ascii|iso8859|iso2022|cp\d|shift_jis|euc_|gb\d|gbk|big5|koi8|mac-")
"""Names of encodings of text. Python knows others, which decompress, or take quadratic time."""

_MOST: ContextVar[int] = ContextVar("most", default=REPLY_BYTES)


@contextmanager
def replies_up_to(most: int) -> Iterator[None]:
    """Accept replies of up to `most` bytes in the block."""
    token = _MOST.set(most)
    try:
        yield
    finally:
        _MOST.reset(token)


def client_arguments(library: ModuleType, endpoint: str) -> dict[str, Any]:
    """Return the arguments of an asynchronous HTTP client that keeps to the bounds.

    Args:
        library: `httpx` or `httpx2`, whose client it is.
        endpoint: The judge's address; nothing is sent to another host.
    """
    return {
        "headers": {"Accept-Encoding": "gzip, deflate"},
        "event_hooks": {
            "request": [_request_hook(library.URL(endpoint))],
            "response": [_response_hook(library, library.URL(endpoint))],
        },
        # A cookie would come back with every request, and nothing bounds their number.
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),
        "follow_redirects": True,
        "max_redirects": _REDIRECTS,
    }


def _request_hook(home: Any) -> Callable[[Any], Awaitable[None]]:
    async def hook(request: Any) -> None:
        """Raise an error instead of sending a request, with its key, to another host."""
        if not _same_host(home, request.url):
            raise _redirected(f"to another host, {request.url}", "if you trust it with the key, set base_url")

    return hook


def _response_hook(library: ModuleType, home: Any) -> Callable[[Any], Awaitable[None]]:
    bounded = type("BoundedStream", (_BoundedStream, library.AsyncByteStream), {})

    async def hook(response: Any) -> None:
        status, headers = response.status_code, response.headers
        if response.has_redirect_location:
            _check_redirect(library, home, response)
        window = _window(headers.get("content-encoding", ""), success=status < _NO_SUCCESS)
        # What follows is decompressed already, and decoded only from encodings of text.
        headers.pop("content-encoding", None)
        if not _is_text_encoding(response.charset_encoding):
            headers["content-type"] = "text/plain"
        response.stream = bounded(response.stream, window, _MOST.get(), success=status < _NO_SUCCESS)

    return hook


def _check_redirect(library: ModuleType, home: Any, response: Any) -> None:
    """Raise an error if a redirect leads to another host, to no address, or changes the request."""
    where = response.headers["location"]
    if response.status_code not in _KEEPS_METHOD:
        raise _redirected(f"(HTTP {response.status_code}) to {where}", "correct base_url")
    try:
        same = _same_host(home, response.request.url.join(where))
    except (library.InvalidURL, ValueError):
        same = False
    if not same:
        raise _redirected(f"to another host, {where}", "if you trust it with the key, set base_url")


def _redirected(where: str, advice: str) -> InvalidRequestError:
    said = f"a redirect {printable(where)[:_SHOWN]}"
    return InvalidRequestError(
        f"the judge's server replies with {said}, which is not followed: {advice}", said=said, certain=True
    )


def _same_host(home: Any, url: Any) -> bool:
    """Return whether a URL is on the server of another, to which it may add encryption."""
    if home.host != url.host:
        return False
    ways = [(url.scheme, url.port or _PORTS.get(url.scheme)) for url in (home, url)]
    return ways[0] == ways[1] or ways == [("http", 80), ("https", 443)]


def _window(encoding: str, *, success: bool) -> int | None:
    """Return zlib's number for a compression; None for no compression."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in _ENCODINGS:
        return _ENCODINGS[name]
    said = f"a reply compressed as '{printable(name)[:_SHOWN]}', which was not asked for"
    error = InvalidRequestError(f"the judge's server sends {said}: check base_url", said=said, certain=True)
    error.paid = success
    raise error


def _is_text_encoding(name: str | None) -> bool:
    try:
        return name is None or _CHARSET.match(codecs.lookup(name).name) is not None
    except (LookupError, ValueError):
        return False


class _BoundedStream:
    """The body of a response, decompressed piece by piece.

    Args:
        stream: The body as it was sent.
        window: zlib's number for its compression, or None if it is not compressed.
        most: Maximum number of bytes.
        success: Whether it is a reply. The description of an error ends at the bound, since its status says
            enough.
    """

    def __init__(self, stream: Any, window: int | None, most: int, *, success: bool) -> None:
        self._stream = stream
        self._window = window
        self._most = most
        self._success = success

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, unpacker = 0, None if self._window is None else _Unpacker(self._window, success=self._success)
        async for sent in self._stream:
            for piece in (sent,) if unpacker is None else unpacker.pieces(sent):
                size += len(piece)
                if size > self._most:
                    if self._success:
                        raise NotReadError(f"it is larger than {self._most / 2**20:g} MiB")
                    return
                yield piece
        if unpacker is not None:
            yield unpacker.rest()

    async def aclose(self) -> None:
        """Close the connection's part in it."""
        await self._stream.aclose()


class _Unpacker:
    """Decompresses bytes into pieces of bounded size.

    Args:
        window: zlib's number for the compression.
        success: Whether it is a reply, which may be billed even if it cannot be read.
    """

    def __init__(self, window: int, *, success: bool) -> None:
        self._success = success
        # Some servers send "deflate" without zlib's frame.
        self._other = -zlib.MAX_WBITS if window == zlib.MAX_WBITS else None
        self._zlib = zlib.decompressobj(window)

    def pieces(self, sent: bytes) -> Iterator[bytes]:
        """Yield what is in the next bytes that were sent."""
        while sent and not self._zlib.eof:
            yield self._piece(sent)
            self._other = None
            sent = self._zlib.unconsumed_tail

    def rest(self) -> bytes:
        """Return what is left at the end, which is less than a piece."""
        return self._zlib.flush()

    def _piece(self, sent: bytes) -> bytes:
        try:
            return self._zlib.decompress(sent, _PIECE)
        except zlib.error as error:
            if self._other is None:
                unread = TransientError(f"the reply cannot be decompressed: {error}")
                unread.paid = self._success
                raise unread from None
        self._zlib, self._other = zlib.decompressobj(self._other), None
        return self._piece(sent)
