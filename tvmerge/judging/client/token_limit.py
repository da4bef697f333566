"""The token limit of a reply, raised once if thinking uses it up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from tvmerge._util.canonical import digest
from tvmerge.errors import RequestError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ParameterRefusedError
from tvmerge.judging.client.tokens import LENGTH_PARAMETERS, length_limit
from tvmerge.judging.prompts.without_thoughts import without_thoughts

FACTOR = 4
"""By how much the token limit is multiplied if thinking uses it up."""


class Memory(Protocol):
    """Storage for state kept between runs."""

    async def read(self, key: str) -> object:
        """Return what is stored under a key, or None."""

    async def write(self, key: str, row: object) -> None:
        """Store something under a key."""


class TokenLimit:
    """Sends requests with the token limit that one judge's replies turn out to need.

    Thinking counts towards the limit of a reply. If it leaves nothing for the reply, the limit is multiplied
    by `FACTOR` for this and all later requests. It is raised only once, and not if the judge's file sets it.
    A complete reply does not depend on the limit, so it is stored as the reply to the request with the
    original limit. The raised limit is stored too, and the next run starts with it.

    Args:
        inner: The wrapped model.
        fixed: Whether the user set the limit.
        note: Called when the limit is raised or the raised limit is refused.
        memory: Stores the limit for the next run; None to store nothing.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        fixed: bool = False,
        note: Callable[[str], None] = lambda _: None,
        memory: Memory | None = None,
    ) -> None:
        self._inner = inner
        self._fixed = fixed
        self._note = note
        self._memory = memory
        self._recalling = asyncio.Lock()
        self._recalled = fixed or memory is None
        self._limit: int | None = None

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the reply to `request`, with a higher limit if it needs one."""
        async with self._recalling:
            await self._recall(request)
        sent = self._widened(request)
        try:
            reply = await self._inner.send(sent)
        except RequestError as error:
            if sent is request or not _about_the_limit(error):
                raise
            await self._give_up(request)
            return await self._inner.send(request)
        if not (ran_out_of_tokens(reply) and self._raise(sent)):
            return reply
        try:
            wider = await self._inner.send(self._widened(request))
        except RequestError as error:
            if not _about_the_limit(error):
                raise
            await self._give_up(request)
            return reply
        await self._keep(request, self._limit or 0)
        return wider

    @property
    def raised(self) -> bool:
        """Whether the limit has been raised, so that it will not be raised again."""
        return self._limit is not None

    def _widened(self, request: ChatRequest) -> ChatRequest:
        """Return `request` with the current limit."""
        found = length_limit(request.body)
        if self._limit is None or found is None or found[1] >= self._limit:
            return request
        return replace(request, body={**request.body, found[0]: self._limit}, narrow=request)

    def _raise(self, sent: ChatRequest) -> bool:
        """Raise the limit above that of `sent`, and return whether the current limit is higher."""
        found = length_limit(sent.body)
        if self._fixed or found is None:
            return False
        if self._limit is None:
            self._limit = found[1] * FACTOR
            self._note(
                f"thinking has used up {found[0]} = {found[1]}; it is {self._limit} from now on "
                "(set it in the judge's .toml file to change it)"
            )
        return self._limit > found[1]

    async def _give_up(self, request: ChatRequest) -> None:
        if self._limit is not None:
            self._note(f"the provider refuses a limit of {self._limit} tokens; the limit is unchanged")
        self._limit, self._fixed = None, True
        await self._keep(request, 0)

    async def _recall(self, request: ChatRequest) -> None:
        """Restore the limit of an earlier run."""
        if self._recalled or self._memory is None:
            return
        self._recalled = True
        row, found = await self._memory.read(_place(request)), length_limit(request.body)
        match row:
            case {"kind": "room", "limit": int(limit)} if found and limit > found[1]:
                self._limit = limit
                self._note(f"{found[0]} = {limit} from the start, because thinking needed it before")

    async def _keep(self, request: ChatRequest, limit: int) -> None:
        if self._memory is not None:
            await self._memory.write(_place(request), {"kind": "room", "limit": limit})


def _place(request: ChatRequest) -> str:
    """Return the key under which the limit of this judge's replies is stored."""
    body = {name: value for name, value in request.body.items() if name not in ("messages", "system")}
    return digest(["room", request.provider, request.endpoint, body])


def ran_out_of_tokens(reply: ChatReply) -> bool:
    """Return whether `reply` reached its limit with nothing but thoughts."""
    return reply.finish == "length" and not (without_thoughts(reply.text) or "").strip()


def _about_the_limit(error: RequestError) -> bool:
    """Return whether the refusal of a request can be caused by its higher limit."""
    outdated = isinstance(error, ParameterRefusedError) and error.param not in LENGTH_PARAMETERS
    return not (error.about_content or outdated)
