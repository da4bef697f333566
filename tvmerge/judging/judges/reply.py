"""One question to the judge model and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from tvmerge.errors import TransientError
from tvmerge.judging.client.chat import ChatModel, ChatReply, OutdatedError, TextError, TooLongError
from tvmerge.judging.client.reask import UnusableError
from tvmerge.judging.faults import cure
from tvmerge.judging.prompts.parsing import Unreadable
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.prompts.reply_format import ReplyFormat

T = TypeVar("T")

_FORMS = 8
"""Forms in which one request is tried: more than there are parameters to give up."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """The reply of a judge model, as read.

    Attributes:
        user_prompt: What it was shown; empty where it was not asked.
        reply: What it said, whole.
        score: The score read from that, or None.
        reason: Why there is no score, or an empty string.
        refused: The provider refused the text it was shown, every time.
        cure: What the user can do, where it is the judge's fault that there is no score; else empty.
    """

    user_prompt: str = ""
    reply: str = ""
    score: float | None = None
    reason: str = ""
    refused: bool = False
    cure: str = ""


async def opinion(
    chat: ChatModel, prompt: JudgePrompt, form: ReplyFormat, fields: Mapping[str, str], sample: int
) -> Opinion:
    """Ask `chat` for its opinion; a failure that concerns this question alone is told, not raised.

    Raises:
        UserError, QuotaError, OutageError, FormError, BudgetError: Continuing would only waste money or time.
    """
    user = prompt.render(fields)
    try:
        reply = await _send(chat, prompt.system_prompt, user, form, sample)
    except UnusableError as error:
        return Opinion(
            user, reply=error.reply, reason=str(error), refused=error.refused, cure=cure(str(error))
        )
    except TooLongError as error:
        return Opinion(user, reason=f"longer than the judge's context: {error}")
    except TextError as error:
        return Opinion(user, reason=f"refused by the provider: {error}")
    except TransientError as error:
        return Opinion(user, reason=f"the provider fails with this request: {error}")
    score = form.read(reply.text, alone=bool(reply.before))
    if isinstance(score, Unreadable):
        return Opinion(user, reply=reply.whole, reason=score.reason, cure=cure(score.reason))
    return Opinion(user, reply=reply.whole, score=score)


async def _send(chat: ChatModel, system: str, user: str, form: ReplyFormat, sample: int) -> ChatReply:
    request = first = chat.request(system, user, form, sample=sample)
    for left in reversed(range(_FORMS)):
        try:
            return await chat.send(request)
        except OutdatedError:
            if not left:
                raise
        # Built without the parameter that was refused.
        request = replace(chat.request(system, user, form, sample=sample), first=first)
    raise AssertionError("unreachable")
