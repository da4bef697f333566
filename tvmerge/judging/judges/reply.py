"""One question to the judge model and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

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
    """What the judge model said.

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
        UserError, QuotaError, OutageError, FormError, BudgetError: Going on would only waste money or time.
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


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All outcomes in order; the first failure ends the other works before it is raised.

    They are cancelled once and waited for: what they have on the wire arrives and is stored (`ShieldedChat`).
    """
    listed = list(works)
    if len(listed) == 1:
        return [await listed[0]]
    tasks = [asyncio.create_task(work) for work in listed]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


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
