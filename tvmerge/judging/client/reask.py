"""Asks again when a reply gives no rating, a bounded number of times."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from tvmerge.errors import ProviderError, RequestError
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper, UnprovenError
from tvmerge.judging.client.pauses import Pauses
from tvmerge.judging.client.room import Memory, Room, out_of_room
from tvmerge.judging.faults import THINKING

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


class UnusableError(ProviderError):
    """No reply was usable, however often it was asked for.

    Attributes:
        reply: The text of the last one.
        refused: Every time it was the provider that refused the text it was given, and it answers others.
    """

    def __init__(self, reason: str, *, reply: str, refused: bool) -> None:
        super().__init__(reason)
        self.reply = reply
        self.refused = refused


@dataclass(slots=True, eq=False)
class _Tries:
    """What came of the tries so far."""

    reason: str = ""
    text: str = ""
    refusals: int = 0
    failures: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    hopeless: bool = False


class ReaskingChat(ChatWrapper):
    """Returns complete replies of the form asked for, or none.

    A judge that has said something but no rating is asked for that alone, once; each other time everything is
    asked again. Where something broke at the provider there is a pause before it. Where thinking has used up
    even the room that was made for it, nothing is asked again: it would be the dearest of all replies.

    Args:
        inner: The model asked.
        reasks: How often it is asked again.
        fixed_room: The limit on a reply's length is the user's; else it is raised where thinking needs it.
        pauses: Tells the user what is waited for.
        memory: Keeps a limit that was raised for the next run; None keeps none.
        note: Told once of each word for a reply's end that nobody knows.
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
        self._room = Room(inner, fixed=fixed_room, note=note, memory=memory)
        self._note = note
        self._pauses = pauses or Pauses()
        self._sleep = sleep
        self._noted: set[str] = set()

    async def send(self, request: ChatRequest) -> ChatReply:
        """The first usable reply.

        Raises:
            UnusableError: There was none in all the tries.
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
                self._pauses.wait(tries, pause, f"{tries.reason}, and is asked again then")
                await self._sleep(pause)
                tries.failures += 1
        raise UnusableError(tries.reason, reply=tries.text, refused=tries.refusals == self._reasks + 1)

    async def _try(self, request: ChatRequest, tries: _Tries) -> ChatReply | None:
        """All that was replied to `request`, None where it was refused; what was wrong goes into `tries`."""
        request = replace(request, attempt=tries.sent[request.key])
        tries.sent[request.key] += 1
        try:
            reply = await self._room.send(request)
        except RequestError as error:
            if request.after is not None:
                return None  # the conversation has become too long, say, for a model that accepts each turn
            if not error.about_content:
                raise
            tries.refusals += not isinstance(error, UnprovenError)
            tries.reason = str(error)
            return None
        asked, whole = request.settled(reply)
        tries.reason = asked.fault_of(whole)
        tries.refusals += reply.finish == "refused"
        tries.text = whole.whole if reply.text else tries.text
        if out_of_room(reply):
            tries.reason, tries.hopeless = THINKING, self._room.raised
        if not tries.reason and reply.ending:
            self._remark(reply.ending)
        return whole

    def _remark(self, ending: str) -> None:
        if ending not in self._noted:
            self._noted.add(ending)
            self._note(f"replies end with the unknown finish reason '{ending}'; those with a rating count")
