"""Decides whether a refusal concerns one text or all, by whether other texts are answered."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from tvmerge._util.canonical import digest
from tvmerge.errors import RequestError
from tvmerge.judging.client.chat import (
    ChatModel,
    ChatReply,
    ChatRequest,
    ChatWrapper,
    InvalidRequestError,
    ParameterRefusedError,
    TextRefusedError,
    TooLongError,
    UnprovenRefusalError,
)
from tvmerge.judging.client.concurrency import ConcurrencyLimiter
from tvmerge.judging.faults import REFUSED

AT_FIRST = 3
"""Number of texts that may be refused before any is answered."""

LATER = 5
"""Number of consecutive texts that may be refused after others were answered, or for their content before."""

FOR_THEIR_OWN_SAKE = 20
"""Number of consecutive texts that may be refused for their content or length after others were answered: one
bad candidate may write several of them."""


@dataclass(slots=True, eq=False)
class _Held:
    """A refused text that waits for the replies to others.

    Attributes:
        shape: Digest of the request without its texts.
        key: The request's key.
        error: The refusal.
        decision: Future that succeeds if only this text is refused and fails if all are.
    """

    shape: str
    key: str
    error: RequestError
    decision: asyncio.Future[None]


class RefusalChat(ChatWrapper):
    """Distinguishes a refused text from a refused form of request.

    A provider does not always say why it refuses a request. If it answers the same form with other texts, it
    refuses this text, and the run continues without it. So a refused request waits, without counting as in
    flight, until another one is answered. If several in a row are refused and none is answered in between,
    or if none was ever answered and no other is left, the form is refused, and the run stops.

    A text that is refused for its content also waits until some text is answered, because a provider that
    refuses every text would rate nothing.

    Args:
        inner: The wrapped model, including the concurrency limit.
        concurrency_limiter: Closed when the form is refused.
        patient: Decide nothing while replies are awaited, since they come in bulk and in any order.
        note: Called for each parameter that is left out from now on.
    """

    def __init__(
        self,
        inner: ChatModel,
        concurrency_limiter: ConcurrencyLimiter,
        *,
        patient: bool = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(inner)
        self._concurrency_limiter = concurrency_limiter
        self._patient = patient
        self._note = note
        self._answered: set[str] = set()
        self._known: set[str] = set()
        self._asking = 0
        self._held: list[_Held] = []
        self._released: dict[str, set[str]] = defaultdict(set)
        self._own_sake: set[str] = set()
        self._noted: set[str] = set()

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply.

        Raises:
            TextRefusedError: Only this text is refused.
            InvalidRequestError: The form is refused; nothing more is sent.
        """
        shape = _shape(request)
        self._asking += 1
        reply: ChatReply | None = None
        try:
            reply = await self._inner.send(request)
        except RequestError as error:
            refusal = error
        else:
            if reply.finish != "refused":
                self._heard(shape)
                return reply
            said = f": {reply.finish_detail}" if reply.finish_detail else ""
            refusal = RequestError(f"HTTP 200: the reply is a refusal{said}", status=200, about_content=True)
        finally:
            self._asking -= 1
            asyncio.get_running_loop().call_soon(self._decide)
        if isinstance(refusal, InvalidRequestError):
            await self._refused_form(request, shape, refusal)
        await self._refused(request, shape, refusal)
        if reply is None:
            raise refusal
        return reply

    def heard(self, request: ChatRequest) -> None:
        """Note that a request of this shape was answered before, so that not all texts are refused."""
        self._known.add(_shape(request))

    async def _refused_form(self, request: ChatRequest, shape: str, refusal: InvalidRequestError) -> NoReturn:
        """Wait until it is known what the refusal concerns, and raise accordingly."""
        if self._concurrency_limiter.closed_by is not None:
            raise refusal
        if request.after is not None:
            raise TextRefusedError(refusal.said, status=refusal.status)
        await self._decided(request, shape, refusal)
        proven = shape in self._answered and not refusal.blocked
        raise TextRefusedError(refusal.said, status=refusal.status, proven=proven)

    async def _decided(self, request: ChatRequest, shape: str, error: RequestError) -> None:
        """Wait until it is known that the refusal concerns only this text.

        Raises:
            InvalidRequestError: It concerns all texts.
        """
        held = _Held(shape, request.key, error, asyncio.get_running_loop().create_future())
        self._held.append(held)
        try:
            await held.decision
        finally:
            if held in self._held:
                self._held.remove(held)

    def _heard(self, shape: str) -> None:
        """Note that a shape was answered; waiting requests of such shapes had bad texts."""
        self._answered.add(shape)
        self._own_sake.clear()
        for known in self._answered:
            self._released[known].clear()
            self._release(known)

    def _decide(self) -> None:
        """Decide on the waiting requests, as far as possible."""
        if self._patient and self._asking:
            return
        for shape in {held.shape for held in self._held}:
            waiting = [held for held in self._held if held.shape == shape]
            if not waiting:
                return  # stopped
            texts = {held.key for held in waiting} | self._released[shape]
            refused = len(texts)
            before = shape in self._answered
            minded = all(held.error.about_content for held in waiting)
            if refused >= (LATER if before or minded else AT_FIRST):
                self._stop(waiting[-1].error)
            elif not self._asking and (before or minded or refused == 1):
                # No other request is left whose reply could decide.
                self._released[shape] = texts
                self._release(shape)
            elif not self._asking:
                self._stop(waiting[-1].error)

    def _release(self, shape: str) -> None:
        """Decide that the texts are refused."""
        for held in [held for held in self._held if held.shape == shape]:
            self._held.remove(held)
            if not held.decision.done():
                held.decision.set_result(None)

    def _stop(self, refusal: RequestError) -> None:
        """Decide that the form, or every text, is refused."""
        error = refusal if isinstance(refusal, InvalidRequestError) else _minds_all(len(self._held), refusal)
        self._concurrency_limiter.close(error)
        for held in self._held:
            if not held.decision.done():
                held.decision.set_exception(error)
        self._held.clear()

    async def _refused(self, request: ChatRequest, shape: str, error: RequestError) -> None:
        """Count a text refused for its content or length, and stop if all texts are.

        Raises:
            InvalidRequestError: All texts are refused.
            UnprovenRefusalError: Whether any text would be answered is unknown, so this one gets no rating.
        """
        if isinstance(error, ParameterRefusedError):
            self._remark(error)
        if not (error.about_content or isinstance(error, TooLongError)) or request.after is not None:
            return
        if (
            error.about_content
            and self._answers_nothing(shape)
            and self._concurrency_limiter.closed_by is None
        ):
            await self._decided(request, shape, error)
            if self._answers_nothing(shape):
                raise UnprovenRefusalError(f"{REFUSED}: {error}", status=error.status, about_content=True)
        self._own_sake.add(request.key)
        awaited = self._patient and self._asking > 0
        if len(self._own_sake) >= FOR_THEIR_OWN_SAKE and not awaited:
            stopping = _minds_all(len(self._own_sake), error, "; refused texts are remembered")
            self._concurrency_limiter.close(stopping)
            raise stopping from error

    def _answers_nothing(self, shape: str) -> bool:
        """Return whether no request of this shape is known to have been answered."""
        return shape not in self._answered | self._known

    def _remark(self, error: ParameterRefusedError) -> None:
        if error.param and error.param not in self._noted:
            self._noted.add(error.param)
            setting = f'`omit_parameters = ["{error.param}"]`'
            if error.instead:
                setting = f"`{error.instead}` under [parameters]"
            left_out, setting = {
                "system": ("a system message, which goes before the user's text", setting),
                "structured": ("a JSON schema, which is left out", "`structured_output = false`"),
            }.get(error.param, (f"{error.param}, {_instead(error.instead)}", setting))
            self._note(
                f"its model refuses {left_out} from now on; {setting} in its file avoids the failed request"
            )


def _instead(parameter: str) -> str:
    return f"and {parameter} is sent instead" if parameter else "which is left out"


def _minds_all(count: int, error: RequestError, kept: str = "") -> InvalidRequestError:
    return InvalidRequestError(
        f"the judge's provider has refused {count} texts in a row and answered none between ({error}): check "
        f"the judge and run again{kept}",
        status=error.status,
    )


def _shape(request: ChatRequest) -> str:
    """Return a digest of a request without its texts."""
    body: dict[str, Any] = {
        key: value for key, value in request.body.items() if key not in ("messages", "system")
    }
    body["roles"] = [message.get("role") for message in request.body.get("messages", ())]
    return digest([request.endpoint, "system" in request.body, body])
