"""Asks a judge model once and reads its reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from tvmerge.errors import TransientError
from tvmerge.judging.client.chat import (
    ChatModel,
    ChatReply,
    NotReadError,
    ParameterRefusedError,
    TextRefusedError,
    TooLongError,
)
from tvmerge.judging.client.reask import UnusableError
from tvmerge.judging.faults import NOT_READ, remedy
from tvmerge.judging.prompts.parsing import Unreadable
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.prompts.reply_format import ReplyFormat

T = TypeVar("T")

_WHY: Mapping[type[Exception], str] = {
    TooLongError: "longer than the judge's context",
    NotReadError: NOT_READ,
    TextRefusedError: "refused by the provider",
    TransientError: "the provider fails with this request",
}
"""Errors that concern one question only, and what they say of it."""

_MOST_TRIES = 8
"""Maximum number of versions of one request; more than there are parameters that can be left out."""


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """The reply of a judge model, and the score read from it.

    Attributes:
        user_prompt: The prompt it was sent; empty if it was not asked.
        reply: The whole reply.
        scores: The score read from it, or one for each turn if that was asked for; empty if there is none.
        reason: Why there is no score, or an empty string.
        refused: Whether the provider refused the text every time.
        remedy: How the user can fix it, if the judge is the reason that there is no score; empty otherwise.
    """

    user_prompt: str = ""
    reply: str = ""
    scores: tuple[float, ...] = ()
    reason: str = ""
    refused: bool = False
    remedy: str = ""

    @property
    def score(self) -> float | None:
        """The score if it is the only one, else None."""
        return self.scores[0] if len(self.scores) == 1 else None


async def ask(
    chat: ChatModel, prompt: JudgePrompt, reply_format: ReplyFormat, fields: Mapping[str, str], sample: int
) -> JudgeReply:
    """Ask `chat` once; a failure that concerns only this question is returned, not raised.

    Raises:
        UserError, QuotaError, OutageError, InvalidRequestError, BudgetError: Continuing would only waste
            money or time.
    """
    user = prompt.render(fields)
    try:
        reply = await _send(chat, prompt.system_prompt, user, reply_format, sample)
    except UnusableError as error:
        return JudgeReply(
            user, reply=error.reply, reason=str(error), refused=error.refused, remedy=remedy(str(error))
        )
    except tuple(_WHY) as error:
        why = next(why for kind, why in _WHY.items() if isinstance(error, kind))
        cure = remedy(why) if isinstance(error, NotReadError) else ""
        return JudgeReply(user, reason=f"{why}: {error}", remedy=cure)
    read = reply_format.read(reply.text, alone=bool(reply.before))
    if isinstance(read, Unreadable):
        return JudgeReply(user, reply=reply.whole, reason=read.reason, remedy=remedy(read.reason))
    return JudgeReply(user, reply=reply.whole, scores=read if isinstance(read, tuple) else (read,))


async def _send(chat: ChatModel, system: str, user: str, reply_format: ReplyFormat, sample: int) -> ChatReply:
    request = first = chat.request(system, user, reply_format, sample=sample)
    for left in reversed(range(_MOST_TRIES)):
        try:
            return await chat.send(request)
        except ParameterRefusedError:
            if not left:
                raise
        # Rebuilt without the refused parameter.
        request = replace(chat.request(system, user, reply_format, sample=sample), first=first)
    raise AssertionError("unreachable")
