"""Repeats a request whose reply gives no rating, a limited number of times."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from tvmerge.errors import ProviderError, RequestError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper, UnprovenRefusalError
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.token_limit import Memory, TokenLimit, ran_out_of_tokens
from tvmerge.judging.faults import THINKING

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


class UnusableError(ProviderError):
    """None of the replies to a request was usable.

    Attributes:
        reply: The text of the last one.
        refused: Whether the provider refused the text every time, although it answers other texts.
    """

    def __init__(self, reason: str, *, reply: str, refused: bool) -> None:
        super().__init__(reason)
        self.reply = reply
        self.refused = refused


@dataclass(slots=True, eq=False)
class _Tries:
    """The outcome of the attempts so far."""

    reason: str = ""
    text: str = ""
    refusals: int = 0
    failures: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    hopeless: bool = False


class ReaskingChat(ChatWrapper):
    """Returns only complete replies of the requested form.

    After a reply without a rating, the judge is asked once for the rating alone; otherwise the whole request
    is repeated, after a pause if the provider had an error. If thinking used up even the raised token limit,
    nothing is repeated, since that would be the most expensive of all replies.

    Args:
        inner: The wrapped model.
        reasks: How often a request is repeated.
        fixed_room: Whether the user set the limit on a reply's length. If not, it is raised when thinking
            needs more.
        pauses: Shows the user what the run is waiting for.
        memory: Stores a raised limit for the next run; None to store nothing.
        note: Called once for each unknown finish reason.
        sleep: Waits a number of seconds.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        reasks: int = 3,
        fixed_room: bool = False,
        memory: Memory | None = None,
        note: Callable[[str], None] = lambda _: None,
        pauses: Pauses | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(inner)
        self._reasks = reasks
        self._token_limit = TokenLimit(inner, fixed=fixed_room, note=note, memory=memory)
        self._note = note
        self._pauses = pauses or Pauses()
        self._sleep = sleep
        self._noted: set[str] = set()

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the first usable reply.

        Raises:
            UnusableError: No attempt gave one.
        """
        tries = _Tries()
        reminder: ChatRequest | None = None
        for number in range(self._reasks + 1):
            reply = await self._try(reminder or request, tries)
            if reply is None:
                reminder = None
                continue
            if not tries.reason:
                return reply
            if tries.hopeless:
                break
            reminder = None if reply.before else request.reminder(reply)
            if reply.finish == "failed" and number < self._reasks:
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**tries.failures)
                self._pauses.wait(tries, pause, f"{tries.reason}; retrying then")
                await self._sleep(pause)
                tries.failures += 1
        raise UnusableError(tries.reason, reply=tries.text, refused=tries.refusals == self._reasks + 1)

    async def _try(self, request: ChatRequest, tries: _Tries) -> ChatReply | None:
        """Return the whole reply to `request`, or None if it was refused; record its fault in `tries`."""
        request = replace(request, attempt=tries.sent[request.key])
        tries.sent[request.key] += 1
        try:
            reply = await self._token_limit.send(request)
        except RequestError as error:
            if request.after is not None:
                return None  # for example, the conversation has become too long
            if not error.about_content:
                raise
            tries.refusals += not isinstance(error, UnprovenRefusalError)
            tries.reason = str(error)
            return None
        asked, whole = request.settled(reply)
        tries.reason = asked.fault_of(whole)
        tries.refusals += reply.finish == "refused"
        tries.text = whole.whole if reply.text else tries.text
        if ran_out_of_tokens(reply):
            tries.reason, tries.hopeless = THINKING, self._token_limit.raised
        if not tries.reason and reply.finish_detail:
            self._remark(reply.finish_detail)
        return whole

    def _remark(self, finish_detail: str) -> None:
        if finish_detail not in self._noted:
            self._noted.add(finish_detail)
            self._note(
                f"replies end with the unknown finish reason '{finish_detail}'; those with a rating count"
            )
